"""Jobs over what GitHub really answered: lists whose next address has another path, repositories that moved."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.sync.outcome import Ending
from tests.conftest import started
from tests.integration.harness import Desk, wrote
from tests.servers.github import CODELOAD, TOKEN, Replay
from tests.unit.endpoints.sql_rig import rows, sqlite

pytestmark = pytest.mark.servers

ORG = "repos/octokit-fixture-org"
SHOWN = f"token {TOKEN}"


@pytest.fixture
def github(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Replay]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield from started(lambda: Replay(request.param))


def recorded(scenario: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("github", [scenario], indirect=True)


def desk(github: Replay, folder: Path, job: Mapping[str, Any], **connection: Any) -> Desk:
    """Return a folder with a job whose systems are GitHub, and a database."""
    database = sqlite(folder / "data.db", "CREATE TABLE kept (id INTEGER PRIMARY KEY, name TEXT, description TEXT)")
    auth = {"type": "header", "name": "Authorization", "value": {"env": "GITHUB"}}
    retry = {"attempts": 2, "backoff": 0.001, "max_wait": "1s"}
    connections = {
        "github": {"host": github.url(), "auth": auth, "retry": retry, **connection},
        "db": {"type": "sql", "url": database},
    }
    return Desk(folder, {"connections": connections, "jobs": {"people": job}}, secrets={"GITHUB": SHOWN})


def to_table(source: Mapping[str, Any], **fields: str) -> dict[str, Any]:
    return {
        "mode": "mirror",
        "source": {"connection": "github", **source},
        "key": "record.id",
        "map": {"id": "record.id", **fields},
        "target": {"connection": "db", "table": "kept"},
    }


@recorded("paginate-issues")
def test_a_next_address_with_another_path_is_followed_to_the_end_and_the_read_is_certified(
    github: Replay, tmp_path: Path
) -> None:
    source = {"read": f"{ORG}/paginate-issues/issues", "params": {"per_page": 3}, "paginate": {"type": "link"}}
    job = desk(github, tmp_path, to_table({**source, "records": "@"}, name="record.title"))

    first, again = job.run().result, job.run().result

    assert (first.ending, wrote(first.counts)) == (Ending.DONE, (13, 0, 0))
    assert str(first.certificate) == "complete: 13 records on 5 pages, ended by no next page"
    assert (wrote(again.counts), again.counts.unchanged) == ((0, 0, 0), 13)
    assert len(rows(tmp_path / "data.db", "SELECT name FROM kept WHERE name IS NOT NULL")) == 13
    paths = [asked.path.partition("?")[0] for asked in github.asked()]
    assert paths == [f"/{ORG}/paginate-issues/issues", *["/repositories/1000/issues"] * 4] * 2
    assert {asked.authorization for asked in github.asked()} == {SHOWN}  # the same API, so the token goes along


@recorded("rename-repository")
def test_a_repository_that_moved_is_read_where_it_is_now(github: Replay, tmp_path: Path) -> None:
    source = {"read": f"{ORG}/rename-repository", "records": "[@]", "paginate": {"type": "none"}}
    job = desk(github, tmp_path, to_table(source, name="record.name"))

    result = job.run().result

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (1, 0, 0))
    assert rows(tmp_path / "data.db", "SELECT id, name FROM kept") == [(1000, "rename-repository-newname")]
    assert [(asked.path, asked.status, asked.authorization) for asked in github.asked()] == [
        (f"/{ORG}/rename-repository", 301, SHOWN),
        ("/repositories/1000", 200, SHOWN),
    ]


def to_github(**target: Any) -> dict[str, Any]:
    return {
        "mode": "upsert",
        "source": {"connection": "db", "query": "SELECT name, description FROM kept"},
        "key": "record.name",
        "target": {"connection": "github", **target},
    }


@recorded("rename-repository")
def test_a_write_to_a_repository_that_moved_is_made_where_it_is_now(github: Replay, tmp_path: Path) -> None:
    found = {"uri": "repositories/1000", "records": "[@]"}
    update = {"uri": f"{ORG}/rename-repository", "body": "document"}
    job = desk(github, tmp_path, {**to_github(match="name", lookup=found, update=update), "mode": "update_only"})
    sqlite(tmp_path / "data.db", "INSERT INTO kept VALUES (1, 'rename-repository-newname', 'test description')")

    result = job.run().result

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (0, 1, 0))
    assert [(asked.method, asked.path, asked.status) for asked in github.asked()] == [
        ("GET", "/repositories/1000", 200),
        ("PATCH", f"/{ORG}/rename-repository", 307),
        ("PATCH", "/repositories/1000", 200),
    ]


@pytest.mark.fact(14)
@recorded("get-archive")
@pytest.mark.parametrize("is_allowed", [False, True])
def test_a_token_follows_to_another_host_only_if_that_is_said(github: Replay, tmp_path: Path, is_allowed: bool) -> None:
    source = {"read": f"{ORG}/get-archive/tarball/main", "records": "@", "paginate": {"type": "none"}}
    allowed = {"allowed_hosts": [github.url(CODELOAD)]} if is_allowed else {}
    job = desk(github, tmp_path, to_table(source), **allowed)

    result = job.run().result

    assert (result.ending, wrote(result.counts)) == (Ending.FAILED, (0, 0, 0))  # a packed archive is no list
    assert [asked.authorization for asked in github.asked()] == [SHOWN]
    assert {asked.authorization for asked in github.asked(CODELOAD)} == {SHOWN if is_allowed else None}


@recorded("errors")
def test_what_github_refuses_is_a_reject_with_its_own_words(github: Replay, tmp_path: Path) -> None:
    labels = {**to_github(create=f"{ORG}/errors/labels"), "map": {"name": "record.name", "color": "'invalid'"}}
    job = desk(github, tmp_path, {**labels, "mode": "create_only"})
    sqlite(tmp_path / "data.db", "INSERT INTO kept VALUES (1, 'foo', NULL)")

    result = job.run().result

    assert (result.ending, result.counts.rejected) == (Ending.REJECTED, 1)
    assert "Validation Failed" in job.reasons()["foo"]
