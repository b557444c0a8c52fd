"""What the source no longer has: the remembered records that a whole read did not meet, and their deletes."""

from collections.abc import Callable, Iterator

from daemon.spec import Job

from .change import Link
from .counts import Counts
from .key_change import KeyChanges
from .planner import Planner
from .ports import Ports
from .seen import Seen

BATCH = 1_000
"""Links looked at in one step of the search for what is gone."""


def gone(ports: Ports, seen: Seen, *, check_stop: Callable[[], None]) -> Iterator[list[Link]]:
    """Yield the links whose record the read did not meet, in batches, in the order in which they came to be."""
    after = 0
    while batch := ports.links.range(after, seen.highest, BATCH):
        after = batch[-1].id
        check_stop()
        yield [link for link in batch if link.id not in seen]


def plan_deletes(
    job: Job,
    ports: Ports,
    planner: Planner,
    seen: Seen,
    counts: Counts,
    *,
    key_changes: KeyChanges,
    check_stop: Callable[[], None],
) -> Counts:
    """Plan the deletes of a read that is proven complete, and return the counts after them.

    Only what this job created is deleted, and what it adopted where the job says so; the rest is kept.
    """
    for links in gone(ports, seen, check_stop=check_stop):
        ours = [link for link in links if link.owned or job.target.delete_adopted]
        key_changes.look(ours, ports.links.documents)
        counts = counts.plus(deletes_pending=len(ours), kept=len(links) - len(ours))
        ports.journal.plan([planner.deletion(link) for link in ours], links=(), rejects=(), counts=counts)
    return counts
