"""SIGTERM in mid-apply: no new change is started, and those in hand are finished and committed."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import pytest

from daemon.endpoints.call import Call
from daemon.endpoints.caller import Caller
from daemon.endpoints.memory import MemorySource
from daemon.errors import StoppedError
from daemon.spec import Job
from daemon.sync import engine
from daemon.sync.change import Fate, Kind
from daemon.sync.options import Options
from daemon.sync.outcome import Ending, Result
from daemon.sync.ports import Ports
from tests.fakes.memory_state import MemoryIndex, MemoryJournal, MemoryLinks, MemoryState
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.unit.endpoints.rig import exchange
from tests.unit.endpoints.rig import target as rest_target

T = TypeVar("T")
TARGET = {
    "match": "no",
    "lookup": {"uri": "users", "params": {"no": "{{ key }}"}, "records": "users"},
    "create": "users",
    "update": {"uri": "users/{{ target.id }}", "body": "changed"},
}


class StopsWhenSent:
    """A pool that asks the run to stop as soon as a change is sent: its row is committed, and no byte has left."""

    def __init__(self, stop: threading.Event) -> None:
        self.stop = stop
        self.waiting: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:
        future: Future[T] = Future()
        if "carry_out" in getattr(work, "__name__", ""):
            self.stop.set()
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class Scene:
    def __init__(self, server: MisbehavingServer, **target: Any) -> None:
        self.server = server
        server.collection("users", key="no", paging="page")
        self.stop = threading.Event()
        self.state = MemoryState()
        self.target = {**TARGET, **target}
        self.runs = 0

    def run(self, stop: threading.Event) -> tuple[Result, dict[tuple[Kind, Fate], int]]:
        self.runs += 1
        journal = MemoryJournal(self.state, f"run{self.runs}")
        job = Job.model_validate(
            {
                "source": {"connection": "api", "read": "people"},
                "key": "record.no",
                "target": {"connection": "api", **self.target},
            }
        )
        ports = Ports(
            source=MemorySource({"no": f"E{number}"} for number in range(20)),
            target=rest_target(exchange(self.server.url, stop=stop), **self.target),
            links=MemoryLinks(self.state),
            journal=journal,
            index=MemoryIndex(),
            pool=StopsWhenSent(stop),
            observe=lambda event: None,
        )
        options = Options(run=f"run{self.runs}", writes=True, window=4, stopping=stop.is_set)
        result = engine.run(job, ports, options)
        return result, {kind: number for kind, number in journal.tally().items() if number}


class DeafEvent(threading.Event):
    """A stop that never comes."""

    def set(self) -> None:
        return


@pytest.fixture
def scene(server: MisbehavingServer) -> Scene:
    return Scene(server)


def test_changes_in_hand_are_finished_and_no_other_is_started(scene: Scene) -> None:
    result, tally = scene.run(threading.Event())

    assert result.ending is Ending.INTERRUPTED
    assert result.counts.created == 4 == len(scene.server.applied)
    assert tally == {(Kind.CREATE, Fate.DONE): 4, (Kind.CREATE, Fate.PLANNED): 16}


def test_the_next_run_does_the_rest_and_nothing_twice(scene: Scene) -> None:
    scene.run(threading.Event())

    result, _ = scene.run(DeafEvent())

    assert (result.ending, result.counts.created, result.counts.unchanged) == (Ending.DONE, 16, 4)
    assert set(scene.server.creates_by_key().values()) == {1}


@pytest.mark.parametrize("idempotency_header", [None, "Idempotency-Key"])
def test_an_answer_that_is_lost_while_stopping_stays_unknown_and_is_cleared_up_by_the_next_run(
    server: MisbehavingServer, idempotency_header: str | None
) -> None:
    server.idempotent = idempotency_header is not None
    scene = Scene(server, create={"uri": "users", "idempotency_header": idempotency_header})
    server.fault(Fault.close_after(), method="POST", nth=2, times=1)
    first, tally = scene.run(threading.Event())
    second, _ = scene.run(DeafEvent())

    assert first.ending is Ending.INTERRUPTED
    assert (Kind.CREATE, Fate.DROPPED) not in tally, "nothing that was sent may be taken for never arrived"
    assert second.ending in {Ending.DONE, Ending.REJECTED}
    assert set(scene.server.creates_by_key().values()) == {1}
    assert len(scene.server.applied) == 20


def test_a_change_that_would_have_to_wait_is_left_to_the_next_run(scene: Scene) -> None:
    scene.server.fault(Fault.too_many(1), method="POST", nth=3, times=1)

    result, tally = scene.run(threading.Event())

    assert result.ending in {Ending.INTERRUPTED, Ending.UNAVAILABLE}
    assert tally[Kind.CREATE, Fate.DROPPED] == 2, "the third, and the fourth, for which the same wait counts"
    assert len(scene.server.applied) == result.counts.created


def test_one_run_that_is_asked_to_stop_waits_out_no_retry_after_while_another_goes_on(
    server: MisbehavingServer,
) -> None:
    server.collection("users", key="no", paging="page")
    server.fault(Fault.too_many(60), method="GET", nth=1, times=1)
    asked = threading.Event()
    api = exchange(server.url, on_event=lambda *_: asked.set(), retry={"attempts": 3, "max_wait": "2m"})

    with pytest.raises(StoppedError):
        api.on_behalf_of(Caller(asked.is_set)).send(Call("GET", "users"))

    other = exchange(server.url).on_behalf_of(Caller(threading.Event().is_set))
    assert other.send(Call("GET", "users")).status == 200
