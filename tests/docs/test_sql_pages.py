"""The how-to pages on databases are true: their SQL is run, their files used and their commands typed as they stand."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from daemon.cli import main
from daemon.upkeep import generate_key
from tests.docs.test_login_pages import COMMAND, alike, pattern_of
from tests.fakes.misbehaving import MisbehavingServer
from tests.integration.harness import DOCS, yaml_of

if TYPE_CHECKING:
    from tests.servers.postgres import Postgres

pytestmark = pytest.mark.servers

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOKEN = "canary-t0ken-of-the-desk"


@dataclass
class Page:
    """A page, a folder to follow it in, and a database."""

    name: str
    postgres: "Postgres"
    database: str
    capture: pytest.CaptureFixture[str]

    def blocks(self) -> list[tuple[str, str]]:
        """The SQL, the transcripts, and the jobs that come after the first ones, in their order."""
        found = BLOCK.findall((DOCS / self.name).read_text(encoding="utf-8"))
        first = next(number for number, (language, _) in enumerate(found) if language == "yaml")
        return [block for number, block in enumerate(found) if number != first]

    def follow(self, language: str, text: str) -> None:
        """Do what a block says, and compare what comes of it."""
        if language == "yaml":
            Path("jobs.d").mkdir(exist_ok=True)
            Path("jobs.d", "more.yaml").write_text(text, encoding="utf-8")
            return
        if language == "sql":
            # Statement by statement, as psql does.
            self.postgres.sql(*(one for one in re.split(r";\n", text) if one.strip()), database=self.database)
            return
        for command, expected in COMMAND.findall(text):
            main(command.split())
            found = "".join(self.capture.readouterr())
            assert re.fullmatch(plain(pattern_of(expected)), plain(alike(found))), f"{command} says\n{found}"


def plain(text: str) -> str:
    """Leave out what is another thing each time: the names of runs, and how long they took, also on a slow machine."""
    text = re.sub(r"(?:\d+\\?\.)?N(\\? )(?:s|min)\b", r"N\1s", text)
    return re.sub(r"\b01[a-z0-9]{16}\b", "RUN", text)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=11) as server:
        server.token(TOKEN)
        yield server


@pytest.fixture(autouse=True)
def plain_log() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level  # the commands of this process set up a log
    structlog.reset_defaults()


@pytest.mark.parametrize(
    ("name", "role", "url_file"),
    [
        ("how-to/postgresql-table.md", "crudsd_writer", "warehouse-url"),
        ("how-to/table-to-api.md", "crudsd_reader", "crm-url"),
    ],
)
def test_the_page_is_true(
    name: str,
    role: str,
    url_file: str,
    api: MisbehavingServer,
    postgres: "Postgres",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    monkeypatch.setenv("NO_COLOR", "1")
    api.collection("users", paging="page")
    api.collection("tickets", key="number", paging="cursor").put(
        {
            "number": number,
            "subject": f"Ticket {number}",
            "status": "waiting-for-us" if number == 3 else "open",
            "requester": {"email": f"Someone{number}@example.com"} if number % 2 else {"email": None},
            "tags": ["a", number],
            "updated_at": f"2026-11-0{number}T08:00:00Z",
        }
        for number in range(1, 6)
    )
    database = postgres.empty_database()
    (tmp_path / url_file).write_text(postgres.url(database, user=role) + "\n")
    (tmp_path / "crudsd.yaml").write_text(yaml_of(name, {"https://desk.example.com/v1": api.url}))
    generate_key(tmp_path / "crudsd.key")
    page = Page(name, postgres, database, capsys)

    try:
        for language, text in page.blocks():
            page.follow(language, text)
    finally:
        postgres.sql(f"DROP OWNED BY {role}", f"DROP ROLE {role}", database=database)

    assert len(page.blocks()) >= 5
