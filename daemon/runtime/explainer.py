"""Gathering what is known about one record: both systems are read, the state is read, and nothing is written.

What the next run would do is rehearsed in a scratch database, into which what is remembered of this one record is
copied first.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from daemon.clock import Clock
from daemon.endpoints.showing import blotted
from daemon.errors import EndpointError, Exit, RefusedError, StoppedError
from daemon.spec import Job
from daemon.store.database import Database
from daemon.store.excerpt import copy_key
from daemon.store.history import KeyHistory
from daemon.store.index import SqlTargetIndex
from daemon.store.journal import SqlJournal
from daemon.store.leases import Leases
from daemon.store.links import SqlLinks
from daemon.store.rejects import RejectRow, Rejects
from daemon.store.run_row import RunRow
from daemon.store.runs import RunStore
from daemon.sync.canonical import keys_shown_as
from daemon.sync.change import Change, Link
from daemon.sync.events import Event
from daemon.sync.explanation import Explanation, History, KeptReject, Sending
from daemon.sync.findings import hints, in_source, in_target, mapped, remembered, telling
from daemon.sync.forecast import RUN, Forecast, Verb, foretell
from daemon.sync.intake import DUPLICATE
from daemon.sync.looking import Looked, look
from daemon.sync.mapping import JobMapping
from daemon.sync.outcome import Phase
from daemon.sync.ports import Links, Ports
from daemon.sync.rehearsal import NotAskedError, ReadOnlyTarget, RehearsedLinks
from daemon.sync.search import Search, search
from daemon.sync.seen import Seen
from daemon.values import Document

from .both_sides import Endpoints

RUNS = 200
"""Runs whose changes are looked through: two days of a job that runs every quarter of an hour."""
CHANGES = 10
"""Changes that are shown: a screen has no room for more, and the newest say the most."""
NEAR = 5
"""Keys that are offered for one that is not known."""
_SEARCH = "search"
"""Stands where the id of a run would stand, while the source is searched."""


@dataclass(frozen=True, slots=True)
class Explainer:
    """Explains single records. Made by the composition root; threads may share it."""

    database: Database
    leases: Leases
    runs: RunStore
    endpoints: Callable[[Job, Callable[[], bool]], Endpoints]
    """Opens both sides of a job; its waits end when the callable says so."""
    blot: Callable[[str], Callable[[str], str]]
    """Returns what takes the secrets of a connection out of texts."""
    clock: Clock
    stop: threading.Event
    """Set when the process is asked to end."""

    def explain(self, name: str, job: Job, text: str, *, ask_source: bool, ask_target: bool) -> Explanation:
        """Return what is known of the record whose key is shown as `text`. A system that is away is no error here.

        Raises StateError when the state cannot be read, StoppedError when the process is asked to end.
        """
        with Database.scratch() as scratch, ThreadPoolExecutor(1, thread_name_prefix="look") as pool:
            inquiry = _Inquiry(self, name, job, text, scratch, pool, ask_target=ask_target)
            return inquiry.explanation(ask_source=ask_source)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What the state holds of the record."""

    key: str
    link: Link | None
    document: Document | None
    """The last document sent."""
    unresolved: tuple[Change, ...]
    under_way: str | None
    """The job's run that goes on in this moment; its changes are not unresolved."""
    goes_on: bool
    """Whether the next run takes up a read that was cut off."""


class _Inquiry:
    """One explanation in the making."""

    def __init__(
        self,
        around: Explainer,
        name: str,
        job: Job,
        text: str,
        scratch: Database,
        pool: ThreadPoolExecutor,
        *,
        ask_target: bool,
    ) -> None:
        self._around = around
        self._name = name
        self._job = job
        self._text = text
        self._scratch = scratch
        self._pool = pool
        self._ask_target = ask_target
        self._mapping = JobMapping(job)
        self._endpoints = around.endpoints(job, around.stop.is_set)
        self._target = ReadOnlyTarget(self._endpoints.target)
        if not ask_target:
            self._target.trouble = NotAskedError("the target was not asked")
        self._links = SqlLinks(around.database, name, clock=around.clock)
        self._keys = keys_shown_as(text, len(job.key) if isinstance(job.key, list) else 1)

    def explanation(self, *, ask_source: bool) -> Explanation:
        kept = self._kept()
        found = self._search(to_the_end=_is_doubled(kept)) if ask_source else None
        one = telling(found)
        rows = self._around.runs.recent(self._name, RUNS + 1)
        under_way = self._under_way(rows)
        memory = self._memory(one.key if one is not None else None, kept, under_way)
        forecast = self._foretell(found, memory)
        made = mapped(self._mapping, one)
        wanted = made.document if made is not None else None
        looked = self._look(memory, wanted) if self._ask_target else None
        requests, request_trouble = self._requests(forecast)
        errors = (found.error if found else None, looked.error if looked else None, self._target.trouble)
        target = in_target(self._job, self._mapping, looked, wanted)
        is_edited = bool(rows) and rows[0].revision != self._mapping.revision
        explanation = Explanation(
            job=self._name,
            key=memory.key,
            revision_changed=is_edited,
            source=in_source(self._job, found),
            mapped=made,
            remembered=remembered(memory.link, memory.document, one, wanted),
            target=target,
            reject=_reject(kept),
            unresolved=memory.unresolved,
            history=self._history(memory.key, rows, under_way),
            forecast=forecast,
            requests=requests,
            request_trouble=request_trouble,
            hints=hints(
                self._job,
                forecast,
                target,
                memory.link,
                revision_changed=is_edited,
                under_way=under_way,
                goes_on=memory.goes_on,
            ),
            exit=_exit(*errors),
        )
        return self._blotted(explanation if explanation.is_known else self._nowhere(explanation))

    # ---- what the state holds ------------------------------------------------------------------------------------

    def _kept(self) -> RejectRow | None:
        rejects = Rejects(self._around.database)
        return next((row for key in self._keys if (row := rejects.show(self._name, key)) is not None), None)

    def _memory(self, key: str | None, kept: RejectRow | None, under_way: str | None) -> _Memory:
        """Return what is remembered of the record: of the key that was met, else of the one that is known here."""
        linked = self._links.by_key(self._keys)
        if key is None:
            key = next(iter(linked), kept.reject.key if kept is not None else self._keys[0])
        link = linked.get(key)
        document = self._links.documents([link.id]).get(link.id) if link is not None else None
        journal = self._journal(self._around.database, run=under_way or RUN)
        unresolved = tuple(one for one in journal.unresolved() if one.key == key)
        goes_on = journal.last_mark(self._mapping.revision) is not None
        return _Memory(key, link, document, unresolved, under_way, goes_on)

    def _under_way(self, rows: tuple[RunRow, ...]) -> str | None:
        """Return the job's run that is going on in this moment."""
        dead = {row.id for row in self._around.runs.interrupted(self._around.leases)}
        going = (row.id for row in rows if row.phase not in {Phase.OVER, Phase.QUEUED} and row.id not in dead)
        return next(going, None)

    def _history(self, key: str, rows: tuple[RunRow, ...], under_way: str | None) -> History:
        looked_at = rows[:RUNS]
        past = KeyHistory(self._around.database, self._name)
        return History(
            changes=past.changes(key, tuple(row.id for row in looked_at), CHANGES),
            runs=len(looked_at),
            since=looked_at[-1].created_at if looked_at else None,
            whole=len(rows) <= RUNS,
            under_way=under_way,
        )

    def _nowhere(self, explanation: Explanation) -> Explanation:
        """Offer keys like this one; the command ends as one that asks for what is not there."""
        near = KeyHistory(self._around.database, self._name).near(self._text, NEAR)
        return replace(explanation, near=near, exit=explanation.exit or Exit.USAGE)

    # ---- what the systems hold -----------------------------------------------------------------------------------

    def _search(self, *, to_the_end: bool) -> Search:
        # Under a name of its own, so that the keys it notes are not taken for rejects of this job.
        ports = self._ports(self._links, self._journal(self._scratch, run=_SEARCH, job=_SEARCH))
        return search(self._job, self._mapping, ports, self._keys, to_the_end=to_the_end, check_stop=self._check_stop)

    def _look(self, memory: _Memory, wanted: Document | None) -> Looked:
        return look(
            self._target,
            SqlTargetIndex(self._scratch, RUN) if self._target.is_listed else None,
            key=memory.key,
            link=memory.link,
            document=wanted if wanted is not None else memory.document,
            check_stop=self._check_stop,
        )

    # ---- what would be done --------------------------------------------------------------------------------------

    def _foretell(self, found: Search | None, memory: _Memory) -> Forecast:
        copy_key(self._around.database, self._scratch, self._name, memory.key, without_run=memory.under_way)
        links = RehearsedLinks(
            self._links, SqlLinks(self._scratch, self._name, clock=self._around.clock), [memory.key], met=_met(found)
        )
        ports = self._ports(links, self._journal(self._scratch, run=RUN))
        return foretell(self._job, ports, found, key=memory.key, stopping=self._around.stop.is_set)

    def _requests(self, forecast: Forecast) -> tuple[tuple[Sending, ...], str]:
        if forecast.change is None or forecast.verb is Verb.WITHHOLD:
            return (), ""
        try:
            return self._endpoints.shown(forecast.change), ""
        except RefusedError as error:
            return (), str(error)

    # ---- wiring --------------------------------------------------------------------------------------------------

    def _journal(self, database: Database, *, run: str, job: str | None = None) -> SqlJournal:
        return SqlJournal(database, run=run, job=job or self._name, lease=None, clock=self._around.clock)

    def _ports(self, links: Links, journal: SqlJournal) -> Ports:
        return Ports(
            source=self._endpoints.source,
            target=self._target,
            links=links,
            journal=journal,
            index=SqlTargetIndex(self._scratch, RUN),
            pool=self._pool,
            observe=_ignore,
            parts=self._endpoints.parts,
        )

    def _blotted(self, explanation: Explanation) -> Explanation:
        """Take the secrets of all its connections out of everything that will be shown."""
        for name in self._job.connections:
            explanation = blotted(explanation, self._around.blot(name))
        return explanation

    def _check_stop(self) -> None:
        if self._around.stop.is_set():
            raise StoppedError("the explanation was cut short")


def _met(found: Search | None) -> Seen:
    return found.met if found is not None else Seen(0)


def _ignore(event: Event) -> None:
    """Tell nobody: what a rehearsal meets is in its forecast."""
    del event


def _is_doubled(kept: RejectRow | None) -> bool:
    """Say whether a run has met several records with this key, so that the reading must not stop at the first."""
    return kept is not None and kept.reject.reason.startswith(DUPLICATE)


def _reject(kept: RejectRow | None) -> KeptReject | None:
    if kept is None:
        return None
    return KeptReject(kept.reject, kept.attempts, kept.first_at, kept.last_at, kept.run, kept.rests_until)


def _exit(*errors: EndpointError | None) -> Exit:
    """Return how the command ends: as an outage if there is one, else as the error that a person must look at."""
    exits = {error.exit for error in errors if error is not None and not isinstance(error, NotAskedError)}
    return Exit.UNAVAILABLE if Exit.UNAVAILABLE in exits else Exit.ERROR if exits else Exit.DONE
