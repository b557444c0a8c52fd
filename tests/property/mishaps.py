"""What goes wrong in one process, at which of its steps, and how the process dies of it.

A step is whatever the process does to the world: a page it asks for, a request to the target on its way there and on
its way back, a transaction before its commit and after it. They are counted together, so that one number says when.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from hypothesis import strategies as st

from daemon.errors import MalformedError, RefusedError, StaleError, StateError, UnavailableError, UnknownError
from daemon.store.database import Database


class CrashError(BaseException):
    """The process dies here. Nothing in the program may catch it."""


class Where(StrEnum):
    """The sorts of steps."""

    PAGE = "page"
    """A page of the source is asked for."""
    ASKED = "asked"
    """The target is asked for something."""
    ARRIVED = "arrived"
    """A write is about to be carried out."""
    ANSWERED = "answered"
    """It is carried out, and not answered yet."""
    COMMIT = "commit"
    """A transaction is about to be committed."""
    COMMITTED = "committed"


class What(StrEnum):
    """The sorts of mishaps."""

    KILL = "kill"
    STOP = "stop"
    """Somebody presses Ctrl-C."""
    PAUSE = "pause"
    """The process sleeps past the end of its lease."""
    OVERTAKE = "overtake"
    """It sleeps past the end of its lease, and another process does the job meanwhile."""
    EDIT = "edit"
    """People do something."""
    FULL = "full"
    """The state cannot be written."""
    LOST = "lost"
    """The answer to a write does not arrive."""
    GARBLED = "garbled"
    """The answer is not what the job file promises."""
    FAILED = "failed"
    """The answer is 500, although a write was carried out."""
    AWAY = "away"
    WAIT = "wait"
    """The system asks to be left alone for ten hours."""
    REFUSED = "refused"
    MOVED = "moved"
    """The record is another version by now."""


ANYWHERE = frozenset(Where)
ASKING = frozenset({Where.PAGE, Where.ASKED, Where.ARRIVED})
PLACES = {
    What.KILL: ANYWHERE,
    What.STOP: ANYWHERE,
    What.PAUSE: ANYWHERE,
    What.OVERTAKE: frozenset({Where.PAGE, Where.ASKED, Where.COMMITTED}),
    What.EDIT: ANYWHERE,
    What.FULL: frozenset({Where.COMMIT}),
    What.LOST: frozenset({Where.ANSWERED}),
    What.GARBLED: frozenset({Where.PAGE, Where.ASKED, Where.ANSWERED}),
    What.FAILED: frozenset({Where.ASKED, Where.ANSWERED}),
    What.AWAY: ASKING,
    What.WAIT: ASKING,
    What.REFUSED: ASKING,
    What.MOVED: frozenset({Where.ARRIVED}),
}
"""Where each can happen; one that is due elsewhere happens at the next step where it can."""


@dataclass(frozen=True)
class Edit:
    """Something that people do."""

    what: str
    number: int
    value: str


@dataclass(frozen=True)
class Mishap:
    after: int
    """The number of the step at which it is due."""
    what: What
    edit: Edit | None = None


def edits(numbers: st.SearchStrategy[int], words: Sequence[str]) -> st.SearchStrategy[Edit]:
    return st.builds(Edit, what=st.sampled_from(words), number=numbers, value=st.sampled_from("ab"))


OFTEN = (What.KILL,) * 6 + (What.LOST, What.OVERTAKE) * 3 + (What.AWAY, What.STOP) * 2
"""What a search meets more often than the rest."""


STEPS = st.integers(0, 12) | st.integers(6, 30) | st.integers(20, 70)
"""At the beginning of a run, in its middle or late."""

OF_THE_PROCESS = st.lists(
    st.builds(Mishap, after=STEPS, what=st.sampled_from([What.KILL] * 4 + [What.STOP, What.PAUSE, What.FULL])),
    max_size=1,
)
"""What befalls the process itself, whatever the systems do."""


def mishaps(numbers: st.SearchStrategy[int], words: Sequence[str]) -> st.SearchStrategy[list[Mishap]]:
    """A few mishaps; edits by people as often as all else."""
    rest = st.sampled_from([*(one for one in What if one is not What.EDIT), *OFTEN])
    happens = st.builds(Mishap, after=STEPS, what=rest)
    edited = st.builds(Mishap, after=STEPS, what=st.just(What.EDIT), edit=edits(numbers, words))
    return st.lists(happens | edited, max_size=6)


class Script:
    """The mishaps of one process, and how far it has come."""

    def __init__(
        self,
        planned: Sequence[Mishap] = (),
        *,
        edit: Callable[[Edit], None] = lambda edit: None,
        stop: Callable[[], None] = lambda: None,
        pause: Callable[[], None] = lambda: None,
        overtake: Callable[[], None] = lambda: None,
    ) -> None:
        self._due = sorted(planned, key=lambda one: one.after)
        self._edit, self._stop, self._pause, self._overtake = edit, stop, pause, overtake
        self.steps = 0
        self.dead = False
        self.overtaken = False
        self.happened: list[What] = []

    def reach(self, where: Where) -> None:
        """Come to a step, and let happen what is due there."""
        if self.dead:
            raise CrashError
        self.steps += 1
        for one in [one for one in self._due if one.after <= self.steps and where in PLACES[one.what]]:
            self._due.remove(one)
            self._happens(one, where)

    def _happens(self, one: Mishap, where: Where) -> None:
        self.happened.append(one.what)
        match one.what:
            case What.KILL:
                self.dead = True
                raise CrashError
            case What.STOP:
                self._stop()
            case What.PAUSE:
                self._pause()
            case What.OVERTAKE:
                self.overtaken = True
                self._overtake()
            case What.EDIT if one.edit is not None:
                self._edit(one.edit)
            case _:
                _fails(one.what, where)


def _fails(what: What, where: Where) -> None:
    if what is What.FAILED and where is Where.ANSWERED:
        raise RefusedError("answered with status code 500", status=500)
    raise {
        What.FULL: StateError("database or disk is full"),
        What.LOST: UnknownError("the answer was lost"),
        What.GARBLED: MalformedError("the answer is a sign-in page"),
        What.FAILED: UnavailableError("answered with status code 500", status=500),
        What.AWAY: UnavailableError("connection refused"),
        What.WAIT: UnavailableError("answered with status code 429", status=429, retry_after_s=36_000.0),
        What.REFUSED: RefusedError("answered with status code 422", status=422),
        What.MOVED: StaleError("the record is another version by now", status=412),
    }[what]


class MortalDatabase:
    """A database, each transaction of which is a step before its commit and a step after it."""

    def __init__(self, inner: Database, script: Script) -> None:
        self._inner, self._script = inner, script

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @contextmanager
    def write(self) -> Iterator[Any]:
        if self._script.dead:
            raise CrashError
        with self._inner.write() as connection:
            yield connection
            self._script.reach(Where.COMMIT)
        self._script.reach(Where.COMMITTED)


class Clock:
    """Goes on by a millisecond each time it is asked, and by more when told."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        self._now += timedelta(milliseconds=1)
        return self._now

    def sleep(self, span: timedelta) -> None:
        self._now += span
