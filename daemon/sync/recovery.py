"""After a crash: find out what became of changes that were sent and never answered, before anything is repeated."""

from collections.abc import Sequence
from dataclasses import replace

from .change import Change, Fate, Kind, Outcome
from .counts import Counts
from .events import Resolved
from .permits import Permits
from .ports import Journal, Links, Ports, Target, TargetIndex
from .retry import classed
from .write import RunStopError, looked_up, resolve


def needs_list(unresolved: Sequence[Change], target: Target) -> bool:
    """Say whether only the target's own list can tell what became of these changes."""
    if target.can_lookup or not target.can_list:
        return False
    kinds = {change.kind for change in unresolved}
    return Kind.DELETE in kinds or (Kind.CREATE in kinds and not target.has_idempotency)


def recover(
    unresolved: Sequence[Change], ports: Ports, *, index: TargetIndex | None, permits: Permits, revision: str
) -> frozenset[str]:
    """Resolve these changes of earlier runs and return the keys that must not be created again.

    These are the keys whose create nobody could clear up, or not yet. `index` is the target's own list, where it was
    read whole. Raises the endpoint's error when the target cannot be asked now; what was resolved stays resolved.
    """
    blocked = set()
    for change in unresolved:
        if change.kind is not Kind.CREATE:
            _doubt_link(change, ports.links, ports.journal)
        try:
            outcome = classed(_resolve(change, ports.target, index, permits), ports.target, revision)
        except RunStopError as stop:
            raise stop.cause from stop
        ports.journal.resolve([outcome])
        ports.observe(Resolved(outcome))
        if outcome.fate is Fate.UNKNOWN:
            blocked.add(change.key)
    return frozenset(blocked)


def _resolve(change: Change, target: Target, index: TargetIndex | None, permits: Permits) -> Outcome:
    if change.kind is Kind.CREATE and index is not None and not target.has_idempotency:
        found = index.by_match([change.key]).get(change.key, ())
        return looked_up(change, found, is_young=change.key in permits.young)
    if (
        change.kind is Kind.DELETE
        and index is not None
        and change.key not in permits.young
        and change.target_id not in index.by_id([change.target_id or ""])
    ):
        return Outcome(change, Fate.DONE, reason="looked: the target has no such record any more")
    return resolve(change, target, permits)


def _doubt_link(change: Change, links: Links, journal: Journal) -> None:
    """Note that the target may hold either state, so that a source that went back to the old one is written again."""
    link = links.by_key([change.key]).get(change.key)
    if link is not None:
        journal.plan((), links=[(replace(link, fingerprint=b"", raw=b""), None)], rejects=(), counts=Counts())
