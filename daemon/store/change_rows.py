"""A change as a row of the table `changes`, both ways, and its moves from fate to fate."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache

from sqlalchemy import Connection

from daemon.errors import StateError
from daemon.sync.change import MOVES, Change, Fate, Kind, Outcome, Reject

from .columns import document_text, from_json, to_json
from .statements import Stored, Values, execute, fetch, many, marks
from .stretches import check

FIELDS_KEPT = 256
"""Different lists of fields that are remembered with their texts."""

# Fates are written into the statements where an index of few rows is meant: SQLite uses it only then.

INSERT = (
    "INSERT INTO changes (run, job, updated_at, seq, kind, key, document, fields, fingerprint, raw, owned, "
    "idempotency_key, part, fate) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'planned')"
)
INSERT_KNOWN = INSERT.replace(", fate)", ", fate, target_id, version, before, contest)").replace(
    "'planned')", "'planned', ?, ?, ?, ?)"
)
"""Of changes of records of which something is known. To bind a null costs as much as to bind three texts."""
PLANNED = (
    "SELECT seq, kind, key, target_id, version, document, before, fields, fingerprint, raw, owned, idempotency_key, "
    "fate, reason, contest, part FROM changes WHERE run = ? AND seq > ? AND fate = 'planned' AND kind IN (?, ?, ?) "
    "ORDER BY seq LIMIT ?"
)
ALL = (
    "SELECT seq, kind, key, target_id, version, document, before, fields, fingerprint, raw, owned, idempotency_key, "
    "fate, reason, contest, part FROM changes WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?"
)
FAILED = (
    "SELECT seq, kind, key, target_id, version, document, before, fields, fingerprint, raw, owned, idempotency_key, "
    "fate, reason, contest, part FROM changes WHERE run = ? AND seq > ? AND fate = 'failed' AND kind = ? "
    "AND status IN (?*) ORDER BY seq LIMIT ?"
)
MEND = (
    "UPDATE changes SET fate = CASE fate WHEN 'failed' THEN 'planned' ELSE fate END, reason = '', status = NULL, "
    "kind = ?, target_id = ?, version = ?, before = ?, fields = ?, owned = ?, idempotency_key = ?, updated_at = ? "
    "WHERE run = ? AND seq = ? AND fate IN ('failed', 'sent')"
)
AGAIN = (
    "UPDATE changes SET fate = 'planned', reason = '', status = NULL, idempotency_key = run || '-' || seq || ?, "
    "updated_at = ? WHERE run = ? AND seq > ? AND fate = 'failed' AND kind = ? AND status IN (?*) "
    # A key that came twice has another reject by now: neither of its records is written.
    "AND EXISTS (SELECT 1 FROM rejects WHERE rejects.job = changes.job AND rejects.key = changes.key "
    "AND rejects.run = changes.run AND rejects.kind = changes.kind AND rejects.status = changes.status)"
)
UNRESOLVED = (
    "SELECT seq, kind, key, target_id, version, document, before, fields, fingerprint, raw, owned, idempotency_key, "
    "fate, reason, contest, part FROM changes WHERE job = ? AND fate IN ('sent', 'unknown') AND run <> ? "
    "ORDER BY run, seq"
)
BY_SEQ = (
    "UPDATE changes SET fate = ?, reason = ?, status = ?, target_id = coalesce(?, target_id), "
    "version = coalesce(?, version), updated_at = ? WHERE run = ? AND seq = ? AND fate IN (?, ?, ?, ?)"
)
"""Moves a change of the present run."""
BY_IDEMPOTENCY_KEY = (
    "UPDATE changes SET fate = ?, reason = ?, status = ?, target_id = coalesce(?, target_id), "
    "version = coalesce(?, version), updated_at = coalesce(?, updated_at) WHERE job = ? AND idempotency_key = ? "
    "AND fate IN ('sent', 'unknown') AND fate IN (?, ?, ?, ?)"
)
"""Moves an unresolved change of any run of the job."""


def insert_changes(connection: Connection, run: str, job: str, changes: Sequence[Change], at: str) -> None:
    """Write new changes, all of them planned."""
    rows: list[Values] = []
    known: list[Values] = []
    for one in changes:
        row = (
            run,
            job,
            at,
            one.seq,
            one.kind._value_,
            one.key,
            document_text(one.document),
            _names_text(one.fields),
            one.fingerprint,
            one.raw,
            one.owned,
            one.idempotency_key,
            one.part,
        )
        if one.target_id is None and one.version is None and one.before is None and one.contest is None:
            rows.append(row)
        else:
            known.append((*row, one.target_id, one.version, document_text(one.before), one.contest))
    many(connection, INSERT, rows)
    many(connection, INSERT_KNOWN, known)


def planned_after(connection: Connection, run: str, seq: int, kinds: Iterable[Kind], limit: int) -> Sequence[Change]:
    """Return the next planned changes of these kinds, in order of seq."""
    return [change_of(row) for row in fetch(connection, PLANNED, (run, seq, *marked(kinds, marks=3), limit))]


def changes_after(connection: Connection, run: str, seq: int, limit: int) -> Sequence[Change]:
    """Return the next changes of whatever fate, in order of seq."""
    return [change_of(row) for row in fetch(connection, ALL, (run, seq, limit))]


def unresolved(connection: Connection, job: str, run: str) -> Sequence[Change]:
    """Return the changes of the job's other runs whose fate is sent or unknown, oldest first."""
    return tuple(change_of(row) for row in fetch(connection, UNRESOLVED, (job, run)))


def move(
    connection: Connection,
    statement: str,
    to: Fate,
    rows: Iterable[tuple[Outcome, str | None, Values]],
    *,
    may_stay: bool = False,
) -> None:
    """Move one change for each row of outcome, moment and address (what follows WHERE in the statement).

    Raises StateError when a change is not there or may not move to this fate; `may_stay`: or is there already.
    """
    origins = [origin for origin, allowed in MOVES.items() if to in allowed] + [to] * may_stay
    values = list(_moves(to, marked(origins, marks=4), rows))
    check(many(connection, statement, values), len(values), to)


def spoil_planned(connection: Connection, run: str, reject: Reject | None, key: str, at: str) -> None:
    """Make the planned change of a key failed; dropped where there is no reject. StateError when it has none."""
    fate = Fate.FAILED if reject is not None else Fate.DROPPED
    reason, status = (reject.reason, reject.status) if reject is not None else ("", None)
    taken_back = execute(
        connection,
        "UPDATE changes SET fate = ?, reason = ?, status = ?, updated_at = ? "
        "WHERE run = ? AND key = ? AND fate = 'planned'",
        (fate.value, reason, status, at, run, key),
    ).rowcount
    if taken_back != 1:
        raise StateError("the journal: the key has no planned change to take back (this is a bug: please report it)")


def withhold_planned(connection: Connection, run: str, kinds: Iterable[Kind], reason: str, at: str) -> None:
    """Make the planned changes of these kinds withheld."""
    execute(
        connection,
        "UPDATE changes SET fate = 'withheld', reason = ?, updated_at = ? "
        "WHERE run = ? AND fate = 'planned' AND kind IN (?, ?, ?)",
        (reason, at, run, *marked(kinds, marks=3)),
    )


def failed_after(
    connection: Connection, run: str, seq: int, kind: Kind, statuses: Collection[int], limit: int
) -> Sequence[Change]:
    """Return the next failed changes of a kind and some statuses, in order of seq."""
    sql = FAILED.replace("(?*)", marks(statuses))
    return tuple(change_of(row) for row in fetch(connection, sql, (run, seq, kind.value, *statuses, limit)))


def mend(connection: Connection, run: str, changes: Sequence[Change], at: str) -> None:
    """Change failed or sent changes to what is given; what failed is planned. StateError where one is neither."""
    rows: list[Values] = [
        (
            one.kind.value,
            one.target_id,
            one.version,
            document_text(one.before),
            to_json(one.fields),
            one.owned,
            one.idempotency_key,
            at,
            run,
            one.seq,
        )
        for one in changes
    ]
    if many(connection, MEND, rows) != len(rows):
        raise StateError(
            "the journal: a change that is to be mended neither failed nor is sent (this is a bug: please report it)"
        )


def plan_again(
    connection: Connection, run: str, kind: Kind, statuses: Collection[int], *, after: int, attempt: int, at: str
) -> int:
    """Put the failed changes of a kind and some statuses back to planned, and return how many they are."""
    sql = AGAIN.replace("(?*)", marks(statuses))
    return execute(connection, sql, (f".{attempt}", at, run, after, kind.value, *statuses)).rowcount


def _moves(to: Fate, origins: Values, rows: Iterable[tuple[Outcome, str | None, Values]]) -> Iterator[Values]:
    for one, at, address in rows:
        yield to.value, one.reason, one.status, one.target_id, one.version, at, *address, *origins


def marked(words: Iterable[Kind | Fate], *, marks: int) -> Values:
    """Return the words, filled up to the marks that a statement's list has. Without words, nothing matches."""
    found = [word.value for word in words] or [""]
    return (*found, *found[-1:] * (marks - len(found)))


def change_of(row: Stored) -> Change:
    """Return the change in a row."""
    seq, kind, key, target_id, version, document, before, fields, fingerprint, raw, owned, name, *rest = row
    fate, reason, contest, part = rest
    # By place, in the order of the fields: names cost as much again.
    return Change(
        seq,
        _KINDS[kind],
        key,
        target_id,
        version,
        None if document is None else from_json(document),
        None if before is None else from_json(before),
        _names(fields),
        fingerprint,
        raw,
        bool(owned),
        name,
        _FATES[fate],
        reason,
        contest,
        part,
    )


_KINDS = {kind.value: kind for kind in Kind}
_FATES = {fate.value: fate for fate in Fate}


# Most changes of a run have the fields of the one before.
@lru_cache(maxsize=FIELDS_KEPT)
def _names_text(fields: tuple[str, ...]) -> str:
    return to_json(fields)


@lru_cache(maxsize=FIELDS_KEPT)
def _names(text: str) -> tuple[str, ...]:
    return tuple(from_json(text))
