"""Changes of one run that follow one another, moved by one statement for all of them.

A row changed by a statement of its own costs five times as much, most of it in the driver. What a create leaves behind
that went as it was planned stands in its row already: link and document are made of it inside the database.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from daemon.errors import StateError
from daemon.sync.change import Change, Fate, Kind, Outcome

from .statements import many

SEND = (
    "UPDATE changes SET fate = 'sent', reason = '', status = NULL, updated_at = ? "
    "WHERE run = ? AND seq BETWEEN ? AND ? AND fate = 'planned'"
)
DONE_UNDER_ITS_KEY = (
    "UPDATE changes SET fate = 'done', reason = '', status = NULL, target_id = key, updated_at = ? "
    "WHERE run = ? AND seq BETWEEN ? AND ? AND fate IN ('sent', 'unknown')"
)
DONE = (
    "UPDATE changes SET fate = 'done', reason = '', status = NULL, target_id = ?, updated_at = ? "
    "WHERE run = ? AND seq = ? AND fate IN ('sent', 'unknown')"
)
LINK = (
    "INSERT INTO links (job, key, target_id, fingerprint, raw, version, owned, contest, part, written_at) "
    "SELECT job, key, target_id, fingerprint, raw, version, owned, contest, part, updated_at FROM changes "
    "WHERE run = ? AND seq BETWEEN ? AND ? ORDER BY seq "
    "ON CONFLICT (job, key) DO UPDATE SET target_id = excluded.target_id, fingerprint = excluded.fingerprint, "
    "raw = excluded.raw, version = excluded.version, owned = excluded.owned, contest = excluded.contest, "
    "part = excluded.part, written_at = excluded.written_at"
)
"""On PostgreSQL a link that is there already has an id of the sequence wasted: rare, where a create went well."""
REMEMBER = (
    "INSERT INTO documents (link, document) SELECT links.id, changes.document FROM changes "
    "JOIN links ON links.job = changes.job AND links.key = changes.key "
    "WHERE changes.run = ? AND changes.seq BETWEEN ? AND ? AND changes.document IS NOT NULL ORDER BY changes.seq "
    "ON CONFLICT (link) DO UPDATE SET document = excluded.document"
)


class Sent:
    """The changes that this run marked as sent, until something comes back; as many as are under way."""

    def __init__(self) -> None:
        self._changes: dict[int, Change] = {}

    def note(self, changes: Iterable[Change]) -> None:
        """Take in changes whose rows say `sent`, and what the changes say."""
        self._changes.update((change.seq, change) for change in changes)

    def forget(self, changes: Iterable[Change]) -> None:
        """Forget changes whose rows are other ones now."""
        for change in changes:
            self._changes.pop(change.seq, None)

    def parted(self, outcomes: Iterable[Outcome]) -> tuple[Sequence[Outcome], Sequence[Outcome]]:
        """Return the creates that went just as their rows say, and all others. None of them is under way any more."""
        plain: list[Outcome] = []
        others: list[Outcome] = []
        for one in outcomes:
            as_sent = self._changes.pop(one.change.seq, None) is one.change
            (plain if as_sent and _is_plain(one) else others).append(one)
        return plain, others


def _is_plain(one: Outcome) -> bool:
    change = one.change
    if one.fate is not Fate.DONE or change.kind is not Kind.CREATE or one.target_id is None:
        return False
    says_more = one.reason or one.status is not None or one.version is not None or change.version is not None
    return one.owned and change.owned and not says_more


def send(connection: Connection, run: str, changes: Sequence[Change], at: str) -> None:
    """Make planned changes sent. Raises StateError where one is not planned."""
    rows = [(at, run, first, last) for first, last in stretches(change.seq for change in changes)]
    check(many(connection, SEND, rows), len(changes), Fate.SENT)


def finish(
    connection: Connection, run: str, creates: Sequence[Outcome], at: str, *, links: bool, documents: bool
) -> None:
    """Make plain creates done; store their links and documents where these are kept. StateError: one is not sent."""
    rows = stretches(one.change.seq for one in creates)
    if all(one.target_id == one.change.key for one in creates):
        done = many(connection, DONE_UNDER_ITS_KEY, [(at, run, *row) for row in rows])
    else:
        done = many(connection, DONE, [(one.target_id, at, run, one.change.seq) for one in creates])
    check(done, len(creates), Fate.DONE)
    if links:
        many(connection, LINK, [(run, *row) for row in rows])
    if links and documents:
        many(connection, REMEMBER, [(run, *row) for row in rows])


def stretches(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Return these numbers as few stretches, each from its first to its last; a number that comes twice as two."""
    found: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if found and seq == found[-1][1] + 1:
            found[-1] = (found[-1][0], seq)
        else:
            found.append((seq, seq))
    return found


def check(moved: int, changes: int, to: Fate) -> None:
    """Raise StateError when not all changes were moved."""
    if moved != changes:
        raise StateError(
            f"the journal: {changes - moved} of {changes} changes are not where they may become {to.value}; "
            "nothing was committed (this is a bug: please report it)"
        )
