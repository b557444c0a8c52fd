"""What a run has read, where that is not everything, and what is wrong with its cursor."""

from collections.abc import Iterator

from daemon.sync.cursor import Reach
from daemon.sync.outcome import Result

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
    yield from (f"! cursor: {shown.plain(one)}" for one in result.doubted)
