"""How long history is kept. What the sync itself needs (links, documents, cursors, tokens) has no age."""

from datetime import timedelta

from pydantic import Field

from .types import Duration, Strict


class Retention(Strict):
    """How long runs and their changes can be looked at."""

    runs: Duration = Field(
        default=timedelta(days=90), description="Runs, for `crudsd runs`; the latest of each job stay. Default: 90d."
    )
    changes: Duration = Field(
        default=timedelta(days=30), description="The changes that runs made, for `crudsd explain`. Default: 30d."
    )
