"""The whole configuration as one frozen value."""

from typing import Literal

from pydantic import Field

from .connection import Connection
from .job import Job
from .types import Name, Strict


class Spec(Strict):
    """What all files together say."""

    version: Literal[1]
    state: str | None = Field(
        default=None, description="State database: a path or a SQLAlchemy URL. Default: crudsd.db beside this file."
    )
    connections: dict[Name, Connection] = Field(default_factory=dict)
    jobs: dict[Name, Job] = Field(default_factory=dict)
