"""Whose turn it is: which of the runs that wait starts next. Limits hold, all get a share, and none waits for ever.

A run takes a worker and a slot of each of its connections, all at once. Of those that could start, the one goes first
whose connections have the fewest runs under way, then whose connections had their turn longest ago, then the oldest:
so a slow system's many jobs leave room for others. One that was overtaken too often on its own connections goes before
all others. Where it needs two slots that are never free at the same time, the scarcer one is kept for it.
"""

from collections import Counter
from dataclasses import dataclass, field

from .work import Capacity

PATIENCE = 8
"""So many runs that came later may start on a run's connections before it; then it goes first."""


@dataclass(slots=True)
class _Waiting:
    job: str
    connections: frozenset[str]
    overtaken: int = 0
    kept: set[str] = field(default_factory=set)
    """The connections of which the next free slot is for this run, and for those overdue before it."""

    @property
    def is_overdue(self) -> bool:
        return self.overtaken >= PATIENCE


class Line:
    """The runs that wait and those under way, one for each job. Pure; not safe to share: its owner holds a lock."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._waiting: list[_Waiting] = []
        """In the order in which they came."""
        self._under_way: dict[str, frozenset[str]] = {}
        self._load: Counter[str] = Counter()
        """Runs under way on each connection."""
        self._now = 0
        """Starts so far: all the time that matters here."""
        self._started_at: Counter[str] = Counter()
        """When each connection had a turn last."""
        self._full_since: dict[str, int] = {}

    @property
    def waiting(self) -> tuple[str, ...]:
        """The jobs whose runs wait, in the order in which they came."""
        return tuple(one.job for one in self._waiting)

    @property
    def under_way(self) -> tuple[str, ...]:
        """The jobs whose runs are under way, in the order in which they started."""
        return tuple(self._under_way)

    def replace(self, capacity: Capacity) -> None:
        """Go by other limits from now on. Runs under way beyond them end as they began."""
        self._capacity = capacity
        for one in self._waiting:
            one.connections = capacity.connections.get(one.job, one.connections)
            one.kept &= one.connections

    def join(self, job: str) -> None:
        """Let a run wait for its turn. For a job none of whose runs is here."""
        self._waiting.append(_Waiting(job, self._capacity.connections.get(job, frozenset())))

    def leave(self, job: str) -> None:
        """Take out a run that waits."""
        self._waiting = [one for one in self._waiting if one.job != job]

    def next(self) -> str | None:
        """Start the run whose turn it is and return its job; None when none can start now."""
        if len(self._under_way) >= self._capacity.workers:
            return None
        chosen = self._chosen()
        if chosen is None:
            return None
        for one in self._waiting:
            if one is chosen:
                break
            one.overtaken += not one.connections.isdisjoint(chosen.connections)
        self._waiting.remove(chosen)
        self._begin(chosen)
        return chosen.job

    def over(self, job: str) -> None:
        """Free what a run under way had taken."""
        for connection in self._under_way.pop(job):
            if self._is_full(connection):
                self._keep(connection)
            self._load[connection] -= 1
            if not self._is_full(connection):
                self._full_since.pop(connection, None)

    # ---- below ----

    def _chosen(self) -> _Waiting | None:
        kept: Counter[str] = Counter()
        for one in self._waiting:
            if one.is_overdue:
                if self._fits(one, kept):
                    return one
                kept.update(one.kept)
        able = (one for one in self._waiting if not one.is_overdue and self._fits(one, kept))
        return min(able, key=self._standing, default=None)

    def _fits(self, one: _Waiting, kept: Counter[str]) -> bool:
        return all(self._load[name] + kept[name] < self._capacity.most(name) for name in one.connections)

    def _standing(self, one: _Waiting) -> tuple[int, ...]:
        """Return what the least of goes first; of equals, the one that came first."""
        loads = [self._load[name] for name in one.connections] or [0]
        turns = [self._started_at[name] for name in one.connections] or [0]
        return max(loads), min(loads), max(turns), min(turns)

    def _begin(self, one: _Waiting) -> None:
        self._now += 1
        self._under_way[one.job] = one.connections
        for connection in one.connections:
            self._load[connection] += 1
            self._started_at[connection] = self._now
            if self._is_full(connection):
                self._full_since.setdefault(connection, self._now)

    def _is_full(self, connection: str) -> bool:
        return self._load[connection] >= self._capacity.most(connection)

    def _keep(self, freed: str) -> None:
        """Keep a slot that is about to be free for the first overdue run that lacks it most.

        Only the connection that was full for longest is kept: to hold a slot of a common target while a slow source
        has none would hold up all others.
        """
        for one in self._waiting:
            if one.is_overdue and freed in one.connections and freed not in one.kept:
                full = [name for name in one.connections if self._is_full(name)]
                if min(full, key=lambda name: self._full_since.get(name, 0)) == freed:
                    one.kept.add(freed)
                    return
