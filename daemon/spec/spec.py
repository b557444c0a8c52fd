"""The whole configuration as one frozen value."""

from difflib import get_close_matches
from typing import Literal

from pydantic import Field

from daemon.errors import UsageError

from .alerts import Alert, Tells
from .connection import Connection, HttpConnection
from .job import Job
from .retention import Retention
from .service import ServiceRules
from .types import Name, TextOrSecret


class Spec(Tells):
    """What all files together say."""

    version: Literal[1]
    state: TextOrSecret | None = Field(
        default=None,
        description="State database: a path, postgresql://user@host/name, or a reference to an address that holds "
        "a password. Default: crudsd.db beside this file.",
    )
    retention: Retention = Retention.model_construct()
    alerts: dict[Name, Alert] = Field(default_factory=dict)
    service: ServiceRules = ServiceRules.model_construct()
    connections: dict[Name, Connection] = Field(default_factory=dict)
    jobs: dict[Name, Job] = Field(default_factory=dict)

    @property
    def http_connections(self) -> dict[str, HttpConnection]:
        """The systems that are talked to over HTTP, by requests or through an interface: they alone have sessions."""
        return {name: one for name, one in self.connections.items() if isinstance(one, HttpConnection)}

    def tells(self, job: str) -> Tells:
        """Return what is told of a job: what it says itself, else what is said of all jobs."""
        return self.jobs[job].over(self)

    def job(self, name: str) -> Job:
        """Return a job. Raises UsageError, with the nearest name, when there is none."""
        if name not in self.jobs:
            near = get_close_matches(name, self.jobs, n=1)
            known = ", ".join(self.jobs) or "none"
            raise UsageError(f"there is no job {name}; " + (f"did you mean {near[0]}?" if near else f"known: {known}"))
        return self.jobs[name]
