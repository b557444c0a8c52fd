"""How much the service does at once, as the configuration says it."""

from daemon.spec import Connection, Spec

from .work import Capacity


def capacity_of(spec: Spec) -> Capacity:
    """Return the limits of a configuration."""
    return Capacity(
        workers=spec.service.workers,
        drain_s=spec.service.drain.total_seconds(),
        connections={
            name: frozenset((job.source.connection, job.target.connection)) for name, job in spec.jobs.items()
        },
        runs={name: _most_runs(connection, spec.service.workers) for name, connection in spec.connections.items()},
    )


def _most_runs(connection: Connection, workers: int) -> int:
    """Return how many runs may use a connection at once; left out, a slow system does not get all workers."""
    quota = connection.quota
    return quota.runs or min(quota.concurrency, max(1, workers // 2))
