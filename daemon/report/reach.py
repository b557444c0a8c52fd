"""What a run has read, where that is not everything, and what is wrong with its cursor or its parts."""

from collections.abc import Iterator

from daemon.sync.cursor import Reach
from daemon.sync.outcome import Ending, Result

from . import shown


def lines(result: Result) -> Iterator[str]:
    """Yield what was read, for an incremental job, and what an operator should know of its cursor."""
    since = f" since {shown.value(result.since)}" if result.since is not None else ""
    if result.reach is Reach.SINCE:
        yield f"read: what changed{since}"
    elif result.reach is Reach.BACKFILL:
        yield f"read: a stretch of the past{since}; the cursor stays where it was"
    elif result.reach is Reach.WHOLE:
        yield f"read: everything{since}"
    certificate = result.certificate
    if certificate.parts:
        apart = f", {certificate.parts_apart} of them not whole" if certificate.parts_apart else ""
        yield f"read: {shown.count(certificate.parts, 'part')}{apart}"
    yield from (f"! cursor: {shown.plain(one)}" for one in result.doubted)


def next_step(result: Result) -> str:
    """Return what a person may do about parts that could not be read; empty where other things come first."""
    if not result.certificate.parts_apart or result.counts.any_rejected or result.ending is not Ending.REJECTED:
        return ""
    return (
        "Next: look at the parts that the certificate line names; until they can be read, what they held stays as it "
        "is. A part that is gone for good is told by a rule: on_response of the source, then: gone."
    )
