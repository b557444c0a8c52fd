"""The state as one thing: the open database with the stores that most of the program works with."""

from dataclasses import dataclass, field
from typing import Self

from daemon.clock import Clock, utc_clock

from .database import Database
from .job_states import JobStates
from .leases import Leases
from .owner import Owner
from .runs import RunStore
from .stops import Stops


@dataclass(frozen=True, slots=True)
class State:
    """An open state database. Threads may share it."""

    place: str = field(repr=False)
    """Its path or URL, which may hold a password."""
    database: Database
    clock: Clock
    leases: Leases
    """Taken in the name of this process."""
    runs: RunStore
    job_states: JobStates
    stops: Stops

    @classmethod
    def of(cls, place: str, database: Database, clock: Clock = utc_clock) -> Self:
        """Return the state that an open database holds."""
        leases = Leases(database, clock, Owner.here())
        runs, states = RunStore(database, clock), JobStates(database, clock)
        return cls(place, database, clock, leases, runs, states, Stops(database))
