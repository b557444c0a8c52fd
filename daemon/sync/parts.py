"""The parts of a source: stretches that are read one after the other, each with an end and a certificate of its own.

A job without `for_each` has one part, which has no name. The list of parts is itself read from somewhere, and ends as
any list does: without its End nothing is known of parts that did not come.

A part that cannot be read is not an empty one. The others are read all the same; of what is absent from it nothing is
concluded.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final, Protocol

from daemon.errors import EndpointError, GoneError, MalformedError, RefusedError
from daemon.spec import Limit

from .certificate import Certificate, End, certify
from .names import Names

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""A scope without any name."""

DOUBTS = 10
"""Parts whose doubts a certificate names; of the others it tells the number."""

PART_ERRORS: Final = (RefusedError, MalformedError, GoneError)
"""What may be wrong with one part alone. Whatever else is wrong is wrong with its whole system, and ends the run."""

TRIED = 20
"""Parts that are tried before their share of failing ones ends a run on the way."""

MOVED = (
    "a record that is absent from one part may stand in another, since the key does not name the part; make the "
    "parent's key a part of the job's key (example: key: [project.id, record.id])"
)


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of the source."""

    name: str = ""
    """Its lasting name, by which its cursor is kept; no two parts of a job have the same one."""
    scope: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    """What the job's templates and expressions know in this part, by name: its parent."""
    trouble: str = ""
    """Why it cannot be read, where that is plain before it is tried."""
    is_outer: bool = False
    """Whether it stands for all parts whose names begin with its own and a slash: which they are is not known."""


class Parts(Protocol):
    """Which parts the source has."""

    def list(self) -> Iterator[Part | End]:
        """Yield the parts, then exactly one End that counts them as records. Errors as in Source.read."""


class Whole:
    """A source in one part."""

    def list(self) -> Iterator[Part | End]:
        """Yield the one part and its End."""
        yield Part()
        yield End("the only part", 1, 1, None)


WHOLE = Whole()


@dataclass(frozen=True, slots=True)
class PartsDone:
    """What the parts that are over come to, for a mark: a run that takes it up does not read them again."""

    number: int = 0
    pages: int = 0
    records: int = 0
    by_number: bool = False
    digest: bytes = b""
    """Of their names in order. A list of parts that begins otherwise by then is no list to go on with."""
    failed: int = 0
    """Parts that could not be read."""
    apart: int = 0
    """Parts of which nothing is concluded: those, and the ones whose read is not proven complete."""
    said: tuple[str, ...] = ()
    """Of some of these, why."""

    def plus(self, name: str, end: End) -> "PartsDone":
        """Return the sum after one more part, which ended like this."""
        return replace(
            self.named(name),
            pages=self.pages + end.pages,
            records=self.records + end.records,
            by_number=self.by_number or end.by_number,
        )

    def named(self, name: str) -> "PartsDone":
        """Return the sum after one more part of which only the name is known."""
        digest = hashlib.blake2b(self.digest + name.encode(), digest_size=16).digest()
        return replace(self, number=self.number + 1, digest=digest)

    def without(self, said: str, *, failed: bool) -> "PartsDone":
        """Return the sum after the last part turned out to be one of which nothing is concluded."""
        told = (*self.said, said) if len(self.said) < DOUBTS else self.said
        return replace(self, failed=self.failed + failed, apart=self.apart + 1, said=told)

    def is_like(self, other: "PartsDone") -> bool:
        """Say whether these are the same parts."""
        return (self.number, self.digest) == (other.number, other.digest)


class Together:
    """The certificates of the parts of one read, as one.

    Where a record may move from one part to another under its key, it is issued only if each of theirs is. Else it is
    good for those parts whose own was issued.
    """

    def __init__(self, done: PartsDone | None = None, doubts: Iterable[str] = (), *, may_move: bool = True) -> None:
        """`doubts` are what the read was in doubt of before a mark, whatever they come from."""
        self.done = done or PartsDone()
        """The parts that are over."""
        self.ended = Names()
        """Those with a name that came to their end since the mark."""
        self._may_move = may_move
        self._doubts = list(doubts)
        self._only: Certificate | None = None
        self._doubted = 0
        self._has_drifted = not self._doubts
        """Whether nothing but drift is in doubt so far."""

    @property
    def doubts(self) -> tuple[str, ...]:
        """What is in doubt so far."""
        rest = self._doubted - DOUBTS
        return (*self._doubts, *([f"and {rest} more parts are not complete"] if rest > 0 else []))

    def add(self, part: Part, certificate: Certificate, *, failure: str = "") -> bool:
        """Take in the certificate of one part, and say whether something may be concluded from what is absent there.

        `failure` says why a named part could not be read.
        """
        if certificate.end is not None:
            self.done = self.done.plus(part.name, certificate.end)
            self.ended.add(part.name, self.done.number)
        elif failure:
            self.done = self.done.named(part.name)
        if not part.name:
            self._only = certificate
        doubts = (failure,) if failure else certificate.doubts
        if not doubts:
            return True
        said = [f"{part.name}: {doubt}" if part.name else doubt for doubt in doubts]
        if part.name and (failure or certificate.end is not None):
            self.done = self.done.without(said[0], failed=bool(failure))
        if self._may_move or not part.name:
            self._doubt(said, drifted=certificate.drifted and not failure)
        return False

    def gone(self, part: Part) -> None:
        """Take in a part that the source says is gone, with all that was in it."""
        self.done = self.done.named(part.name)

    def _doubt(self, said: list[str], *, drifted: bool) -> None:
        self._doubted += 1
        self._has_drifted = self._has_drifted and drifted
        if self._doubted <= DOUBTS:
            self._doubts += [doubt for doubt in said if doubt not in self._doubts]

    def check(self, limit: Limit, *, over: bool = False) -> None:
        """Raise RefusedError when more parts failed than may; a share of them counts once some were tried, or all."""
        failed, number = self.done.failed, self.done.number
        share = limit.percent is not None and (over or number >= TRIED) and failed * 100 > limit.percent * number
        if failed and (share or (limit.count is not None and failed > limit.count)):
            told = "; ".join(self.done.said[:3])
            raise RefusedError(
                f"{failed} of {number} parts could not be read, which is more than for_each.limit lets pass; {told}"
            )

    def certificate(self, parts: End | None, doubts: Iterable[str] = ()) -> Certificate:
        """Return the certificate of the whole read; `parts` is how the list of parts ended, None if it did not.

        `doubts` are those of the read as a whole.
        """
        more = tuple(doubts)
        if self._only is not None:
            drifted = bool(self.doubts) and self._has_drifted and not more
            return replace(self._only, doubts=(*self.doubts, *more), drifted=drifted)
        if parts is None:
            return Certificate(end=None, doubts=(*self.doubts, *more))
        own, done = certify(parts, ()), self.done
        listed = tuple(f"the list of parts: {doubt}" for doubt in own.doubts)
        moved = (MOVED,) if self._may_move and done.failed else ()
        said = (*self.doubts, *listed, *moved, *more)
        return Certificate(
            End(
                f"the end of each of {done.number - done.failed} parts",
                done.pages,
                done.records,
                None,
                by_number=done.by_number or parts.by_number,
                is_shifting=self._may_move and done.number > 1,
            ),
            said,
            drifted=bool(said) and self._has_drifted and not (moved or more) and (own.drifted or not listed),
            parts=done.number,
            parts_apart=done.apart,
            apart=done.said,
        )


def failure_of(error: EndpointError) -> str:
    """Return why a part could not be read, in words."""
    return f"it could not be read: {error}"
