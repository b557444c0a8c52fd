"""What the source no longer has: the remembered records that a whole read did not meet, and their deletes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from daemon.spec import Job

from .change import Link
from .counts import Counts
from .cursor import Cursor
from .names import Names
from .permits import is_ours
from .planner import Planner
from .ports import Ports
from .remarks import Remarks
from .seen import Seen

BATCH = 1_000
"""Links that are gone and are dealt with at once."""

FEW = 300
"""So many ids are asked for one by one; where more were not met, all links between them are looked through."""


def gone(ports: Ports, seen: Seen, *, check_stop: Callable[[], None]) -> Iterator[list[Link]]:
    """Yield the links whose record the read did not meet, in batches, in the order in which they came to be."""
    for ids in seen.unmet():
        check_stop()
        if len(ids) <= FEW:
            links = list(ports.links.by_id(ids))
        else:
            between = ports.links.range(ids[0] - 1, ids[-1], ids[-1] - ids[0] + 1)
            links = [link for link in between if link.id not in seen]
        for start in range(0, len(links), BATCH):
            yield links[start : start + BATCH]


def plan_deletes(
    job: Job,
    ports: Ports,
    planner: Planner,
    seen: Seen,
    counts: Counts,
    *,
    remarks: Remarks,
    check_stop: Callable[[], None],
    forget: "Forgetting | None" = None,
) -> Counts:
    """Plan the deletes of a read that is proven complete, and return the counts after them.

    Only what this job created is deleted, and what it adopted where the job says so; the rest is kept. A target record
    that was found under another key of this read is not gone: that key's link takes over whose it is, once stored.
    `forget` takes cursors back before they are planned.
    """
    for links in gone(ports, seen, check_stop=check_stop):
        ours = [link for link in links if is_ours(link, job)]
        heirs = _heirs(ours, ports, seen)
        dying = [link for link in ours if link.target_id not in heirs and link.target_id not in remarks.adopted]
        resting = planner.rests.among({link.key: b"" for link in dying})
        dying = [link for link in dying if link.key not in resting]
        if forget is not None:
            forget(dying)
        remarks.key_changes.look(dying, ports.links.documents)
        counts = counts.plus(
            deletes_pending=len(dying),
            deletes_rejected=len(resting),
            resting=len(resting),
            kept=len(links) - len(ours),
        )
        ports.journal.plan(
            [planner.deletion(link) for link in dying],
            links=[(heir, None) for heir in heirs.values()],
            rejects=(),
            rests=resting,
            counts=counts,
            forgotten=[link.key for link in ours if link.target_id in heirs],
        )
    return counts


def _heirs(ours: Sequence[Link], ports: Ports, seen: Seen) -> Mapping[str, Link]:
    """Return the links of keys that are in the source and lead to the records of links that are gone.

    So it is after somebody changed a key on both sides: the record was matched by its new key, and the link of the old
    one would delete it.
    """
    ids = {link.id for link in ours}
    owned = {link.target_id for link in ours if link.owned}
    return {
        target_id: replace(link, owned=link.owned or target_id in owned)
        for target_id, links in (ports.links.by_target([link.target_id for link in ours]) if ours else {}).items()
        for link in links
        if link.id not in ids and (link.id in seen or link.id > seen.highest)
    }


class Forgetting:
    """Takes the cursors of parts back whose records are deleted and that were not read.

    Their parent is gone. If it comes again, what it has did not change meanwhile, and would never come.
    """

    def __init__(self, ports: Ports, ended: Names) -> None:
        """Leave those parts alone that came to their end, `ended`."""
        self._ports = ports
        self._ended = ended
        self._forgotten = Names()

    def __call__(self, dying: Sequence[Link]) -> None:
        """Take back the cursors of the parts that these links are of, each once."""
        parts = {link.part for link in dying if link.part and link.part not in self._ended}
        some = [Cursor(part, None, "") for part in sorted(parts) if not self._forgotten.add(part, 1)]
        if some:
            self._ports.journal.move(some, whole=False)
