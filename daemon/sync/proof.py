"""Proof that a record is gone: where one reading may have passed over records that are there, the source is read again.

A list is read by page number. A row goes that stood before the next page, and the first row of that page moves to one
that was read already: it is not met, and looks gone. So before anything is deleted, the keys alone are read once more.
Nothing is planned from that; it can only show that a record is still there. Gone is what no reading met.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from daemon.errors import EndpointError, StoppedError
from daemon.spec import Job, Mode

from .apart import sweep
from .certificate import TWICE, Certificate, End
from .counts import Counts
from .events import ReadAgain, ReadEnded
from .gone import gone
from .harvest import Harvest
from .intake import Intake
from .mapping import JobMapping
from .parts import Together
from .permits import is_ours
from .ports import Page, Ports, each_part
from .seen import Seen
from .spans import whole_scope

READINGS = 3
"""Readings of one run, the first one included. A source that never holds still that long is for the next run."""

BY_NUMBER = "its pages have numbers, under which rows move while others come and go"

SHIFTING = "the key does not name the part, so a record may have moved from one part to another meanwhile"


def prove(
    first: Certificate, job: Job, mapping: JobMapping, ports: Ports, seen: Seen, *, check_stop: Callable[[], None]
) -> Certificate:
    """Return the certificate of the last reading that was needed, the first one where that was enough.

    The source is read again, `READINGS` times in all at most, if something would be deleted and the reading before is
    in doubt only because the source changed meanwhile, or was the only one and went by page numbers. What is met is
    added to `seen`. A reading that breaks off is a doubt and no error, so that creates and updates go on.
    """
    certificate = first
    while job.mode is Mode.MIRROR and certificate.readings < READINGS and (reason := _reason(certificate)):
        deletable = any(is_ours(link, job) for links in gone(ports, seen, check_stop=check_stop) for link in links)
        if not deletable:
            break
        before = certificate
        ports.observe(ReadAgain(before.readings + 1, reason))
        certificate = replace(_read(job, mapping, ports, seen, check_stop), readings=before.readings + 1)
        ports.observe(ReadEnded(certificate))
        if certificate.drifted and (certificate.end, certificate.doubts) == (before.end, before.doubts):
            break  # the source counts in a way of its own, or holds a record twice; it would say so for ever
    return certificate


def _reason(certificate: Certificate) -> str:
    """Return why one more reading may help; empty when none may."""
    if certificate.drifted:
        return "; ".join(certificate.doubts)
    is_alone = certificate.issued and certificate.readings == 1
    if not is_alone or certificate.end is None:
        return ""
    return BY_NUMBER if certificate.end.by_number else SHIFTING if certificate.end.is_shifting else ""


def _read(job: Job, mapping: JobMapping, ports: Ports, seen: Seen, check_stop: Callable[[], None]) -> Certificate:
    """Read the source for its keys, add them to `seen`, and certify that reading."""
    met = Seen(ports.links.highest())
    intake = Intake(mapping, ports, seen=met, blocked=frozenset())
    together, parts = Together(may_move=mapping.may_move), None
    broke: Sequence[str] = ()
    try:
        rules = job.source.incremental
        for step in each_part(ports.parts.list(), lambda part: ports.source.read(scope=whole_scope(part, rules))):
            if isinstance(step, End):
                parts = step
            else:
                sweep(step, intake, together, ports.links, met, lambda pages: _part(pages, intake, check_stop))
    except StoppedError:
        raise
    except EndpointError as error:
        broke = [f"the source could not be read again: {error}"]
    seen.add_all(met)
    return together.certificate(parts, broke)


def _part(steps: Iterator[Page | End], intake: Intake, check_stop: Callable[[], None]) -> End | None:
    end: End | None = None
    for step in steps:
        if isinstance(step, End):
            end = step
        elif intake.meet(intake.parse(step, Harvest(Counts()))):
            intake.drift = (TWICE,)
        check_stop()
    return end
