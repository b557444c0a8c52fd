"""The plan of one run, written before anything is sent; the only writer of what runs remember.

Every method that writes is one transaction, durable on return, that first makes sure of the lease. Fates move only as
`MOVES` allows.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

from sqlalchemy import Connection

from daemon.clock import Clock
from daemon.sync.change import Change, Fate, Kind, Link, Outcome, Reject
from daemon.sync.counts import Counts
from daemon.sync.cursor import Cursor
from daemon.sync.mark import Mark
from daemon.values import Document

from .change_rows import (
    BY_IDEMPOTENCY_KEY,
    BY_SEQ,
    changes_after,
    failed_after,
    insert_changes,
    mend,
    move,
    plan_again,
    planned_after,
    spoil_planned,
    unresolved,
    withhold_planned,
)
from .columns import moment_text
from .cursors import save_cursors, save_whole
from .database import Database
from .leases import Lease, hold
from .links import doubt_links, forget_links, keep_links, touch_links
from .outcomes import by_fate, link_after
from .reads import forget_mark, has_mark, load_mark, rejected_behind, save_mark, take_up_mark
from .reject_rows import has_rejects, keep_rejects, let_rest, release, settle_rejects
from .runs import store_counts
from .statements import execute, look_up
from .stretches import Sent, finish, send

WALK_BATCH = 1_000
"""Changes read at a time while they are carried out: two megabytes at 2 kB a document."""


class SqlJournal:
    """The port `Journal` of one run, for one thread.

    A plan journals into a scratch database: without a lease, and with `links_are_kept=False`, so that links it is
    told to keep are not. `documents_are_kept=False` remembers fingerprints only (`remember: fingerprint`).
    """

    def __init__(
        self,
        database: Database,
        *,
        run: str,
        job: str,
        clock: Clock,
        lease: Lease | None,
        links_are_kept: bool = True,
        documents_are_kept: bool = True,
    ) -> None:
        self._database = database
        self._run = run
        self._job = job
        self._clock = clock
        self._lease = lease
        self._links_are_kept = links_are_kept
        self._documents_are_kept = documents_are_kept
        self._is_marked = True
        """Whether the job may have a mark."""
        self._sent = Sent()

    def plan(
        self,
        changes: Sequence[Change],
        *,
        links: Sequence[tuple[Link, Document | None]],
        rejects: Sequence[Reject],
        counts: Counts,
        forgotten: Sequence[str] = (),
        rests: Sequence[str] = (),
    ) -> None:
        """Write one page's changes as planned, store its links and rejects, note what rests, set the counts."""
        with self._database.write() as connection:
            self._hold(connection)
            insert_changes(connection, self._run, self._job, changes, self._at())
            self._keep(connection, links)
            if self._links_are_kept:
                forget_links(connection, self._job, forgotten)
            keep_rejects(connection, self._job, self._run, rejects, self._clock())
            let_rest(connection, self._job, self._run, rests, self._clock())
            store_counts(connection, self._run, counts)

    def known(self, keys: Sequence[str]) -> Mapping[str, Fate | None]:
        """Return which of these keys have a change (its fate) or else a reject (None) in this run."""
        found: dict[str, Fate | None] = {}
        if not keys:
            return found
        with self._database.read() as connection:
            if has_rejects(connection, self._job):
                sql = "SELECT key FROM rejects WHERE job = ? AND run = ? AND key IN (?*)"
                found.update((row[0], None) for row in look_up(connection, sql, (self._job, self._run), keys))
            sql = "SELECT key, fate, seq FROM changes WHERE run = ? AND key IN (?*)"
            # Sorted here: told to do it, SQLite walks the whole run by seq instead of using the index by key.
            rows = sorted(look_up(connection, sql, (self._run,), keys), key=itemgetter(2))
            found.update((row[0], Fate(row[1])) for row in rows)
        return found

    def part_of(self, key: str) -> str:
        """Return the part in which this run met the record of its latest change of this key; empty where none did."""
        sql = "SELECT part FROM changes WHERE run = ? AND key = ? ORDER BY seq DESC LIMIT 1"
        with self._database.read() as connection:
            row = execute(connection, sql, (self._run, key)).first()
        return "" if row is None else str(row[0])

    def spoil(self, key: str, reject: Reject | None, counts: Counts) -> None:
        """Make the planned change of `key` failed, with this reject as its reason; without one, dropped."""
        with self._database.write() as connection:
            self._hold(connection)
            spoil_planned(connection, self._run, reject, key, self._at())
            keep_rejects(connection, self._job, self._run, [reject] if reject is not None else [], self._clock())
            store_counts(connection, self._run, counts)

    def planned(self, kinds: Iterable[Kind]) -> Iterator[Change]:
        """Yield the planned changes of these kinds in order of seq, each once, whatever is committed meanwhile."""
        wanted = tuple(kinds)
        return self._walk(lambda connection, after: planned_after(connection, self._run, after, wanted, WALK_BATCH))

    def changes(self) -> Iterator[Change]:
        """Yield all changes of this run in order of seq, for people to read."""
        return self._walk(lambda connection, after: changes_after(connection, self._run, after, WALK_BATCH))

    def _walk(self, after: Callable[[Connection, int], Sequence[Change]]) -> Iterator[Change]:
        """Yield changes a batch at a time, without a transaction left open between two batches."""
        last = -1
        while True:
            with self._database.read() as connection:
                batch = after(connection, last)
            yield from batch
            if len(batch) < WALK_BATCH:
                return
            last = batch[-1].seq

    def commit(self, *, sent: Sequence[Change], outcomes: Sequence[Outcome], counts: Counts) -> None:
        """Mark `sent` as sent and record `outcomes`, with their links, documents, rejects and counts."""
        with self._database.write() as connection:
            self._hold(connection)
            at = self._at()
            send(connection, self._run, sent, at)
            plain, others = self._sent.parted(outcomes)
            links, documents = self._links_are_kept, self._documents_are_kept
            finish(connection, self._run, plain, at, links=links, documents=documents)
            settle_rejects(connection, self._job, [one.change.key for one in plain])
            for fate, some in by_fate(others):
                move(connection, BY_SEQ, fate, ((one, at, (self._run, one.change.seq)) for one in some))
            self._remember(connection, others)
            store_counts(connection, self._run, counts)
        self._sent.note(sent)

    # ---- tried again ---------------------------------------------------------------------------------------------

    def failed(self, kind: Kind, statuses: Collection[int], *, after: int, limit: int) -> Sequence[Change]:
        """Return up to `limit` of this run's failed changes of a kind and these statuses, in order of seq > `after`."""
        with self._database.read() as connection:
            return failed_after(connection, self._run, after, kind, statuses, limit)

    def mend(self, changes: Sequence[Change], counts: Counts) -> None:
        """Change failed or sent changes of this run to what is given now; what failed is planned again."""
        with self._database.write() as connection:
            self._hold(connection)
            mend(connection, self._run, changes, self._at())
            store_counts(connection, self._run, counts)
        self._sent.forget(changes)

    def again(self, statuses: Mapping[Kind, Collection[int]], *, after: int, attempt: int, counts: Counts) -> Counts:
        """Put all failed changes of these kinds and statuses with seq > `after` back to planned; return the counts."""
        with self._database.write() as connection:
            self._hold(connection)
            moved = {
                kind: plan_again(connection, self._run, kind, some, after=after, attempt=attempt, at=self._at())
                for kind, some in statuses.items()
            }
            counts = counts.reopened(moved)
            store_counts(connection, self._run, counts)
        return counts

    # ---- marks ---------------------------------------------------------------------------------------------------

    def last_mark(self, revision: str) -> Mark | None:
        """Return the mark that this run may take up, None when there is none."""
        with self._database.read() as connection:
            self._is_marked = has_mark(connection, self._job)
            return load_mark(connection, self._job, revision, self._clock()) if self._is_marked else None

    def behind_mark(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of these keys whose record was rejected before the mark, and still is."""
        with self._database.read() as connection:
            return rejected_behind(connection, self._job, keys)

    def mark(self, mark: Mark) -> None:
        """Save a mark in place of the one before it, covering the rejects that this run has kept so far."""
        with self._database.write() as connection:
            self._hold(connection)
            save_mark(connection, self._job, self._run, mark, self._clock())
        self._is_marked = True

    def take_up(self) -> None:
        """Make the mark this run's own, and the rejects before it."""
        with self._database.write() as connection:
            self._hold(connection)
            take_up_mark(connection, self._job, self._run)

    def unmark(self) -> None:
        """Forget the mark, if there is one. Without one, nothing is written."""
        if self._is_marked:
            with self._database.write() as connection:
                self._hold(connection)
                forget_mark(connection, self._job)

    def move(self, cursors: Sequence[Cursor], *, whole: bool) -> None:
        """Set these cursors; `whole`: this run has read the source as a whole, and settled all of it."""
        with self._database.write() as connection:
            self._hold(connection)
            save_cursors(connection, self._job, self._run, cursors, self._clock())
            if whole:
                save_whole(connection, self._job, self._run, self._clock())

    # ---- guarded -------------------------------------------------------------------------------------------------

    def withhold(self, kinds: Iterable[Kind], reason: str, counts: Counts) -> None:
        """Make all planned changes of these kinds withheld."""
        with self._database.write() as connection:
            self._hold(connection)
            withhold_planned(connection, self._run, kinds, reason, self._at())
            store_counts(connection, self._run, counts)

    def tally(self) -> Mapping[tuple[Kind, Fate], int]:
        """Count this run's changes by kind and fate."""
        sql = "SELECT kind, fate, count(*) FROM changes WHERE run = ? GROUP BY kind, fate"
        with self._database.read() as connection:
            rows = execute(connection, sql, (self._run,))
            return {(Kind(kind), Fate(fate)): number for kind, fate, number in rows}

    def unresolved(self) -> Sequence[Change]:
        """Return the changes of earlier runs of this job whose fate is sent or unknown, oldest first."""
        with self._database.read() as connection:
            return unresolved(connection, self._job, self._run)

    def resolve(self, outcomes: Sequence[Outcome]) -> None:
        """Record what became of unresolved changes, as `commit` does, outside this run's counts.

        They are found by their idempotency keys, since their seq counts in another run. One that stays unknown is
        recorded as such again, and grows no younger by it.
        """
        with self._database.write() as connection:
            self._hold(connection)
            at = self._at()
            for fate, some in by_fate(outcomes):
                rows = ((one, None if one.stays else at, (self._job, one.change.idempotency_key)) for one in some)
                move(connection, BY_IDEMPOTENCY_KEY, fate, rows, may_stay=fate is Fate.UNKNOWN)
            self._remember(connection, outcomes)
            repeated = [one.change.key for one in outcomes if one.fate is Fate.DROPPED]
            touch_links(connection, self._job, repeated, at)

    def _remember(self, connection: Connection, outcomes: Sequence[Outcome]) -> None:
        """Store what outcomes mean for links, documents and rejects."""
        done = [one for one in outcomes if one.fate is Fate.DONE]
        written = [(link_after(one), one.change.document) for one in done if one.change.kind is not Kind.DELETE]
        self._keep(connection, written, written_at=self._at())
        deletes = [one for one in done if one.change.kind is Kind.DELETE]
        forget_links(connection, self._job, [one.change.key for one in deletes if not one.is_doubtful])
        doubt_links(connection, self._job, [one.change.key for one in deletes if one.is_doubtful])
        settled = [one.change.key for one in outcomes if one.fate in {Fate.DONE, Fate.SKIPPED}]
        settle_rejects(connection, self._job, settled)
        release(connection, self._job, [one.change.key for one in outcomes if one.fate is Fate.DROPPED])
        rejects = [
            Reject(one.change.key, one.reason, one.status, one.excerpt, one.change.kind, one.retry, one.refused)
            for one in outcomes
            if one.fate in {Fate.FAILED, Fate.UNKNOWN}
        ]
        keep_rejects(connection, self._job, self._run, rejects, self._clock())

    def _keep(
        self, connection: Connection, links: Sequence[tuple[Link, Document | None]], *, written_at: str | None = None
    ) -> None:
        if self._links_are_kept:
            kept = links if self._documents_are_kept else [(link, None) for link, _ in links]
            keep_links(connection, self._job, kept, written_at=written_at)

    def _hold(self, connection: Connection) -> None:
        if self._lease is not None:
            hold(connection, self._lease, self._clock())

    def _at(self) -> str:
        return moment_text(self._clock())
