"""What a person has seen and agreed to, so exactly that it can be told apart from every other plan.

A plan is pinned by a digest for each kind of change. The digest is a sum, so the order of the changes does not matter,
and what was carried out already can be taken off it: what is left is told exactly, too.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias

from .change import Change, Fate, Kind

_MODULUS = 2**256
_HEX_DIGITS = 64


@dataclass(frozen=True, slots=True)
class Digest:
    """Of a set of changes: how many they are, and the sum of their marks. The default is that of no change."""

    number: int = 0
    sum: int = 0

    def plus(self, other: "Digest") -> "Digest":
        """Return the digest of both sets together."""
        return Digest(self.number + other.number, (self.sum + other.sum) % _MODULUS)

    def without(self, part: "Digest") -> "Digest":
        """Return the digest of the set after `part` of it was taken away."""
        return Digest(self.number - part.number, (self.sum - part.sum) % _MODULUS)

    def __str__(self) -> str:
        return f"{self.number}-{self.sum:0{_HEX_DIGITS}x}"


Digests: TypeAlias = Mapping[Kind, Digest]
"""By kind; a kind that is not there has no change."""

NONE = Digest()


def mark(change: Change) -> bytes:
    """Return 32 bytes that tell what a change does to the target: kind, key, record, fields and their values.

    Its place, run and moment are left out, and so is what a field held before: the same write is the same change.
    """
    # A create that is done has the id that the target gave it; what was intended had none.
    target_id = "" if change.kind is Kind.CREATE else change.target_id or ""
    parts = [change.kind.value, change.key, target_id, *change.fields]
    digest = hashlib.sha256(len(parts).to_bytes(8))
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8))
        digest.update(encoded)
    if change.kind is not Kind.DELETE:  # what is remembered of a record that goes is no part of its going
        digest.update(change.fingerprint)
    return digest.digest()


def digests_of(changes: Iterable[Change], repeated: Mapping[str, Change] | None = None) -> Digests:
    """Return the digests of these changes by kind. They are walked once and not kept.

    `repeated` are changes, by key, that were sent before and have to be sent again. Such an update is planned with all
    its fields, since the target may hold either state; it counts as the one that was agreed to.
    """
    found: dict[Kind, Digest] = defaultdict(Digest)
    for change in changes:
        earlier = (repeated or {}).get(change.key)
        same = earlier if earlier is not None and _means_the_same(earlier, change) else change
        found[change.kind] = found[change.kind].plus(Digest(1, int.from_bytes(mark(same))))
    return dict(found)


def _means_the_same(earlier: Change, change: Change) -> bool:
    return mark(replace(earlier, fields=())) == mark(replace(change, fields=()))


def taken_of(changes: Iterable[Change], settled: frozenset[str]) -> Digests:
    """Return the digests of those that need not be carried out any more.

    They are done, or sent without an answer and found to be `settled` (these are named by their idempotency keys).
    """
    return digests_of(one for one in changes if one.fate is Fate.DONE or one.idempotency_key in settled)


def intended_of(changes: Iterable[Change]) -> Digests:
    """Return the digests of a plan: of those that may be carried out and those that a guard withheld."""
    return digests_of(change for change in changes if change.fate in {Fate.PLANNED, Fate.WITHHELD})


def without(digests: Digests, part: Digests) -> Digests:
    """Return what is left of each kind."""
    return {kind: digest.without(part.get(kind, NONE)) for kind, digest in digests.items()}


# ---- the text forms ------------------------------------------------------------------------------------------------


def as_text(digests: Digests) -> dict[str, str]:
    """Return the digests as they are stored and shown."""
    return {str(kind): str(digest) for kind, digest in digests.items() if digest.number}


def from_text(texts: Mapping[str, str]) -> Digests:
    """Return the digests that `as_text` gave. Raises ValueError when they are none."""
    return {Kind(kind): _digest(text) for kind, text in texts.items()}


def _digest(text: str) -> Digest:
    number, _, digits = text.partition("-")
    if len(digits) != _HEX_DIGITS:
        raise ValueError("a digest is a number and 64 hexadecimal digits")
    return Digest(int(number), int(digits, 16))


# ---- what a run is pinned to ---------------------------------------------------------------------------------------

KEYS_SHOWN = 3
"""Changes named of each sort of difference: they tend to share a cause, and the first ones show it."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How the plan of now differs from one that was saved. The names (`delete 4711`) are the first of each sort."""

    new: int = 0
    new_names: tuple[str, ...] = ()
    gone: int = 0
    gone_names: tuple[str, ...] = ()
    other: int = 0
    """Changes of the same key that would do something else."""
    other_names: tuple[str, ...] = ()

    def __str__(self) -> str:
        sorts = [
            (self.new, "planned now and not saved", self.new_names),
            (self.gone, "saved and not planned any more", self.gone_names),
            (self.other, "planned otherwise than saved", self.other_names),
        ]
        return "; ".join(f"{number} {words} ({_names(names, number)})" for number, words, names in sorts if number)


def _names(names: Sequence[str], number: int) -> str:
    return ", ".join(names) + (", …" if number > len(names) else "")


class Saved(Protocol):
    """The changes of a saved plan, to be compared with key by key."""

    def difference(self, planned: Iterable[Change]) -> Difference:
        """Compare them with what is planned now, in bounded memory. May be called once."""


def _none() -> Iterable[Change]:
    return ()


@dataclass(frozen=True, slots=True)
class Pin:
    """The plan that a person let pass. A pinned run plans the whole before it applies anything."""

    name: str
    """In words: `the approval of run 06e…`, `the saved plan`."""
    digests: Digests
    """What was agreed to, by kind."""
    earlier: Callable[[], Iterable[Change]] = _none
    """The changes of earlier runs under this pin, as they stand. Asked when the plan is judged: only then is known
    what became of those whose answers were lost."""
    runs: frozenset[str] = frozenset()
    """These earlier runs; they were cut off."""
    void: str = ""
    """Why it may release nothing any more, in words; empty: it may."""
    saved: Saved | None = None
    """The saved plan, which is carried out as a whole or not at all; None for an approval, which lets withheld kinds
    of change pass and leaves the rest alone."""
