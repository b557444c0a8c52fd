"""How much `crudsd serve` does at once, and how long it takes to end."""

from datetime import timedelta

from pydantic import Field

from .types import Duration, Strict, Whole


class ServiceRules(Strict):
    """Bounds of the service."""

    workers: Whole = Field(default=8, ge=1, le=256, description="Runs under way at once. Default: 8.")
    drain: Duration = Field(
        default=timedelta(seconds=60),
        description="What runs get to finish and commit when the service is asked to stop; the unit's TimeoutStopSec "
        "is longer. Default: 60s.",
    )
