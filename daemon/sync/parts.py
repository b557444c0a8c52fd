"""The parts of a source: stretches that are read one after the other, each with an end and a certificate of its own.

A job without `for_each` has one part, which has no name. The list of parts is itself read from somewhere, and ends as
any list does: without its End nothing is known of parts that did not come.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from .certificate import Certificate, End, certify

NOTHING: Mapping[str, Any] = MappingProxyType({})
"""A scope without any name."""

DOUBTS = 10
"""Parts whose doubts a certificate names; of the others it tells the number."""


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of the source."""

    name: str = ""
    """Its lasting name, by which its cursor is kept; no two parts of a job have the same one."""
    scope: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    """What the job's templates and expressions know in this part, by name: its parent."""


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

    def is_like(self, other: "PartsDone") -> bool:
        """Say whether these are the same parts."""
        return (self.number, self.digest) == (other.number, other.digest)


class Together:
    """The certificates of the parts of one read, as one. It is issued only if each of theirs is."""

    def __init__(self, done: PartsDone = PartsDone(), doubts: Iterable[str] = ()) -> None:
        """`doubts` are what the read was in doubt of before a mark, whatever they come from."""
        self.done = done
        """The parts that came to their end."""
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

    def add(self, part: Part, certificate: Certificate) -> None:
        """Take in the certificate of one part."""
        if certificate.end is not None:
            self.done = self.done.plus(part.name, certificate.end)
        if not part.name:
            self._only = certificate
        if certificate.doubts:
            self._doubted += 1
            self._has_drifted = self._has_drifted and certificate.drifted
        if certificate.doubts and self._doubted <= DOUBTS:
            said = [f"{part.name}: {doubt}" if part.name else doubt for doubt in certificate.doubts]
            self._doubts += [doubt for doubt in said if doubt not in self._doubts]

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
        listed = tuple(f"the list of parts: {doubt}" for doubt in certify(parts, ()).doubts)
        said = (*self.doubts, *listed, *more)
        done = self.done
        end = End(f"the end of each of {done.number} parts", done.pages, done.records, None, by_number=done.by_number)
        return Certificate(end, said, drifted=bool(said) and self._has_drifted and not (listed or more))
