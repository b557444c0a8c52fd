"""Ports on which a run can be rehearsed for one record: reading goes to the real things, and nothing is written.

What a run would store (doubted links, resolved changes) is stored in a scratch journal with the run's own code, and
seen from there on.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NoReturn, TypeVar

from daemon.errors import AuthError, EndpointError, TrustError, UnavailableError
from daemon.values import Document

from .certificate import End, certify
from .change import Change, Kept, Kind, Link
from .cursor import Cursor, WholeRead
from .passing import PassingTarget
from .ports import Accepted, Links, Target, TargetRecord, Written
from .seen import Seen

T = TypeVar("T")


class WouldWriteError(Exception):
    """A run would send this change here, and what it does next depends on the answer."""

    def __init__(self, change: Change) -> None:
        super().__init__(change.key)
        self.change = change


class NotAskedError(UnavailableError):
    """Nobody wanted this system to be asked."""


class ReadOnlyTarget(PassingTarget):
    """A target that may be asked, and to which nothing is sent.

    A system that was away once is not asked again: the operator waits for one time-out, not for four.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self.trouble: EndpointError | None = None
        """Why the system can be asked nothing; None while it can."""
        self._looked_up: dict[str, tuple[TargetRecord, ...]] = {}
        self._got: dict[str, TargetRecord | None] = {}
        self.is_listed = False
        """Whether the list was read whole."""

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        """Yield the target's list."""
        steps = self._asked(self._target.list)
        while (step := self._asked(lambda: next(steps, None))) is not None:
            self.is_listed = isinstance(step, End) and certify(step, ()).issued
            yield step

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        """Return what the target's look-up shows; asked once for a key."""
        if key not in self._looked_up:
            self._looked_up[key] = self._asked(lambda: self._target.lookup(key, document))
        return self._looked_up[key]

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        """Return the target's record; asked once for an id."""
        if target_id not in self._got:
            self._got[target_id] = self._asked(lambda: self._target.get(target_id, key, document))
        return self._got[target_id]

    def batch_size(self, kind: Kind) -> int:
        """Return 1: one record is rehearsed."""
        del kind
        return 1

    def create(self, change: Change) -> Written:
        """Raise WouldWriteError."""
        _refuse(change)

    def update(self, change: Change) -> Written:
        """Raise WouldWriteError."""
        _refuse(change)

    def delete(self, change: Change) -> Accepted | None:
        """Raise WouldWriteError."""
        _refuse(change)

    def _asked(self, ask: Callable[[], T]) -> T:
        if self.trouble is not None:
            raise self.trouble
        try:
            return ask()
        except (UnavailableError, AuthError, TrustError) as error:
            self.trouble = error
            raise


def _refuse(change: Change) -> NoReturn:
    raise WouldWriteError(change)


class RehearsedLinks:
    """The job's links, with those of one record as the rehearsal has them by now.

    `own` are the links in the scratch store, where those of `keys` were put at the start. `met` are the others whose
    record the source gave, as far as it was read.
    """

    def __init__(self, links: Links, own: Links, keys: Sequence[str], *, met: Seen) -> None:
        self._links = links
        self._own = own
        self._met = met
        self._keys = frozenset(keys)

    def count(self) -> int:
        """Count the links; a record that was linked in the rehearsal is among them."""
        return max(self._links.count(), self._own.count())

    def highest(self) -> int:
        """Return the highest id, that of a record that was linked in the rehearsal among them."""
        return max(self._links.highest(), self._own.highest())

    def by_key(self, keys: Sequence[str]) -> Mapping[str, Link]:
        """Return the links of those keys that have one."""
        others = [key for key in keys if key not in self._keys]
        ours = [key for key in keys if key in self._keys]
        return {**self._links.by_key(others), **self._own.by_key(ours)}

    def documents(self, link_ids: Sequence[int]) -> Mapping[int, Document]:
        """Return the remembered documents of the record's own links."""
        return self._own.documents(link_ids)

    def by_target(self, target_ids: Sequence[str]) -> Mapping[str, Sequence[Link]]:
        """Return the links to these target records: the record's own, and the others whose record was met.

        Those are numbered as links of this run: the rehearsal meets its own record only, and takes new links for met.
        """
        own, links = self._own.by_target(target_ids), self._links.by_target(target_ids)
        beyond = self.highest()
        return {
            target_id: (
                *own.get(target_id, ()),
                *(
                    replace(link, id=beyond + link.id)
                    for link in links.get(target_id, ())
                    if link.key not in self._keys and link.id in self._met
                ),
            )
            for target_id in target_ids
        }

    def range(self, after: int, upto: int, limit: int) -> Sequence[Link]:
        """Return the record's own links only: of the others nobody knows here whether the source gives them."""
        return self._own.range(after, upto, limit)

    def by_id(self, ids: Sequence[int]) -> Sequence[Link]:
        """Return the record's own links, as `range` does."""
        return self._own.by_id(ids)

    def raws(self, after: int, limit: int) -> Sequence[tuple[int, bytes, str]]:
        """Return those of the record's own links, as `range` does."""
        return self._own.raws(after, limit)

    def in_part(self, part: str, *, within: bool = False) -> Iterable[int]:
        """Return the record's own link, if it is in this part."""
        return self._own.in_part(part, within=within)

    def kept(self, keys: Sequence[str]) -> Mapping[str, Kept]:
        """Return what earlier runs rejected of the record."""
        return self._own.kept([key for key in keys if key in self._keys])

    def young(self, settle: timedelta) -> Collection[str]:
        """As the job's links."""
        return self._links.young(settle)

    def last_seen(self) -> int | None:
        """As the job's links."""
        return self._links.last_seen()

    def last_selection(self) -> str | None:
        """As the job's links."""
        return self._links.last_selection()

    def cursor(self, part: str) -> Cursor | None:
        """As the job's links."""
        return self._links.cursor(part)

    def last_whole(self) -> WholeRead | None:
        """As the job's links."""
        return self._links.last_whole()
