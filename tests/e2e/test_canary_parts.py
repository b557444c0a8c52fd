"""No secret is seen where a source is read for each parent, and one of them throws back what it was sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.canary import AUTHS, QUERY, Desk, Hostile, desk, empty_state, server
from tests.e2e.test_canary import WRONG, begin
from tests.fakes.scripted import json_reply

__all__ = ["desk", "empty_state", "server"]

ENDS_THE_RUN = {
    *("401", "500", "502 with HTML", "a wait of hours", "a cut answer", "a reset", "broken JSON"),
    "a redirect to another host",  # which is not there
}
"""What is wrong with the whole system, and not with one part; JSON that breaks off was cut on its way."""
TOLD = {0, 3}
PLACES = ("/teams/b/people", "/teams")
"""The children of one parent, and the list of the parents."""


def with_parts(desk: Desk, server: Hostile) -> None:
    """Let the job read the people of three teams."""
    for team in "abc":
        server.route(f"/teams/{team}/people", json_reply({"people": [{"no": f"E-{team}"}]}))
    server.route("/teams", json_reply({"teams": [{"id": team} for team in "abc"]}))
    config = json.loads(Path("crudsd.yaml").read_text(encoding="utf-8"))
    job: dict[str, Any] = config["jobs"]["people"]
    job["for_each"] = {"as": "team", "connection": "api", "read": f"teams?q={QUERY}", "records": "teams"}
    job["source"]["read"] = "teams/{{ team.id }}/people?q=" + QUERY
    job["key"] = ["team.id", "record.no"]
    job["map"] = {"team": "team.id", "no": "record.no"}
    job["target"]["match"] = "[team, no]"
    desk.text(json.dumps(config))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("auth", ["bearer", "query"])
def test_the_error_of_a_part_shows_no_secret(
    desk: Desk, server: Hostile, auth: str, wrong: str, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk, server, auth, monkeypatch)
    with_parts(desk, server)
    assert desk.crudsd("run", "people").code == 0

    server.throws[place] = WRONG[wrong]
    ended = desk.crudsd("run", "people")
    desk.crudsd("plan", "people")
    desk.crudsd("explain", "people", "b/E-b")
    desk.crudsd("runs", "people", "--json")

    is_told = place == PLACES[0] and wrong not in ENDS_THE_RUN
    assert ended.code == 3 if is_told else ended.code not in TOLD, ended
    assert ("could not be read" in ended.out) == is_told, ended.out
    assert desk.shows() == []


@pytest.mark.parametrize("auth", [name for name in AUTHS if name != "vault"])
def test_a_refused_part_shows_no_secret_of_any_kind(
    desk: Desk, server: Hostile, auth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(desk, server, auth, monkeypatch)
    with_parts(desk, server)
    server.throws[PLACES[0]] = WRONG["403"]

    assert desk.crudsd("run", "people").code == 3
    assert desk.shows(*server.signed()) == []
