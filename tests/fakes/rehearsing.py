"""A rehearsal over in-memory ports, wired as the program wires it over a scratch database."""

from daemon.spec import Job
from daemon.sync.canonical import keys_shown_as
from daemon.sync.change import Fate
from daemon.sync.forecast import RUN, Forecast, foretell
from daemon.sync.intake import DUPLICATE
from daemon.sync.mapping import JobMapping
from daemon.sync.ports import Links, Ports, Source, Target
from daemon.sync.rehearsal import ReadOnlyTarget, RehearsedLinks
from daemon.sync.search import Search, search
from tests.fakes.memory_state import MemoryIndex, MemoryJournal, MemoryLinks, MemoryState
from tests.unit.sync.harness import InlinePool


def forecast_of(job: Job, source: Source, target: Target, state: MemoryState, key: str) -> tuple[Forecast, Search]:
    """Return what the next run would do with one key, and what was met of it. Changes nothing of the state."""
    real = MemoryLinks(state)
    seeing = ReadOnlyTarget(target)
    kept = state.rejects.get(key)

    def ports(links: Links, journal: MemoryJournal) -> Ports:
        return Ports(source, seeing, links, journal, MemoryIndex(), InlinePool(), lambda event: None)

    found = search(
        job,
        JobMapping(job),
        ports(real, MemoryJournal(MemoryState(), "search", writes=False)),
        keys_shown_as(key, 1),
        to_the_end=kept is not None and kept.reason == DUPLICATE,
        check_stop=lambda: None,
    )
    scratch = MemoryState()
    if key in state.links:
        scratch.put(state.links[key], state.documents.get(key))
    if kept is not None:
        scratch.rejects[key], scratch.attempts[key] = kept, state.attempts[key]
        scratch.tried_at[key], scratch.now = state.tried_at[key], state.now
    open_fates = {Fate.SENT, Fate.UNKNOWN}
    scratch.changes = {place: one for place, one in state.changes.items() if one.key == key and one.fate in open_fates}
    own = ports(RehearsedLinks(real, MemoryLinks(scratch), [key], met=found.met), MemoryJournal(scratch, RUN))
    return foretell(job, own, found, key=key, stopping=lambda: False), found
