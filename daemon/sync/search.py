"""Looking for one record in the source, with the eyes of a run."""

from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from daemon.errors import EndpointError, StoppedError
from daemon.spec import Job
from daemon.values import Record

from .apart import holds, sweep
from .certificate import Certificate, End
from .change import Reject
from .counts import Counts
from .harvest import Harvest
from .intake import Intake, opened
from .mapping import JobMapping, UnmappableError
from .parts import Part, Together
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
    part: Part = field(default_factory=Part)
    """The part of the source that gave it."""


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
    unread: str = ""
    """Why the part that the record was met in last could not be read; empty when it could, or is gone."""

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
    found = Search(met=Seen(ports.links.highest()))
    looking = _Looking(mapping, ports, keys, found, to_the_end=to_the_end, check_stop=check_stop)
    try:
        certificate = looking.over_all(job)
    except _Found:
        return found
    except StoppedError:
        raise
    except EndpointError as error:
        found.error = error
        return found
    found.certificate = certificate
    if found.is_met or not found.unread:
        found.certificate = prove(certificate, job, mapping, ports, found.met, check_stop=check_stop)
        found.met_again = not found.is_met and any(link.id in found.met for link in looking.linked)
    return found


class _Found(Exception):  # noqa: N818 - no error: the reading may stop here
    """The record was met."""


class _Looking:
    """One walk over the source, with an eye on some keys."""

    def __init__(
        self,
        mapping: JobMapping,
        ports: Ports,
        keys: Collection[str],
        found: Search,
        *,
        to_the_end: bool,
        check_stop: Callable[[], None],
    ) -> None:
        self._may_move = mapping.may_move
        self._ports = ports
        self._keys = keys
        self._found = found
        self._to_the_end = to_the_end
        self._check_stop = check_stop
        self._intake = Intake(mapping, ports, seen=found.met, blocked=frozenset())
        self.linked = ports.links.by_key(list(keys)).values()

    def over_all(self, job: Job) -> Certificate:
        """Read all parts, and certify the whole. Raises _Found where the rest need not be read."""
        together, parts, ports = Together(may_move=self._may_move), None, self._ports
        rules = job.source.incremental
        for step in each_part(ports.parts.list(), lambda part: ports.source.read(scope=whole_scope(part, rules))):
            if isinstance(step, End):
                parts = step
                continue
            failure = sweep(step, self._intake, together, ports.links, self._found.met, self._part)
            if failure and any(holds(step[0], link.part) for link in self.linked):
                self._found.unread = f"{step[0].name}: {failure}"
        return together.certificate(parts)

    def _part(self, pages: Iterator[Page | End]) -> End | None:
        end = None
        for page in pages:
            self._check_stop()
            if isinstance(page, End):
                end = page
                continue
            _look(page, self._intake, self._keys, self._found)
            if self._found.is_met and not self._to_the_end:
                raise _Found
            _take_in(page, self._intake, self._ports)
        return end


def _look(page: Page, intake: Intake, keys: Collection[str], found: Search) -> None:
    found.pages += 1
    found.records += len(page.records)
    for raw in page.records:
        sighting = _sighting(raw, page.number, intake)
        if sighting.key in keys:
            found.times += 1
            if len(found.sightings) < KEPT:
                found.sightings.append(sighting)


def _sighting(raw: bytes, page: int, intake: Intake) -> Sighting:
    mapping, part = intake.mapping, intake.part
    mark, record, _ = opened(raw, mapping)
    key = f"#{mark.hex()}"
    if record is None:
        return Sighting(page, raw, mark, key, None, let_in=None, part=part)
    let_in: bool | None = None
    with suppress(UnmappableError):
        let_in = mapping.takes_part(record)
    with suppress(UnmappableError):
        key = mapping.key(record)
    return Sighting(page, raw, mark, key, record, let_in=let_in, part=part)


def _take_in(page: Page, intake: Intake, ports: Ports) -> None:
    """Let the intake note what makes the read doubtful. Keys without a link are remembered in the scratch journal."""
    harvest = Harvest(Counts(seen=len(page.records)))
    keyed = intake.parse(page, harvest)
    links = ports.links.by_key([one.key for one in keyed])
    met = [Reject(one.key, "met") for one in intake.once(keyed, links, harvest) if one.key not in links]
    ports.journal.plan((), links=(), rejects=met, counts=harvest.counts)
