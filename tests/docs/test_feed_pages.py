"""The how-to pages on reading what changed are true: their jobs are run as they stand, but for addresses."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.sync.cursor import Reach
from daemon.sync.outcome import Ending, Result
from tests.fakes.helpdesk import Helpdesk
from tests.fakes.misbehaving import MisbehavingServer
from tests.integration.harness import Desk, wrote, yaml_of

TOKEN = "canary-t0ken-of-both"
SECRETS = {"DESK_TOKEN": TOKEN, "ARCHIVE_TOKEN": TOKEN}


@pytest.fixture
def helpdesk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Helpdesk]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Helpdesk(TOKEN) as server:
        yield server


def told(result: Result) -> tuple[Ending, Reach, tuple[int, int, int]]:
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
