"""Ask the target for the one record that a change is about, as it is now.

By `get` where there is one, else by look-up: then a record that is not shown is not proven to be gone, since an index
may be late. Touches nothing.
"""

from daemon.errors import (
    AuthError,
    EndpointError,
    FatalError,
    GoneError,
    RefusedError,
    SkippedError,
    StaleError,
    StoppedError,
    TrustError,
    UnavailableError,
)

from .change import Change
from .ports import Target, TargetRecord

STOPPERS = (UnavailableError, AuthError, TrustError, StoppedError, FatalError)
"""What makes it pointless to go on with other changes: the system as a whole does not do business now."""

PASSED_ON = (*STOPPERS, SkippedError)
"""What decides about the change whichever of its requests it answers."""


NOT_YET = (
    "the target does not show the record, and may not yet (target.settle); the first run after that time looks again"
)


def can_ask(target: Target) -> bool:
    """Say whether the target can be asked for one record."""
    return target.can_get or target.can_lookup


def ask(change: Change, target: Target) -> TargetRecord | None:
    """Return the record with the change's target id, None when the target does not show it."""
    target_id, document = change.target_id or "", change.document or {}
    if target.can_get:
        return target.get(target_id, change.key, document)
    return next((one for one in target.lookup(change.key, document) if one.id == target_id), None)


def read_again(change: Change, target: Target, refusal: StaleError) -> TargetRecord:
    """Return the record after the target refused to change the version that we know.

    Raises GoneError when it has none of this id, and the refusal, with what stands in the way, when it cannot be read.
    """
    if not can_ask(target):
        raise _also(refusal, "declare target.get (or target.lookup) to have it read again and tried once more")
    try:
        found = ask(change, target)
    except PASSED_ON:
        raise
    except EndpointError as error:
        raise _also(refusal, f"it could not be read again: {error}") from error
    if found is not None:
        return found
    if target.can_get:
        raise GoneError(f"{refusal}; read again: there is no such record", status=refusal.status)
    raise _also(refusal, "the look-up does not show it; declare target.get to have it read by its id")


def read_whole(change: Change, target: Target) -> TargetRecord:
    """Return the record that a PUT of the whole record is going to replace.

    Raises GoneError when the target has none of this id, RefusedError when that cannot be told.
    """
    what = f"{change.target_id}: a PUT of the whole record keeps what the job does not map"
    if not can_ask(target):
        raise RefusedError(f"{what}, and the record cannot be read; declare target.get")
    try:
        found = ask(change, target)
    except (*PASSED_ON, RefusedError):
        raise
    except EndpointError as error:
        # Not the write failed but the look before it: nothing was sent.
        raise RefusedError(str(error), status=error.status, excerpt=error.excerpt) from error
    if found is not None:
        return found
    if target.can_get:
        raise GoneError(f"{change.target_id}: the target has no such record")
    raise RefusedError(
        f"{what}, and the look-up does not show the record; declare target.get to have it read by its id"
    )


def _also(refusal: StaleError, more: str) -> StaleError:
    return StaleError(f"{refusal}; {more}", status=refusal.status, excerpt=refusal.excerpt)
