"""What the outcomes of changes come to in the state."""

from collections.abc import Iterator, Sequence

from daemon.errors import StateError
from daemon.sync.change import Fate, Link, Outcome


def by_fate(outcomes: Sequence[Outcome]) -> Iterator[tuple[Fate, Sequence[Outcome]]]:
    """Yield the outcomes in groups, in the order of the fates, in which sent comes before what follows from it."""
    if not outcomes:
        return
    for fate in Fate:
        if some := [one for one in outcomes if one.fate is fate]:
            yield fate, some


def link_after(outcome: Outcome) -> Link:
    """Return the link that a carried-out create or update leaves behind. Raises StateError without an id."""
    change = outcome.change
    target_id = outcome.target_id or change.target_id
    if target_id is None:
        raise StateError(f"{change.key}: a create cannot be done without the id of its record (this is a bug)")
    return Link(
        id=0,
        key=change.key,
        target_id=target_id,
        fingerprint=change.fingerprint,
        raw=change.raw,
        version=outcome.version,
        owned=outcome.owned,
        contest=change.contest,
        part=change.part,
    )
