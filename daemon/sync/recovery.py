"""After a crash: find out what became of changes that were sent and never answered, before anything is repeated."""

from collections.abc import Sequence
from dataclasses import replace

from daemon.errors import EndpointError

from .asking import STOPPERS, ask
from .change import Change, Fate, Kind, Outcome
from .counts import Counts
from .delete import GONE
from .events import Resolved
from .journal import Journal
from .permits import Permits
from .ports import Links, Ports, Target, TargetIndex
from .retry import Rests, classed
from .write import RunStopError, looked_up, resolve


def needs_list(unresolved: Sequence[Change], target: Target) -> bool:
    """Say whether only the target's own list can tell what became of these changes."""
    if target.can_lookup or not target.can_list:
        return False
    kinds = {change.kind for change in unresolved}
    if Kind.DELETE in kinds and not target.can_get:
        return True
    return Kind.CREATE in kinds and not target.has_idempotency


def recover(
    unresolved: Sequence[Change], ports: Ports, *, index: TargetIndex | None, permits: Permits, rests: Rests
) -> frozenset[str]:
    """Resolve these changes of earlier runs and return the keys that must not be created again.

    These are the keys whose create nobody could clear up, or not yet; `rests` is told of them. `index` is the target's
    own list, where it was read whole. Raises the endpoint's error when the target cannot be asked now; what was
    resolved stays resolved.
    """
    blocked = set()
    for change in unresolved:
        if change.kind is not Kind.CREATE:
            _doubt_link(change, ports.links, ports.journal)
        try:
            outcome = classed(_resolve(change, ports.target, index, permits), ports.target, rests.revision)
        except RunStopError as stop:
            raise stop.cause from stop
        ports.journal.resolve([outcome])
        ports.observe(Resolved(outcome))
        rests.note(outcome, is_young=change.key in permits.young)
        if outcome.fate is Fate.UNKNOWN:
            blocked.add(change.key)
    return frozenset(blocked)


def _resolve(change: Change, target: Target, index: TargetIndex | None, permits: Permits) -> Outcome:
    if change.kind is Kind.CREATE and index is not None and not target.has_idempotency:
        found = index.by_match([change.key]).get(change.key, ())
        return looked_up(change, found, is_young=change.key in permits.young)
    if change.kind is Kind.DELETE and change.key not in permits.young and _is_gone(change, target, index):
        return Outcome(change, Fate.DONE, reason=GONE)
    return resolve(change, target, permits)


def _is_gone(change: Change, target: Target, index: TargetIndex | None) -> bool:
    """Say whether the record of a delete is surely not there any more. A look-up that shows nothing proves nothing."""
    if index is not None:
        return change.target_id not in index.by_id([change.target_id or ""])
    if not target.can_get:
        return False
    try:
        return ask(change, target) is None
    except STOPPERS as error:
        raise RunStopError(error, Outcome(change, Fate.UNKNOWN, reason=str(error))) from error
    except EndpointError:
        return False  # it cannot be told, and deleting again does no harm


def _doubt_link(change: Change, links: Links, journal: Journal) -> None:
    """Note that the target may hold either state, so that a source that went back to the old one is written again."""
    link = links.by_key([change.key]).get(change.key)
    if link is not None:
        journal.plan((), links=[(replace(link, fingerprint=b"", raw=b""), None)], rejects=(), counts=Counts())
