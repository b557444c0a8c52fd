"""Carry out one change at the target, and say what became of it.

Called from the pool's threads; touches nothing but the target. A create is never repeated blindly: after a lost
answer it is looked up, or repeated under its idempotency key, or left unknown for a person.
"""

from dataclasses import replace

from daemon.errors import (
    AuthError,
    ConflictError,
    EndpointError,
    GoneError,
    RefusedError,
    StaleError,
    StoppedError,
    TrustError,
    UnavailableError,
    UnknownError,
)

from .change import Change, Fate, Kind, Outcome
from .diff import differing
from .ports import Target, TargetRecord, Written

STOPPERS = (UnavailableError, AuthError, TrustError, StoppedError)
"""What makes it pointless to go on with other changes: the system as a whole does not do business now."""


class RunStopError(Exception):
    """The target can take no change at all now: `cause` says why, `outcome` what became of the one in hand."""

    def __init__(self, cause: EndpointError, outcome: Outcome) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.outcome = outcome


def carry_out(change: Change, target: Target, may_create: bool) -> Outcome:  # noqa: FBT001 - pools take positions
    """Make one write. Raises RunStopError when going on with other changes is pointless.

    `may_create` says whether a stale link may end in a new record; update_only jobs say no.
    """
    try:
        if change.kind is Kind.CREATE:
            return _create(change, target)
        if change.kind is Kind.UPDATE:
            return _update(change, target, may_create=may_create)
        target.delete(change)
        return Outcome(change, Fate.DONE, target_id=change.target_id)
    except (RefusedError, ConflictError, StaleError) as error:
        # A 5xx says nothing of how far the write got, so it may have been carried out.
        return _failed(change, Fate.UNKNOWN if (error.status or 0) >= 500 else Fate.FAILED, error)
    except UnknownError as error:
        return _failed(change, Fate.UNKNOWN, error)
    except STOPPERS as error:
        raise RunStopError(error, _failed(change, Fate.DROPPED, error)) from error
    except EndpointError as error:
        # An answer that is not what the job file promises: the write may well have happened.
        return _failed(change, Fate.UNKNOWN, error)


def resolve(change: Change, target: Target) -> Outcome:
    """Find out what became of a change whose answer was lost, here or in a run before this one.

    DONE: the target holds it. DROPPED: it surely does not, so it may be planned anew. UNKNOWN: nobody can tell.
    Updates and deletes may be repeated, so they are dropped and planned anew.
    """
    if change.kind is not Kind.CREATE:
        return Outcome(change, Fate.DROPPED, reason="may be repeated; planned anew")
    try:
        return _resolve_create(change, target)
    except STOPPERS as error:
        raise RunStopError(error, _failed(change, Fate.UNKNOWN, error)) from error
    except EndpointError as error:
        return _failed(change, Fate.UNKNOWN, error)


def _resolve_create(change: Change, target: Target) -> Outcome:
    if target.has_idempotency:
        try:
            return _created(change, target.create(change))
        except ConflictError as error:
            return _adopt(change, target, error)
        except RefusedError:
            if not target.can_lookup:
                raise
    if target.can_lookup:
        return looked_up(change, target.lookup(change.key, change.document or {}))
    return Outcome(
        change,
        Fate.UNKNOWN,
        reason="the answer to this create was lost, and the job declares neither lookup nor idempotency_header; "
        "look at the target",
    )


def _create(change: Change, target: Target) -> Outcome:
    try:
        written = target.create(change)
    except ConflictError as error:
        return _adopt(change, target, error)
    except UnknownError as error:
        settled = resolve(change, target)
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


def _adopt(change: Change, target: Target, conflict: ConflictError) -> Outcome:
    """Find the record that the target already has by its key, and bring it in step."""
    try:
        found = target.lookup(change.key, change.document or {}) if target.can_lookup else ()
        if len(found) != 1:
            return _failed(change, Fate.FAILED, conflict)
        return _bring_in_step(change, target, found[0], owned=False)
    except STOPPERS:
        raise
    except EndpointError as error:
        # Nothing was created, and the update may be repeated: the next run finds the record and adopts it.
        return _failed(change, Fate.FAILED, error)


def _bring_in_step(change: Change, target: Target, found: TargetRecord, *, owned: bool) -> Outcome:
    document = change.document or {}
    fields = differing(document, found.document)
    outcome = Outcome(change, Fate.DONE, target_id=found.id, version=found.version, owned=owned)
    if not fields:
        return outcome
    update = replace(
        change,
        kind=Kind.UPDATE,
        target_id=found.id,
        version=found.version,
        before=found.document,
        fields=fields,
    )
    written = target.update(update)
    return replace(outcome, version=written.version)


def _update(change: Change, target: Target, *, may_create: bool) -> Outcome:
    try:
        written = target.update(change)
    except GoneError as error:
        # The record we knew is gone: match again, once. What this creates stands in the journal as an update, so
        # after a crash only a look-up can find it.
        if not target.can_lookup:
            cure = "declare target.lookup, or set `compare: target`, to have it made again"
            raise GoneError(f"{error}; {cure}", status=error.status, excerpt=error.excerpt) from error
        found = target.lookup(change.key, change.document or {})
        if len(found) == 1:
            return _bring_in_step(change, target, found[0], owned=change.owned)
        if found or not may_create:
            raise
        created = _create(replace(change, kind=Kind.CREATE, target_id=None, version=None), target)
        return replace(created, change=replace(created.change, kind=Kind.UPDATE))
    return Outcome(
        change,
        Fate.DONE,
        target_id=written.id or change.target_id,
        version=written.version,
        owned=change.owned,
    )


def looked_up(change: Change, found: tuple[TargetRecord, ...]) -> Outcome:
    """Say what became of a create whose answer was lost, from what the target holds for its key now."""
    if not found:
        return Outcome(change, Fate.DROPPED, reason="looked up: the target has no such record")
    if len(found) > 1:
        return Outcome(change, Fate.UNKNOWN, reason=f"looked up: the target has {len(found)} records for this key")
    if differing(change.document or {}, found[0].document):
        # It is there, but not as we sent it: remembered as not known, it is brought in step like any other.
        change = replace(change, fingerprint=b"", raw=b"")
    return Outcome(change, Fate.DONE, target_id=found[0].id, version=found[0].version)


def _failed(change: Change, fate: Fate, error: EndpointError) -> Outcome:
    return Outcome(change, fate, reason=str(error), status=error.status, excerpt=error.excerpt)
