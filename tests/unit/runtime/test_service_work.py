"""What the service's work tells whoever tells people: whatever may be news, also where a run could not even begin."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.errors import ConfigError, LeaseLostError, StateError
from daemon.runtime.both_sides import Endpoints
from daemon.runtime.service_work import ServiceWork
from daemon.runtime.stop_request import StopRequest
from daemon.runtime.work import Fire
from daemon.runtime.worker import Finished, Worker
from daemon.spec import load
from daemon.store.database import Database
from daemon.store.job_states import JobStates
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.run_row import Trigger
from daemon.store.runs import RunStore
from daemon.store.stops import Stops
from daemon.sync.certificate import Certificate
from daemon.sync.counts import Counts
from daemon.sync.outcome import Ending, Result
from tests.unit.runtime.service_scene import Story
from tests.unit.spec.files import write
from tests.unit.store.places import NOON, HandClock, ready


class Ear:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def began(self, job: str, run: str) -> None:
        assert run
        self.told.append(f"{job} begins")

    def changed(self, job: str) -> None:
        self.told.append(job)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with ready(tmp_path / "state.db") as database:
        yield database


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def work(tmp_path: Path, database: Database, ear: Ear) -> ServiceWork:
    clock, spec = HandClock(), load(write(tmp_path)).spec
    runs, states = RunStore(database, clock), JobStates(database, clock)
    leases = Leases(database, clock, Owner.here())

    def run(job: str, run: str, stop_request: StopRequest) -> Finished:
        if stop_request.is_asked:
            raise ConfigError("a secret is gone")
        return Finished(job, run, Result(Ending.DONE, Counts(), Certificate(end=None), ()), 0.1)

    worker = Worker(spec, database, leases, runs, lambda _, __: pytest.fail("no"), clock, StopRequest()._asked)
    return ServiceWork(spec.jobs, runs, states, Stops(database), worker, run, lambda _: "", Story(), ear)


def test_a_run_is_told_of_when_it_begins_and_when_it_is_over(work: ServiceWork, ear: Ear) -> None:
    assert work.carry_out("people", "r1", StopRequest()) is Ending.DONE

    assert ear.told == ["people begins", "people"]


def test_a_run_that_could_not_begin_is_told_of_too(work: ServiceWork, ear: Ear) -> None:
    asked = StopRequest()
    asked.ask("so that it fails")

    with pytest.raises(ConfigError):
        work.carry_out("people", "r1", asked)

    assert ear.told == ["people begins", "people"]


def test_a_fire_that_was_skipped_a_count_and_a_pause_are_told_of(work: ServiceWork, ear: Ear) -> None:
    work.skip(Fire("people", NOON), reason="it is paused")
    assert ear.told == ["people"]

    work.failed("people", failed=True)
    assert ear.told == ["people"] * 2

    work.pause("people", "1 run failed (pause_after: 1)")
    assert ear.told == ["people"] * 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConfigError("a secret is gone"), "a secret is gone"),
        (StateError("state.db: the disk is full"), "state.db: the disk is full"),
        (KeyError("canary-of-a-record"), "unexpected KeyError; this is a defect of crudsd: the log has more"),
    ],
)
def test_a_run_that_breaks_is_over_as_a_failure_and_not_left_for_the_next_to_find(
    work: ServiceWork, error: Exception, reason: str
) -> None:
    def breaks(*_: object) -> Endpoints:
        raise error

    run = work.fire(Fire("people", NOON))
    assert run is not None
    with pytest.raises(type(error)):
        replace(work.worker, endpoints=breaks).run(
            "people",
            work.jobs["people"],
            observe=lambda _: None,
            trigger=Trigger.SCHEDULE,
            run=run,
        )

    row = work.runs.get(run)
    assert row is not None
    assert (row.ending, row.error) == (Ending.FAILED, reason)


def test_a_run_whose_lease_was_lost_is_left_to_whoever_has_it_now(work: ServiceWork) -> None:
    def taken(*_: object) -> Endpoints:
        raise LeaseLostError("another process took over")

    run = work.fire(Fire("people", NOON))
    assert run is not None
    with pytest.raises(LeaseLostError):
        replace(work.worker, endpoints=taken).run(
            "people",
            work.jobs["people"],
            observe=lambda _: None,
            trigger=Trigger.SCHEDULE,
            run=run,
        )

    row = work.runs.get(run)
    assert row is not None
    assert row.ending is None
