"""Parents as parts: each record of one source is a part of another, by a name that lasts.

What is wrong with one parent keeps only its own part from being read, as long as its name is known; else nothing may
be concluded from what is absent, and the End of the list says so.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from daemon.errors import GoneError, MalformedError
from daemon.spec import Expression, ExpressionError, compile_expression
from daemon.spec import Parents as Block
from daemon.values import MISSING, Json

from . import canonical
from .certificate import TWICE, End, certify
from .names import Names
from .parts import NOTHING, PART_ERRORS, WHOLE, Part, Parts, failure_of
from .ports import Page, Source

SAID = 3
"""Parents that a list tells of which it cannot name."""


class UnnamedError(Exception):
    """A parent that has no name; the message says why."""


class ListSource:
    """Parents that stand in the job file, or any other values, as a source."""

    def __init__(self, values: list[Json]) -> None:
        self._values = values

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield one page of them all and its End."""
        del resume, scope
        yield Page(1, tuple(map(canonical.encode, self._values)))
        yield End("the last of the list", 1, len(self._values), None)


class Naming:
    """Names the parents of one block, compiled once."""

    def __init__(self, block: Block) -> None:
        self.as_ = block.as_
        self._keys = tuple(map(compile_expression, block.key_texts))
        self._is_default = block.key is None
        self._where: Expression | None = compile_expression(block.where) if block.where is not None else None

    def takes(self, scope: Mapping[str, Any]) -> bool:
        """Say whether `where` lets the parent in. Raises UnnamedError when it cannot be told."""
        if self._where is None:
            return True
        try:
            answer = self._where(scope)
        except ExpressionError as error:
            raise UnnamedError(f"where: {error}") from error
        if answer is MISSING:
            raise UnnamedError(f"where: {self._where.text} asks about a field that is missing")
        return bool(answer)

    def name(self, scope: Mapping[str, Any]) -> str:
        """Return the parent's name. Raises UnnamedError when it has none."""
        parent = scope[self.as_]
        try:
            if self._is_default and not isinstance(parent, Mapping):
                return _escaped(canonical.key_text(parent))
            values = [expression(scope) for expression in self._keys]
            if MISSING in values:
                raise UnnamedError(f"{self._keys[values.index(MISSING)].text} is missing")
            return ",".join(_escaped(canonical.key_text(value)) for value in values)
        except (ExpressionError, ValueError) as error:
            raise UnnamedError(str(error)) from error


def _escaped(text: str) -> str:
    """Return a key as a piece of a name: slashes stand between parents, commas between the parts of a key."""
    return canonical.readable(text.replace("%", "%25").replace("/", "%2F").replace(",", "%2C"))


@dataclass(slots=True)
class _Tally:
    """What one listing came to so far."""

    names: Names = field(default_factory=Names)
    records: int = 0
    by_number: bool = False
    unnamed: int = 0
    doubts: list[str] = field(default_factory=list)
    drift: tuple[str, ...] = ()

    def doubt(self, said: str) -> None:
        self.unnamed += 1
        if self.unnamed <= SAID:
            self.doubts.append(said)

    def end(self, last: End) -> End:
        rest = self.unnamed - SAID
        more = [f"and {rest} more parents have no name"] if rest > 0 else []
        return replace(
            last,
            by_number=last.by_number or self.by_number,
            doubts=(*last.doubts, *self.doubts, *more),
            drift=(*last.drift, *self.drift),
        )


class ParentParts:
    """The parts of a source, one for each parent. Each `list` reads the parents anew."""

    def __init__(self, block: Block, source: Source, around: Parts = WHOLE) -> None:
        """`around` are the parents' own parents."""
        self._naming = Naming(block)
        self._source = source
        self._around = around

    def list(self) -> Iterator[Part | End]:
        """Yield the parts in the order of their parents, then one End. Errors as in Source.read."""
        tally = _Tally()
        own: End | None = None
        for outer in self._around.list():
            if isinstance(outer, End):
                yield tally.end(own or outer)
            elif outer.trouble:
                yield replace(outer, is_outer=True)
            elif outer.name:
                yield from self._within(outer, tally)
            else:
                own = yield from self._read(outer, tally)

    def _within(self, outer: Part, tally: _Tally) -> Iterator[Part]:
        """Yield the parts within another one; where they are not all known, one more that stands for the others."""
        try:
            end = yield from self._read(outer, tally)
        except GoneError:
            return  # a rule says so: there is no such parent any more, and no children of it
        except PART_ERRORS as error:
            yield Part(outer.name, outer.scope, failure_of(error), is_outer=True)
            return
        tally.by_number = tally.by_number or end.by_number
        doubts = certify(end, ()).doubts
        if doubts:
            yield Part(outer.name, outer.scope, f"its parents are not all known: {'; '.join(doubts)}", is_outer=True)

    def _read(self, outer: Part, tally: _Tally) -> Generator[Part, None, End]:
        """Yield the parts of one list of parents; return how it ended."""
        before: frozenset[bytes] = frozenset()
        for step in self._source.read(scope=outer.scope):
            if isinstance(step, End):
                return step
            for raw in step.records:
                if raw in before:
                    tally.drift = (TWICE,)
                    continue
                yield from self._part(raw, outer, step.number, tally)
            before = frozenset(step.records)
        raise MalformedError("the list of parents has no end")

    def _part(self, raw: bytes, outer: Part, page: int, tally: _Tally) -> Iterator[Part]:
        tally.records += 1
        try:
            scope = {**outer.scope, self._naming.as_: canonical.decode(raw)}
            name = self._naming.name(scope)
        except (ValueError, UnnamedError) as error:
            tally.doubt(f"a parent on page {page} has no usable key: {error}")
            return
        name = f"{outer.name}/{name}" if outer.name else name
        try:
            if not self._naming.takes(scope):
                return
        except UnnamedError as error:
            yield Part(name, scope, str(error))
            return
        before = tally.names.add(name, tally.records)
        trouble = f"parents {before} and {tally.records} of the list have this key; for_each.key must tell them apart"
        yield Part(name, scope, trouble if before else "")
