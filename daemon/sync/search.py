"""Looking for one record in the source, with the eyes of a run."""

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field

from daemon.errors import EndpointError, StoppedError
from daemon.spec import Job
from daemon.values import Record

from .certificate import Certificate, End
from .change import Reject
from .counts import Counts
from .harvest import Harvest
from .intake import Intake, opened
from .mapping import JobMapping, UnmappableError
from .parts import Together
from .ports import Page, Ports, each_part
from .proof import prove
from .seen import Seen
from .spans import whole_scope

KEPT = 10
"""Records of one key that are kept: two are enough to reject both."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A record of the source that has the key."""

    page: int
    raw: bytes
    """As the source sent it."""
    mark: bytes
    """Its raw fingerprint, as a link remembers it."""
    key: str
    """For a record without a usable key, `#` and its raw fingerprint, as rejects are named."""
    record: Record | None
    """As the job hears it; None where the bytes are no JSON object."""
    let_in: bool | None
    """Whether `where` lets it in; None where that cannot be told."""


@dataclass(slots=True)
class Search:
    """What the search came to."""

    sightings: list[Sighting] = field(default_factory=list)
    times: int = 0
    pages: int = 0
    records: int = 0
    certificate: Certificate | None = None
    """None unless the read went to its end."""
    error: EndpointError | None = None
    """Why the read broke off."""
    met: Seen = field(default_factory=lambda: Seen(0))
    """The links whose records were met before the reading stopped, or when the source was read again."""
    met_again: bool = False
    """Whether the record, not met by the first reading, was met when the source was read again."""

    @property
    def is_met(self) -> bool:
        """Whether a record was met that a run would take in, or reject."""
        return any(one.let_in is not False for one in self.sightings)


def search(
    job: Job,
    mapping: JobMapping,
    ports: Ports,
    keys: Collection[str],
    *,
    to_the_end: bool,
    check_stop: Callable[[], None],
) -> Search:
    """Read the source until a page holds a record with one of these keys, which `where` does not keep out.

    `to_the_end` reads on, to meet a second one. What the read proves is judged as a run judges it, doubled keys and
    further readings included; for that the keys that were met stand in the ports' journal, which must be a scratch one.
    A source that is away is told of in the result; StoppedError is raised.
    """
    found = Search(met=Seen(ports.links.count().highest))
    intake = Intake(mapping, ports, seen=found.met, blocked=frozenset())
    together, parts = Together(), None
    try:
        rules = job.source.incremental
        for step in each_part(ports.parts.list(), lambda part: ports.source.read(scope=whole_scope(part, rules))):
            if isinstance(step, End):
                parts = step
                continue
            part, pages = step
            end = None
            for page in pages:
                check_stop()
                if isinstance(page, End):
                    end = page
                    continue
                _look(page, mapping, keys, found)
                if found.is_met and not to_the_end:
                    return found
                _take_in(page, intake, ports)
            together.add(part, intake.certify(end))
    except StoppedError:
        raise
    except EndpointError as error:
        found.error = error
        return found
    certificate = together.certificate(parts)
    found.certificate = prove(certificate, job, mapping, ports, found.met, check_stop=check_stop)
    links = ports.links.by_key(list(keys)).values()
    found.met_again = not found.is_met and any(link.id in found.met for link in links)
    return found


def _look(page: Page, mapping: JobMapping, keys: Collection[str], found: Search) -> None:
    found.pages = page.number
    found.records += len(page.records)
    for raw in page.records:
        sighting = _sighting(raw, page.number, mapping)
        if sighting.key in keys:
            found.times += 1
            if len(found.sightings) < KEPT:
                found.sightings.append(sighting)


def _sighting(raw: bytes, page: int, mapping: JobMapping) -> Sighting:
    mark, record, _ = opened(raw, mapping)
    key = f"#{mark.hex()}"
    if record is None:
        return Sighting(page, raw, mark, key, None, let_in=None)
    let_in: bool | None = None
    with suppress(UnmappableError):
        let_in = mapping.takes_part(record)
    with suppress(UnmappableError):
        key = mapping.key(record)
    return Sighting(page, raw, mark, key, record, let_in=let_in)


def _take_in(page: Page, intake: Intake, ports: Ports) -> None:
    """Let the intake note what makes the read doubtful. Keys without a link are remembered in the scratch journal."""
    harvest = Harvest(Counts(seen=len(page.records)))
    keyed = intake.parse(page, harvest)
    links = ports.links.by_key([one.key for one in keyed])
    met = [Reject(one.key, "met") for one in intake.once(keyed, links, harvest) if one.key not in links]
    ports.journal.plan((), links=(), rejects=met, counts=harvest.counts)
