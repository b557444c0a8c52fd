"""A real job over a real configuration file, state file and vault, run in this process."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon import logs
from daemon.app import generate_key, open_app
from daemon.runtime.worker import Finished
from daemon.settings import Settings
from daemon.store.database import open_database
from daemon.store.rejects import Rejects
from daemon.sync.counts import Counts
from daemon.sync.events import Event
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Result


class Desk:
    """A folder with a crudsd.yaml, as an operator would have it."""

    def __init__(self, folder: Path, spec: Mapping[str, Any], *, secrets: Mapping[str, str] | None = None) -> None:
        # Anew for each: another test of this process may have set logging up otherwise.
        logs.configure(format="json", level="warning", stream=io.StringIO())
        self.folder = folder
        self.environment = dict(secrets or {})
        self.write(spec)
        generate_key(folder / "crudsd.key")

    @property
    def settings(self) -> Settings:
        return Settings(config=self.folder / "crudsd.yaml", environment=self.environment)

    @property
    def state(self) -> Path:
        return self.folder / "crudsd.db"

    def write(self, spec: Mapping[str, Any]) -> None:
        """Write the configuration. JSON is YAML."""
        (self.folder / "crudsd.yaml").write_text(json.dumps({"version": 1, **spec}, indent=1), encoding="utf-8")

    def run(self, job: str = "people", *, allowance: Allowance | None = None) -> Finished:
        with open_app(self.settings) as app:
            return app.run(job, observe=ignore, allowance=allowance)

    def rejects(self, job: str = "people") -> list[str]:
        """Return the keys of the rejects that are kept."""
        with open_database(self.state, read_only=True) as database:
            return [row.reject.key for row in Rejects(database).list(job, 100)]

    def plan(self, job: str = "people") -> Result:
        with open_app(self.settings) as app, app.plan(job, observe=ignore) as planned:
            return planned.result


def ignore(event: Event) -> None:
    del event


def wrote(counts: Counts) -> tuple[int, int, int]:
    """Return created, updated, deleted."""
    return counts.created, counts.updated, counts.deleted
