"""Delete one record: look first where it may be gone already, look again where it moved on.

The link is kept while the target has only promised the delete and can be asked whether it kept its word.
"""

from dataclasses import replace

from daemon.errors import EndpointError, GoneError, StaleError

from .asking import PASSED_ON, ask, can_ask, read_again
from .change import Change, Fate, Outcome
from .permits import Permits
from .ports import Target

GONE = "looked: the target has no such record any more"


def delete(change: Change, target: Target, permits: Permits) -> Outcome:
    """Make one delete. Raises what the target raises, StaleError when it refuses for the second time."""
    # A record that the target may not show yet is not looked for: deleting what is gone does no harm.
    verified = change if change.key in permits.young else _verified(change, target)
    if verified is None:
        return Outcome(change, Fate.DONE, target_id=change.target_id, reason=GONE)
    try:
        accepted = target.delete(verified)
    except StaleError as refusal:
        return _delete_again(change, target, refusal, permits)
    return _deleted(change, target, is_promise=accepted is not None)


def _verified(change: Change, target: Target) -> Change | None:
    """Return the delete as it is to be sent; None when an earlier one, lost or put off by the target, was made."""
    if change.fingerprint or not can_ask(target):
        return change
    try:
        found = ask(change, target)
    except PASSED_ON:
        raise
    except EndpointError:
        return change  # it cannot be told, and deleting again does no harm
    return None if found is None else replace(change, version=found.version or change.version)


def _delete_again(change: Change, target: Target, refusal: StaleError, permits: Permits) -> Outcome:
    """Delete the record as it is now, once, if it is still the one that was meant."""
    try:
        found = read_again(change, target, refusal)
    except GoneError:
        if change.key in permits.young:
            raise refusal from None
        return Outcome(change, Fate.DONE, target_id=change.target_id, reason=GONE)
    if found.id != change.target_id or found.match not in {None, change.key}:
        message = f"{refusal}; read again, it is another record now"
        raise StaleError(message, status=refusal.status, excerpt=refusal.excerpt)
    accepted = target.delete(replace(change.again, version=found.version))
    return _deleted(change, target, is_promise=accepted is not None)


def _deleted(change: Change, target: Target, *, is_promise: bool) -> Outcome:
    is_doubtful = is_promise and can_ask(target)
    return Outcome(change, Fate.DONE, target_id=change.target_id, is_doubtful=is_doubtful)
