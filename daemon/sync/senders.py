"""Threads that carry out what is handed to them, then what waits in one queue, and hand in what became of it.

A thread that hands something in takes the next at once. So as long as something waits, no thread waits for the run's
own, which may be busy with the journal; that one is woken when there is enough for it to do.
"""

from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition
from typing import Any, NamedTuple, Self

from .change import Change
from .ports import Pool
from .together import Told

_SOON_S = 0.05
"""How long what was handed in waits for more of it while there is work: an outcome is to be on the disk soon."""


class Work(NamedTuple):
    """One request to be made."""

    carry_out: Callable[..., Told]
    arguments: tuple[Any, ...]
    unsent: Sequence[Change] = ()
    """The changes of which nothing has left before; none where it has to leave, whatever happens meanwhile."""


class Senders:
    """At most `most` threads of a pool. Used by the run's own thread, for the length of a block.

    When `stopping` turns true, or a request shows that the target takes nothing more, nothing is begun that waits and
    need not leave; and nothing at all, when the block is left for an error.
    """

    def __init__(self, pool: Pool, most: int, stopping: Callable[[], bool]) -> None:
        self._pool, self._most, self._stopping = pool, most, stopping
        self._changed = Condition()
        """Guards everything below; told when there may be enough to go on with."""
        self._queue: deque[Work] = deque()
        self._told: list[Told] = []
        self._unsent: list[Work] = []
        self._working = 0
        self._spare = 0
        self._error: BaseException | None = None
        self.starved = 0
        """How many threads had nothing to do when something was collected; 0 where nobody had to wait for it, as with
        a pool that does everything at once."""
        self.open = 0
        """How many were handed out, and neither collected nor taken back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._queue.clear()

    @property
    def ready(self) -> int:
        """How many are handed in and not collected."""
        return len(self._told)

    @property
    def has_stopped(self) -> bool:
        """Whether something will not be begun any more."""
        return bool(self._unsent)

    def hand_out(self, work: Sequence[Work]) -> None:
        """Let this be done, in order: each by a thread that is free, the rest after what waits already."""
        with self._changed:
            self.open += len(work)
            self._queue.extend(work)
            free = min(self._most - self._working, len(self._queue))
            self._working += free
            first = [self._queue.popleft() for _ in range(free)]
        for one in first:
            self._pool.submit(self._carry_out, one)

    def collect(self, spare: int) -> list[Told]:
        """Return what was handed in: something, if anything is under way, and more while more than `spare` waits.

        Raises what the work raised; nothing more is begun then.
        """
        with self._changed:
            self._spare = spare
            waits = self._working > 0 and not self._told
            while self._working and not self._told and self._error is None:
                self._changed.wait()
            while not self._is_enough and self._changed.wait(_SOON_S):
                pass
            if self._error is not None:
                raise self._error
            told, self._told = self._told, []
            self.open -= len(told)
            self.starved = self._most - self._working if waits else 0
        return told

    def take_back(self) -> list[Change]:
        """Return the changes that wait and will not leave now."""
        with self._changed:
            self._take_off()
            unsent, self._unsent = self._unsent, []
            self.open -= len(unsent)
        return [change for work in unsent for change in work.unsent]

    @property
    def _is_enough(self) -> bool:
        return len(self._queue) <= self._spare or self._working < self._most

    def _carry_out(self, work: Work | None) -> None:
        """Do this, then what waits, until nothing does; on a thread of the pool."""
        while work is not None:
            try:
                told = work.carry_out(*work.arguments)
            except BaseException as error:  # noqa: BLE001  for the run's own thread to raise
                self._fail(error)
                return
            work = self._next(told)

    def _next(self, told: Told) -> Work | None:
        """Hand in what one came to, and return what is next; None when nothing is, and the thread is to leave."""
        with self._changed:
            self._told.append(told)
            if self._queue and (told.stopped_by is not None or self._stopping()):
                self._take_off()
            work = self._queue.popleft() if self._queue else None
            self._working -= work is None
            if len(self._told) == 1 or self._is_enough:
                self._changed.notify()
        return work

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._queue.clear()
            self._working -= 1
            self._changed.notify()

    def _take_off(self) -> None:
        """Take out of the queue what need not leave; the lock is held."""
        self._unsent += [work for work in self._queue if work.unsent]
        self._queue = deque(work for work in self._queue if not work.unsent)
