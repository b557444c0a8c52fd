"""What a person may do about what was withheld: told by whoever knows whether this is a plan or a run.

Pure: values in, sentences out.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from daemon.sync.change import Kind
from daemon.sync.judgement import SAVED_PLAN
from daemon.sync.outcome import Result
from daemon.sync.pin import Digest, Digests

from . import shown


@dataclass(frozen=True, slots=True)
class Told:
    """Where the cures are told."""

    job: str
    held_run: str | None
    """The run to approve; None where no run has withheld this."""
    is_plan: bool = False


def cures(told: Told, result: Result) -> Iterator[str]:
    """Yield what lifts each trip, as sentences."""
    tripped = {one.guard for one in result.verdicts if one.tripped}
    if SAVED_PLAN in tripped:
        yield (
            f"look at the plan of now and save it: crudsd plan {told.job} --out FILE; where it says that changes have "
            f"no known outcome, crudsd run {told.job} first"
        )
    if "certificate" in tripped:
        yield "a read that arrives whole; nothing is deleted before. The certificate line says what is missing."
    if result.withheld:
        yield from _release(told, result.withheld)


def _release(told: Told, withheld: Digests) -> Iterator[str]:
    what = " and ".join(amounts(withheld))
    if told.held_run is not None:
        yield f"if they are right: crudsd approve {told.held_run}, and the next run carries out just these {what}"
    if told.is_plan:
        yield f"to carry out just this plan: crudsd plan {told.job} --out FILE, then crudsd apply FILE"
    allowed = " ".join(f"--allow-{kind}s {digest.number}" for kind, digest in _in_order(withheld))
    yield f"for a source that never stands still, allow a number: crudsd run {told.job} {allowed}"


def amounts(digests: Digests) -> Iterator[str]:
    """Yield how many changes of each kind there are: `3 deletes`."""
    for kind, digest in _in_order(digests):
        yield shown.count(digest.number, str(kind))


def _in_order(digests: Digests) -> Iterable[tuple[Kind, Digest]]:
    return [(kind, digests[kind]) for kind in Kind if kind in digests]
