"""Taking up a read at the mark of a run that was cut off."""

from collections.abc import Iterator
from itertools import chain

from daemon.errors import MalformedError, RefusedError, UnavailableError

from .certificate import End
from .events import ReadRestarted, ReadResumed
from .intake import Intake
from .mark import Mark
from .parts import Part, PartsDone
from .ports import Opened, Page, Ports, Unfold
from .reading import Reading


def take_up(mark: Mark, reading: Reading, ports: Ports, unfold: Unfold) -> Iterator[Opened | End] | None:
    """Open the source at a mark and make the mark this run's own; None when the source does not go on from there.

    Refused or malformed, an empty page, and records that were met before the mark all mean that the token is not taken
    for what it was: an API that forgot it may as well begin anew, or say that nothing is left. Then nothing is
    concluded from it; nor where the parts before the mark are not the ones that they were. Raises the endpoint's other
    errors, and the mark stays for the next run.
    """
    parts = ports.parts.list()
    part = _find(mark, parts)
    if part is None:
        ports.observe(ReadRestarted("the parts before the mark are not what they were"))
        return None
    if mark.resume is not None:
        reading.begin(part, progress=mark.progress)
    steps = ports.source.read(mark.resume, scope=reading.scope) if mark.resume is not None else iter(())
    first, trouble = _first(steps, reading.intake) if mark.resume is not None else (None, "")
    if trouble:
        ports.observe(ReadRestarted(trouble))
        return None
    ports.journal.take_up()
    ports.observe(ReadResumed(first.number if first else 1, mark.counts))
    here = [(part, chain((first,), steps))] if first is not None else []
    return chain(here, unfold(parts))


def _find(mark: Mark, parts: Iterator[Part | End]) -> Part | None:
    """Return the part of the mark, with the parts left behind it; None where others come before it than did."""
    done = PartsDone()
    for step in parts:
        if isinstance(step, End):
            break
        after = done.named(step.name)
        if step.name == mark.part:
            before = done if mark.resume is not None else after
            return step if before.is_like(mark.done) else None
        done = after
    return None


def _first(steps: Iterator[Page | End], intake: Intake) -> tuple[Page | None, str]:
    """Return the first page, or None and why it is not to be had."""
    try:
        page = next(steps)
    except (RefusedError, MalformedError) as error:
        return None, str(error)
    except UnavailableError as error:
        if error.status != 500:
            raise
        # Some servers answer so to a token they do not know; one that is down will not give the first page either.
        return None, str(error)
    if isinstance(page, End) or not page.records:
        return None, "the page after the mark is empty"
    if intake.has_met(page):
        return None, "the page after the mark holds records from before it"
    return page, ""
