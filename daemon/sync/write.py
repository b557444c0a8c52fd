"""Carry out one change at the target, and say what became of it.

Called from the pool's threads; touches nothing but the target. A create is never repeated blindly: after a lost
answer it is looked up, or repeated under its idempotency key, or left unknown for a person. An update or delete that
does not fit the record as it is now is made once more, after a look at it; a second refusal is a reject.
"""

from dataclasses import replace

from daemon.errors import (
    ConflictError,
    EndpointError,
    FatalError,
    GoneError,
    MalformedError,
    RefusedError,
    SkippedError,
    StaleError,
    UnavailableError,
    UnknownError,
)

from .asking import NOT_YET, PASSED_ON, STOPPERS, read_again, read_whole
from .change import GONE, Change, Fate, Kind, Outcome
from .delete import delete
from .diff import differing
from .permits import Permits
from .ports import Target, TargetRecord, Written
from .trees import merged


class RunStopError(Exception):
    """The target can take no change at all now: `cause` says why, `outcome` what became of the one in hand."""

    def __init__(self, cause: EndpointError, outcome: Outcome) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.outcome = outcome


def carry_out(change: Change, target: Target, permits: Permits) -> Outcome:
    """Make one write. Raises RunStopError when going on with other changes is pointless.

    An outcome that is SENT asks for its change to be carried out, once the journal knows that it is a create by now.
    """
    try:
        if change.kind is Kind.CREATE:
            return _create(change, target, permits)
        if change.kind is Kind.UPDATE:
            return _update(change, target, permits)
        return delete(change, target, permits)
    except SkippedError as error:
        return _failed(change, Fate.SKIPPED, error)
    except (RefusedError, ConflictError, StaleError) as error:
        return _failed(change, _refused(error), error)
    except UnknownError as error:
        return _failed(change, Fate.UNKNOWN, error)
    except STOPPERS as error:
        raise RunStopError(error, _failed(change, _stopped(error), error)) from error
    except EndpointError as error:
        # An answer that is not what the job file promises: the write may well have happened.
        return _failed(change, Fate.UNKNOWN, error)


def resolve(change: Change, target: Target, permits: Permits) -> Outcome:
    """Find out what became of a change whose answer was lost, here or in a run before this one.

    DONE: the target holds it. DROPPED: it surely does not, so it may be planned anew. UNKNOWN: nobody can tell, or not
    yet. Updates and deletes may be repeated, so they are dropped and planned anew.
    """
    if change.kind is not Kind.CREATE:
        return Outcome(change, Fate.DROPPED, reason="may be repeated; planned anew")
    try:
        return _resolve_create(change, target, permits)
    except SkippedError as error:
        return _failed(change, Fate.SKIPPED, error)
    except STOPPERS as error:
        unknown = replace(_failed(change, Fate.UNKNOWN, error), sent_again=_may_be_done(error))
        raise RunStopError(error, unknown) from error
    except EndpointError as error:
        return _failed(change, Fate.UNKNOWN, error)


def _resolve_create(change: Change, target: Target, permits: Permits) -> Outcome:
    if target.has_idempotency:
        try:
            return _created(change, target.create(change))
        except (ConflictError, RefusedError) as error:
            # A conflict may be with the record that the lost create made, or with its key under another body: only a
            # look can tell, and without one the create must not be planned anew.
            if not target.can_lookup:
                raise
            found = target.lookup(change.key, change.document or {})
            # One that is as we sent it is what the lost create made: ours, and not somebody else's to be kept.
            is_as_sent = len(found) == 1 and not differing(change.document or {}, found[0].document)
            if isinstance(error, ConflictError) and len(found) == 1 and not is_as_sent:
                return _adopt(change, target, permits, error)
            if _refused(error) is Fate.UNKNOWN and not permits.shows_at_once:
                return replace(looked_up(change, found, is_young=True), sent_again=True)
            return looked_up(change, found, is_young=change.key in permits.young)
        except (UnknownError, MalformedError) as error:
            return replace(_failed(change, Fate.UNKNOWN, error), sent_again=True)
    if target.can_lookup:
        found = target.lookup(change.key, change.document or {})
        return looked_up(change, found, is_young=change.key in permits.young)
    return Outcome(
        change,
        Fate.UNKNOWN,
        reason="the answer to this create was lost, and the job declares neither lookup nor idempotency_header; "
        "look at the target",
    )


# ---- create ------------------------------------------------------------------------------------------------------


def _create(change: Change, target: Target, permits: Permits) -> Outcome:
    try:
        written = target.create(change)
    except ConflictError as error:
        return _adopt(change, target, permits, error)
    except UnknownError as error:
        young = frozenset() if permits.shows_at_once else {change.key}
        settled = resolve(change, target, replace(permits, young=young))
        if settled.fate is Fate.DROPPED:
            # The look-up proved that it never arrived: this second try is the first.
            written = target.create(change)
        elif settled.fate is Fate.UNKNOWN:
            return replace(_failed(change, Fate.UNKNOWN, error), reason=f"{error}; {settled.reason}")
        else:
            return settled
    return _created(change, written)


def _created(change: Change, written: Written) -> Outcome:
    if written.id is None:
        return Outcome(
            change,
            Fate.UNKNOWN,
            reason="created, but the answer carries no id: say where it is in target.create.id or target.id",
        )
    return Outcome(change, Fate.DONE, target_id=written.id, version=written.version)


def _adopt(change: Change, target: Target, permits: Permits, conflict: ConflictError) -> Outcome:
    """Find the record that the target already has by its key, and bring it in step."""
    try:
        found = target.lookup(change.key, change.document or {}) if target.can_lookup else ()
        if len(found) != 1:
            return _failed(change, Fate.FAILED, conflict)
        if not permits.may_update:
            # Linked, so that it is not created again, as a record of which nobody knows what it holds.
            known = replace(change, fingerprint=b"", raw=b"")
            return Outcome(known, Fate.DONE, target_id=found[0].id, version=found[0].version, owned=False)
        return _in_step(change, target, permits, _whole(change, target, found[0]), owned=False)
    except PASSED_ON:
        raise
    except EndpointError as error:
        # Nothing was created, and the update may be repeated: the next run finds the record and adopts it.
        return _failed(change, Fate.FAILED, error)


# ---- update ------------------------------------------------------------------------------------------------------


def _update(change: Change, target: Target, permits: Permits) -> Outcome:
    try:
        if target.replaces:
            found = read_whole(change, target)
            return _in_step(change, target, permits, found, owned=change.owned, is_first=True)
        written = target.update(replace(change, body=permits.updatable(change.document)))
    except GoneError as error:
        return _match_again(change, target, permits, error)
    except StaleError as error:
        return _update_again(change, target, permits, error)
    return Outcome(
        change,
        Fate.DONE,
        target_id=written.id or change.target_id,
        version=written.version,
        owned=change.owned,
    )


def _update_again(change: Change, target: Target, permits: Permits, refusal: StaleError) -> Outcome:
    """Compare with the record as it is now and send what still differs, once."""
    try:
        found = read_again(change, target, refusal)
    except GoneError as error:
        return _match_again(change, target, permits, error)
    return _in_step(change, target, permits, found, owned=change.owned)


def _match_again(change: Change, target: Target, permits: Permits, error: GoneError) -> Outcome:
    """Find the record of this key in place of the one that is gone, or ask for a create.

    The journal has an update here. Made under it, a record whose answer is lost would be found by the next run, and
    taken for somebody else's for ever: so the create is a row of its own kind before it is sent.
    """
    if not target.can_lookup and target.can_list:
        raise _gone(error)  # matched again in the list at the end of the slice
    if not target.can_lookup:
        raise _gone(error, "declare target.lookup, or set `compare: target`, to have it made again") from error
    found = target.lookup(change.key, change.document or {})
    if len(found) == 1:
        # What stands in the place of the one that is gone was not made by us.
        return _in_step(change, target, permits, _whole(change, target, found[0]), owned=False)
    if found or not permits.may_create:
        raise _gone(error)
    if change.key in permits.young:
        raise _gone(error, NOT_YET) from error
    return Outcome(made_again(change.again), Fate.SENT)


def made_again(update: Change) -> Change:
    """Return the create of a record that an update did not meet."""
    names = tuple(sorted(update.document or ()))
    return replace(update, kind=Kind.CREATE, target_id=None, version=None, before=None, fields=names, owned=True)


def _gone(error: GoneError, cure: str = "") -> GoneError:
    """Return the error with a status that says so, also where a rule said it of another status, or a look by id."""
    status = error.status if error.status in GONE else 404
    return GoneError(f"{error}; {cure}" if cure else str(error), status=status, excerpt=error.excerpt)


def _in_step(
    change: Change, target: Target, permits: Permits, found: TargetRecord, *, owned: bool, is_first: bool = False
) -> Outcome:
    """Send what `found` lacks; nothing, when it lacks nothing. `is_first`: no other request was made for the change."""
    wanted = permits.updatable(change.document)
    fields = differing(wanted, found.document)
    outcome = Outcome(change, Fate.DONE, target_id=found.id, version=found.version, owned=owned)
    if not fields:
        return outcome
    update = replace(
        change if is_first else change.again,
        kind=Kind.UPDATE,
        target_id=found.id,
        version=found.version,
        before=found.document,
        fields=fields,
        body=merged(found.document, wanted) if target.replaces else wanted,
    )
    written = target.update(update)
    return replace(outcome, target_id=written.id or found.id, version=written.version)


def _whole(change: Change, target: Target, found: TargetRecord) -> TargetRecord:
    """Return the record to merge into: a look-up may show a summary, and a PUT would keep no more than that."""
    if not (target.replaces and target.can_get):
        return found
    return read_whole(replace(change, target_id=found.id), target)


# ---- what became of it -------------------------------------------------------------------------------------------


def looked_up(change: Change, found: tuple[TargetRecord, ...], *, is_young: bool) -> Outcome:
    """Say what became of a create whose answer was lost, from what the target shows for its key now.

    `is_young`: the target may not show it yet.
    """
    if not found and is_young:
        return Outcome(change, Fate.UNKNOWN, reason=f"the answer to this create was lost; looked up: {NOT_YET}")
    if not found:
        return Outcome(change, Fate.DROPPED, reason="looked up: the target has no such record")
    if len(found) > 1:
        return Outcome(change, Fate.UNKNOWN, reason=f"looked up: the target has {len(found)} records for this key")
    if differing(change.document or {}, found[0].document):
        # It is there, but not as we sent it: remembered as not known, it is brought in step like any other.
        change = replace(change, fingerprint=b"", raw=b"")
    return Outcome(change, Fate.DONE, target_id=found[0].id, version=found[0].version)


def _refused(error: EndpointError) -> Fate:
    # A 5xx says nothing of how far the write got, so it may have been carried out.
    return Fate.UNKNOWN if (error.status or 0) >= 500 else Fate.FAILED


def _stopped(error: EndpointError) -> Fate:
    # A rule that ends the run speaks of this very answer; what else stops a run mostly left the change undone.
    if isinstance(error, FatalError):
        return _refused(error)
    return Fate.UNKNOWN if _may_be_done(error) else Fate.DROPPED


def _may_be_done(error: EndpointError) -> bool:
    return isinstance(error, UnavailableError) and error.may_be_done


def _failed(change: Change, fate: Fate, error: EndpointError) -> Outcome:
    return Outcome(change, fate, reason=str(error), status=error.status, excerpt=error.excerpt)
