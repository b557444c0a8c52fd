"""What a run has read, where that is not everything, and what is wrong with its cursor or its parts."""

from collections.abc import Iterator
from typing import Final

from daemon.sync.cursor import Reach
from daemon.sync.outcome import Ending, Result

from . import shown


def lines(result: Result) -> Iterator[str]:
    """Yield what was read, of an incremental job or one with parts, and what an operator should know of its cursor."""
    certificate = result.certificate
    parts = shown.count(certificate.parts, "part") if certificate.parts else ""
    if certificate.parts_apart:
        parts += f", {certificate.parts_apart} of them not whole"
    since = f" since {shown.value(result.since)}" if result.since is not None else ""
    reach = "" if result.reach is None else _REACHES[result.reach].format(since=since)
    if reach or parts:
        yield f"read: {', in '.join(filter(None, (reach, parts)))}"
    yield from (f"! cursor: {shown.plain(one)}" for one in result.doubted)


_REACHES: Final = {
    Reach.SINCE: "what changed{since}",
    Reach.BACKFILL: "a stretch of the past{since}; the cursor stays where it was",
    Reach.WHOLE: "everything{since}",
}


def next_step(result: Result) -> str:
    """Return what a person may do about parts that could not be read; empty where other things come first."""
    if not result.certificate.parts or result.counts.any_rejected or result.ending is not Ending.REJECTED:
        return ""
    return (
        "Next: look at the parts that the certificate line names; until they can be read, what they held stays as it "
        "is. A part that is gone for good is told by a rule: on_response of the source, then: gone."
    )
