"""After a crash: find out what became of changes that were sent and never answered, before anything is repeated."""

from collections.abc import Sequence

from .change import Change, Fate, Kind, Outcome
from .events import Observe, Resolved
from .ports import Journal, Target, TargetIndex
from .write import RunStopError, looked_up, resolve


def needs_list(unresolved: Sequence[Change], target: Target) -> bool:
    """Say whether only the target's own list can tell what became of these changes."""
    return (
        target.can_list
        and not target.can_lookup
        and not target.has_idempotency
        and any(change.kind is Kind.CREATE for change in unresolved)
    )


def recover(
    unresolved: Sequence[Change], journal: Journal, target: Target, observe: Observe, *, index: TargetIndex | None
) -> frozenset[str]:
    """Resolve these changes of earlier runs and return the keys that must not be created again.

    These are the keys whose create nobody could clear up. `index` is the target's own list, where it was read whole.
    Raises the endpoint's error when the target cannot be asked now; what was resolved until then stays resolved.
    """
    blocked = set()
    for change in unresolved:
        try:
            outcome = _resolve(change, target, index)
        except RunStopError as stop:
            raise stop.cause from stop
        journal.resolve([outcome])
        observe(Resolved(outcome))
        if outcome.fate is Fate.UNKNOWN:
            blocked.add(change.key)
    return frozenset(blocked)


def _resolve(change: Change, target: Target, index: TargetIndex | None) -> Outcome:
    if change.kind is Kind.CREATE and index is not None and not target.has_idempotency:
        return looked_up(change, index.by_match([change.key]).get(change.key, ()))
    return resolve(change, target)
