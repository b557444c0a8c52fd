"""Both sides of one job, as a run needs them."""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.sync.change import Change
from daemon.sync.explanation import Sending
from daemon.sync.parts import WHOLE, Parts
from daemon.sync.ports import Source, Target


def _shows_nothing(change: Change) -> tuple[Sending, ...]:
    """Return no request: the target has none."""
    del change
    return ()


def _is_prepared(writes: bool) -> None:  # noqa: FBT001 - as the port that it stands for
    """Find nothing to say before a run."""
    del writes


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The two sides of one job."""

    source: Source
    target: Target
    shown: Callable[[Change], tuple[Sending, ...]] = _shows_nothing
    """Returns what would be sent for a change, in order, as people may see it; sends nothing. Raises RefusedError."""
    prepare: Callable[[bool], None] = _is_prepared
    """See `Ports.prepare`."""
    parts: Parts = WHOLE
    """The stretches of the source."""
    ahead: int = 1
    """How many of them may be read at the same time."""
