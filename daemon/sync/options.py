"""What one run is asked to do, by whoever starts it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from daemon.values import Json

from .guards import Allowance
from .pin import Pin

SLICE_CHANGES = 50_000
"""Changes that are journalled before they are guarded and applied: bounds journal and memory of a long first load."""

SLICE_PAGES = 1_000
"""Pages after which a slice ends as well, where the source can be taken up after it, so that a long read in which
little changes makes progress too."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a person may ask of one run, beyond what the job file says."""

    allowance: Allowance = field(default_factory=Allowance)
    full: bool = False
    """Read everything, whatever the cursors say."""
    backfill: tuple[Json, Json] | None = None
    """Read from the one to the other value, None for no bound, and leave the cursors alone."""


PLAIN = Asked()
"""Nothing beyond the job file."""


@dataclass(frozen=True, slots=True)
class Options:
    """What one run is asked to do."""

    run: str
    """The run's id; with a change's seq it makes the idempotency key."""
    writes: bool
    """False for a plan: stop before apply, and touch nothing."""
    window: int = 4
    """Changes under way at once."""
    slice_changes: int = SLICE_CHANGES
    slice_pages: int = SLICE_PAGES
    allowance: Allowance = field(default_factory=Allowance)
    pin: Pin | None = None
    """The plan that a person let pass; the run then plans the whole, in one slice, before it applies anything."""
    stopping: Callable[[], bool] = lambda: False
    """Turns true when the run should start nothing new and come to an end."""
    now: datetime | None = None
    """What our clock says at the start of the run, for cursors whose source does not tell the time, and `reconcile`."""
    full: bool = False
    """Read everything, whatever the cursors say."""
    backfill: tuple[Json, Json] | None = None
    """Read from the one to the other value, None for no bound, and leave the cursors alone."""

    @property
    def in_slices(self) -> bool:
        """Whether slices are settled on the way; a pinned run plans the whole first."""
        return self.writes and self.pin is None

    @property
    def marks(self) -> bool:
        """Whether the read is marked. A backfill leaves alone where the job's own read stands."""
        return self.in_slices and self.backfill is None
