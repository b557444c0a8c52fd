"""What is reported on, as promises: the values themselves are made on floors that a report does not know."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Protocol

from daemon.sync.certificate import Certificate
from daemon.sync.change import Change, Fate, Kind, Reject
from daemon.sync.counts import Counts
from daemon.sync.cursor import Reach
from daemon.sync.outcome import Ending, Phase, Result


class Plan(Protocol):
    """What a run would do."""

    @property
    def job(self) -> str:
        """The job's name."""

    @property
    def result(self) -> Result:
        """How the planning ended."""

    @property
    def changes(self) -> Iterable[Change]:
        """The changes in the order of a run; may be long, so it is walked only as far as it is shown."""

    @property
    def tally(self) -> Mapping[tuple[Kind, Fate], int]:
        """How many changes there are of each kind and fate."""

    @property
    def unresolved(self) -> int:
        """How many changes of earlier runs have no known outcome."""

    @property
    def held_run(self) -> str | None:
        """The job's latest run, if it withheld just what this plan withholds."""


class Finish(Protocol):
    """A run that is over."""

    @property
    def job(self) -> str:
        """The job's name."""

    @property
    def run(self) -> str:
        """The run's id."""

    @property
    def result(self) -> Result:
        """How it ended."""

    @property
    def took_s(self) -> float:
        """Seconds from its start to its end."""

    @property
    def resume_at(self) -> datetime | None:
        """When the work of a run that is waiting goes on; aware, in UTC. None for other runs."""


class PastRun(Protocol):
    """A run as the state database remembers it. Moments are aware, in UTC."""

    @property
    def id(self) -> str:
        """The run's id."""

    @property
    def job(self) -> str:
        """The job's name."""

    @property
    def reach(self) -> Reach | None:
        """How much of the source it read; None until it is over, and for a job that always reads everything."""

    @property
    def trigger(self) -> str:
        """What started it."""

    @property
    def fire_time(self) -> datetime | None:
        """The moment of the schedule that it stands for; None when a person started it."""

    @property
    def phase(self) -> Phase:
        """How far it is, or was."""

    @property
    def ending(self) -> Ending | None:
        """How it ended; None while it is not over."""

    @property
    def counts(self) -> Counts:
        """Its ledger."""

    @property
    def certificate(self) -> Certificate | None:
        """What its read proves; None while that is open, and when it read nothing."""

    @property
    def error(self) -> str:
        """What went wrong; empty when nothing did."""

    @property
    def started_at(self) -> datetime | None:
        """None while it waits."""

    @property
    def ended_at(self) -> datetime | None:
        """None while it is not over."""

    @property
    def resume_at(self) -> datetime | None:
        """When the work of a run that is waiting goes on; None for other runs."""


class KeptReject(Protocol):
    """A reject as the state database remembers it."""

    @property
    def reject(self) -> Reject:
        """What failed, and why."""

    @property
    def attempts(self) -> int:
        """How many runs tried it, as it is now, in vain."""

    @property
    def first_at(self) -> datetime:
        """When it was rejected first. Moments are aware, in UTC."""

    @property
    def last_at(self) -> datetime:
        """When it was tried last."""

    @property
    def run(self) -> str:
        """The latest run that met it."""

    @property
    def rests_until(self) -> datetime | None:
        """Until when it is left alone if nothing changes; None for one that the next run tries or that nobody does."""
