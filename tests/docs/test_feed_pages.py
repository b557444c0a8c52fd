"""The how-to pages on reading what changed are true: their jobs are run as they stand, but for addresses."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.sync.cursor import Reach
from daemon.sync.outcome import Ending, Result
from tests.docs.test_sql_pages import Page, plain_log
from tests.fakes.helpdesk import Helpdesk
from tests.fakes.misbehaving import MisbehavingServer
from tests.integration.harness import Desk, wrote, yaml_of

if TYPE_CHECKING:
    from tests.servers.postgres import Postgres

__all__ = ["plain_log"]  # a fixture, which pytest finds by its name

TOKEN = "canary-t0ken-of-both"
SECRETS = {"DESK_TOKEN": TOKEN, "ARCHIVE_TOKEN": TOKEN}


@pytest.fixture
def helpdesk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Helpdesk]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Helpdesk(TOKEN) as server:
        yield server


def told(result: Result) -> tuple[Ending, Reach | None, tuple[int, int, int]]:
    return result.ending, result.reach, wrote(result.counts)


def test_an_api_is_kept_in_step_with_what_changed_in_another(helpdesk: Helpdesk, tmp_path: Path) -> None:
    for number in range(1, 21):
        helpdesk.put(number, f"2026-03-01T08:{number:02}:00Z")
    with MisbehavingServer(seed=3) as archive:
        archive.token(TOKEN)
        kept = archive.collection("tickets", paging="page")
        hosts = {"https://desk.example.com/v1": helpdesk.url, "https://archive.example.com/api": archive.url}
        # The page's archive calls its records items, this one calls them tickets.
        spec = yaml_of("how-to/incremental.md", {**hosts, "records: items": "records: tickets"})
        desk = Desk(tmp_path, spec, secrets=SECRETS)

        assert told(desk.run("tickets-to-archive").result) == (Ending.DONE, Reach.WHOLE, (20, 0, 0))
        helpdesk.asked.clear()
        assert told(desk.run("tickets-to-archive").result) == (Ending.DONE, Reach.SINCE, (0, 0, 0))
        assert len(helpdesk.asked) == 2  # the lookback's five minutes hold six tickets, and a page three
        helpdesk.put(4, "2026-03-01T09:00:00Z", status="closed")
        helpdesk.put(21, "2026-03-01T08:17:00Z")  # late: it bears a time from before the cursor
        helpdesk.delete(7, "2026-03-01T09:00:00Z")
        helpdesk.purge(9)
        assert told(desk.run("tickets-to-archive").result) == (Ending.DONE, Reach.SINCE, (1, 1, 1))
        held = {one["external_id"]: one["status"] for one in kept.records()}
        assert held == {number: "closed" if number == 4 else "open" for number in range(1, 22) if number != 7}

        # What went without a tombstone is found by a full read, and deleted by its certificate.
        assert told(desk.run("tickets-to-archive", full=True).result) == (Ending.DONE, Reach.WHOLE, (0, 0, 1))
        assert 9 not in {one["external_id"] for one in kept.records()}


@pytest.mark.servers
def test_the_tickets_of_each_project_are_kept_in_a_table(
    helpdesk: Helpdesk,
    postgres: "Postgres",
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, role = "how-to/tickets-to-postgresql.md", "crudsd_tickets"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DESK_TOKEN", TOKEN)
    monkeypatch.setenv("NO_COLOR", "1")
    for project, tickets in {"intranet": 2, "website": 20}.items():
        helpdesk.project(project)
        for number in range(1, tickets + 1):
            helpdesk.put(number, f"2026-03-01T08:{number:02}:00Z", project=project)
    database = postgres.empty_database()
    (tmp_path / "warehouse-url").write_text(postgres.url(database, user=role) + "\n")
    desk = Desk(tmp_path, yaml_of(name, {"https://desk.example.com/v1": helpdesk.url}), secrets=SECRETS)
    page = Page(name, postgres, database, capsys)

    def rows(project: str) -> dict[int, str]:
        query = f"SELECT id, status FROM desk.tickets WHERE project_id = '{project}'"
        return dict(postgres.sql(query, database=database))

    try:
        for language, text in page.blocks():
            page.follow(language, text)

        helpdesk.put(4, "2026-03-01T09:00:00Z", project="website", status="closed")
        helpdesk.put(3, "2026-03-01T07:59:00Z", project="intranet")  # late: from before the cursor
        helpdesk.delete(7, "2026-03-01T09:00:00Z", project="website")
        helpdesk.purge(9, project="website")
        helpdesk.project("shop")
        helpdesk.put(1, "2026-02-01T08:00:00Z", project="shop")  # and a project that is new
        assert told(desk.run("tickets").result) == (Ending.DONE, Reach.SINCE, (2, 1, 1))
        assert rows("website") == {n: "closed" if n == 4 else "open" for n in range(1, 21) if n != 7}
        assert (set(rows("intranet")), set(rows("shop"))) == ({1, 2, 3}, {1})

        helpdesk.closed_to_us.add("shop")
        helpdesk.close_project("intranet")
        assert told(desk.run("tickets").result) == (Ending.REJECTED, Reach.SINCE, (0, 0, 0))
        # A 404 is not "no tickets"; a project that the complete list of them does not hold is gone with its tickets.
        assert told(desk.run("tickets", full=True).result) == (Ending.REJECTED, Reach.WHOLE, (0, 0, 4))
        assert (set(rows("intranet")), set(rows("shop"))) == (set(), {1})
        assert 9 not in rows("website")
    finally:
        postgres.sql(f"DROP OWNED BY {role}", f"DROP ROLE {role}", database=database)
