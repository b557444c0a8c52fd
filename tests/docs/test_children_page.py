"""The how-to page on children of parents is true: its job is run as it stands, its commands give what they say."""

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from daemon.cli import main
from daemon.upkeep import generate_key
from tests.docs.test_login_pages import COMMAND, TRANSCRIPT, alike, pattern_of
from tests.fakes.projects import ProjectsServer
from tests.integration.harness import DOCS, yaml_of

PAGE = "how-to/children-of-each.md"
HOSTS = ("https://tracker.example.com/api", "https://desk.example.com/v1")
PLAIN = "      paginate: {type: next_url, next: next}\n"
YAML = re.compile(r"^```yaml\n(source:\n.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = re.compile(r"\b01[a-z0-9]{16}\b")


@dataclass
class Followed:
    """The page, and its commands that are left to be typed."""

    left: list[tuple[str, str]]
    server: ProjectsServer
    capture: pytest.CaptureFixture[str]

    def next(self) -> int:
        """Type the next command, compare what comes of it, and return how it ended."""
        command, expected = self.left.pop(0)
        code = main(command.split())
        found = "".join(self.capture.readouterr()).replace(self.server.url, HOSTS[0])
        assert re.fullmatch(pattern_of(RUN.sub("RUN", expected)), alike(RUN.sub("RUN", found))), found
        return code


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProjectsServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ProjectsServer({"alpha": tickets(5), "beta": tickets(3), "gamma": tickets(2)}) as server:
        yield server


@pytest.fixture
def page(
    server: ProjectsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Followed]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_COLOR", "1")
    Path("crudsd.yaml").write_text(yaml_of(PAGE, dict.fromkeys(HOSTS, server.url)), encoding="utf-8")
    generate_key(Path("crudsd.key"))
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield Followed([pair for block in TRANSCRIPT.findall(text()) for pair in COMMAND.findall(block)], server, capsys)
    root.handlers[:], root.level = handlers, level  # the commands of this process set up a log
    structlog.reset_defaults()


def text() -> str:
    return (DOCS / PAGE).read_text(encoding="utf-8")


def tickets(number: int) -> list[dict[str, Any]]:
    return [{"no": no, "title": f"ticket {no}"} for no in range(number)]


def test_the_page_is_true(page: Followed, server: ProjectsServer) -> None:
    there = {"id": "t1", "project": "gamma", "number": 0, "title": "by hand", "in": "GAMMA"}
    server.desk["t1"] = there
    ended = [page.next()]
    assert there["title"] == "ticket 0"
    server.statuses["beta"] = 404
    del server.projects["alpha"][4:]
    server.projects["delta"] = tickets(1)
    ended.append(page.next())
    assert held(server) == {"alpha": 4, "beta": 3, "gamma": 2, "delta": 1}
    with_rule()
    ended.append(page.next())

    assert (ended, page.left) == ([0, 3, 0], [])
    assert held(server) == {"alpha": 4, "gamma": 2, "delta": 1}


def held(server: ProjectsServer) -> Counter[str]:
    """Return how many tickets of each project the desk has."""
    return Counter(record["project"] for record in server.desk.values())


def with_rule() -> None:
    """Put the page's other source, the one with a rule, in place of the first."""
    file = Path("crudsd.yaml")
    (source,) = YAML.findall(text())
    first, rule = source.rsplit("\n", 2)[0], source.splitlines()[-1]
    said = file.read_text(encoding="utf-8")
    assert "".join(f"    {line}\n" for line in first.splitlines()) in said, "the two sources of the page differ"
    assert said.count(PLAIN) == 1
    file.write_text(said.replace(PLAIN, f"{PLAIN}    {rule}\n"), encoding="utf-8")
