"""A real job over a real configuration file, state file and vault, run in this process."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.app import open_app
from daemon.runtime.worker import Finished
from daemon.settings import Settings
from daemon.store.database import open_database
from daemon.store.rejects import Rejects
from daemon.sync.counts import Counts
from daemon.sync.events import Event
from daemon.sync.guards import Allowance
from daemon.sync.options import Asked
from daemon.sync.outcome import Result
from daemon.upkeep import generate_key
from tests.watch import over_logs

DOCS = Path(__file__).parents[2] / "docs"


class Desk:
    """A folder with a crudsd.yaml, as an operator would have it."""

    def __init__(
        self, folder: Path, spec: Mapping[str, Any] | str, *, secrets: Mapping[str, str] | None = None
    ) -> None:
        over_logs()  # nobody reads them here, but no secret may be in them
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

    def write(self, spec: Mapping[str, Any] | str) -> None:
        """Write the configuration: YAML as it stands, or made of values. JSON is YAML."""
        text = spec if isinstance(spec, str) else json.dumps({"version": 1, **spec}, indent=1)
        (self.folder / "crudsd.yaml").write_text(text, encoding="utf-8")

    def run(self, job: str = "people", *, allowance: Allowance | None = None, full: bool = False) -> Finished:
        with open_app(self.settings) as app:
            return app.run(job, observe=ignore, asked=Asked(allowance or Allowance(), full=full))

    def rejects(self, job: str = "people") -> list[str]:
        """Return the keys of the rejects that are kept."""
        with open_database(self.state, read_only=True) as database:
            return [row.reject.key for row in Rejects(database).list(job, 100)]

    def reasons(self, job: str = "people") -> dict[str, str]:
        """Return why each of them was rejected, with what the target said."""
        with open_database(self.state, read_only=True) as database:
            kept = [row.reject for row in Rejects(database).list(job, 100)]
        return {reject.key: f"{reject.reason}: {reject.excerpt}" for reject in kept}

    def plan(self, job: str = "people") -> Result:
        with open_app(self.settings) as app, app.plan(job, observe=ignore) as planned:
            return planned.result


def yaml_of(page: str, replaced: Mapping[str, str]) -> str:
    """Return the first YAML block of a page, with its addresses, and what else a test says, replaced."""
    found = re.search(r"^```yaml\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no YAML"
    text = found[1]
    for old, new in replaced.items():
        assert old in text, f"{page} does not say {old}"
        text = text.replace(old, new)
    return text


def ignore(event: Event) -> None:
    del event


def wrote(counts: Counts) -> tuple[int, int, int]:
    """Return created, updated, deleted."""
    return counts.created, counts.updated, counts.deleted
