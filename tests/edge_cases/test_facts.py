"""Habits of real servers, met by the whole program."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.sync.outcome import Ending
from tests.edge_cases.pair import CONNECTION, USER, Pair, person
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving
from tests.integration.harness import wrote

SECRET = {"auth": {"type": "bearer", "token": {"env": "TOKEN"}}}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=8) as one:
        yield one


@pytest.fixture
def api() -> Iterator[ScriptedServer]:
    with serving() as one:
        yield one


def from_api(pair: Pair, api: ScriptedServer, base: str = "", **source: Any) -> Pair:
    """Let the pair's job read a source that answers from a script, with a secret."""
    pair.edit(source={"connection": "hr", **source})
    spec = pair.spec()
    spec["connections"]["hr"] = {"host": api.url + base, **CONNECTION, **SECRET}
    pair.desk.environment["TOKEN"] = "canary-s3cret-of-hr"
    pair.desk.write(spec)
    return pair


def reads(pair: Pair, numbers: range) -> None:
    """The users are these people."""
    assert set(pair.users.by_key()) == {f"E{number}" for number in numbers}


# ---- 1: where the next page is -------------------------------------------------------------------------------------

NEXT = [
    pytest.param("{url}/v2/people?page=2", id="absolute"),
    pytest.param("people?page=2", id="relative to the page"),
    pytest.param("?page=2", id="only a query"),
    pytest.param("/v2/people?page=2", id="relative to the root"),
    pytest.param("/people?page=2", id="relative to the service"),
]


@pytest.mark.fact(1)
@pytest.mark.parametrize("where", ["body", "header", "link"])
@pytest.mark.parametrize("said", NEXT)
def test_a_next_address_is_followed_however_it_is_written(
    server: MisbehavingServer, api: ScriptedServer, tmp_path: Path, said: str, where: str
) -> None:
    address = said.format(url=api.url)
    headers = {"header": {"X-Next": address}, "link": {"Link": f'<{address}>; rel="next"'}}.get(where, {})
    body = {"next": address} if where == "body" else {}
    paginate = {
        "body": {"type": "next_url", "next": "next"},
        "header": {"type": "next_url", "next": "header:X-Next"},
        "link": {"type": "link"},
    }[where]
    first = json_reply({"items": [person(0), person(1)], **body}, headers=headers)
    api.script(first, json_reply({"items": [person(2)]}))
    pair = from_api(Pair(server, tmp_path), api, "/v2", read="people", records="items", paginate=paginate)

    result = pair.run()

    assert (result.ending, result.certificate.issued) == (Ending.DONE, True)
    assert [seen.path for seen in api.journal] == ["/v2/people"] * 2
    reads(pair, range(3))


@pytest.mark.fact(1)
@pytest.mark.parametrize("said", ["{other}/people?page=2", "//127.0.0.1:1/people", "https://127.0.0.1/people"])
def test_a_next_address_elsewhere_ends_the_run_and_gets_no_request_and_no_credentials(
    server: MisbehavingServer, api: ScriptedServer, tmp_path: Path, said: str
) -> None:
    with serving() as other:
        api.script(json_reply({"items": [person(0)], "next": said.format(other=other.url)}))
        paginate = {"type": "next_url", "next": "next"}
        pair = from_api(Pair(server, tmp_path), api, read="people", records="items", paginate=paginate)

        result = pair.run()

        assert (result.ending, other.journal) == (Ending.FAILED, [])
        assert "next address is not on" in result.error
        assert not result.certificate.issued


# ---- 2: pages that are shorter than asked --------------------------------------------------------------------------


@pytest.mark.fact(2)
@pytest.mark.parametrize("paging", ["page", "offset"])
@pytest.mark.parametrize("total", ["total", None])
def test_a_page_that_was_capped_silently_is_not_the_end(
    server: MisbehavingServer, tmp_path: Path, paging: Any, total: str | None
) -> None:
    listed = server.collection("listed", key="no", paging=paging, page_size=10)
    listed.put(person(number) for number in range(35))
    size = {"size": 500, "size_param": "per_page" if paging == "page" else "limit"}
    paginate = {"type": paging, "param": paging, **size, **({"total": total} if total else {})}
    pair = Pair(server, tmp_path)
    pair.edit(source={"connection": "api", "read": "listed", "records": "listed", "paginate": paginate})

    result = pair.run()

    assert (result.ending, result.counts.seen, result.certificate.issued) == (Ending.DONE, 35, True)
    reads(pair, range(35))


@pytest.mark.fact(2)
def test_where_a_job_takes_a_short_page_for_the_end_the_total_withholds_its_deletes(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    listed = server.collection("listed", key="no", paging="page", page_size=50)
    listed.put(person(number) for number in range(35))
    paginate = {"type": "page", "param": "page", "size": 50, "size_param": "per_page", "total": "total"}
    source = {"connection": "api", "read": "listed", "records": "listed"}
    pair = Pair(server, tmp_path)
    pair.edit(source={**source, "paginate": {**paginate, "stop": "page.count < 50"}})
    pair.run()
    listed.page_size = 10  # the operators of the API cap its pages

    result = pair.run()

    assert (result.ending, result.counts.deleted) == (Ending.HELD, 0)
    assert "the API counts 35 records, 10 arrived" in str(result.certificate)
    reads(pair, range(35))


# ---- 5: what refused credentials look like -------------------------------------------------------------------------


@pytest.mark.fact(5)
@pytest.mark.parametrize("body", [b"", b'{"code": "token_expired"}'])
def test_which_answer_means_that_the_token_is_over_can_be_said(
    server: MisbehavingServer, tmp_path: Path, body: bytes
) -> None:
    url = server.oauth_client("crudsd", "canary-s3cret")
    rules = [{"status": 403, "then": "refresh_auth"}]
    pair = Pair(server, tmp_path, target={"create": {"uri": "users", "on_response": rules}})
    pair.hire(*range(5))
    spec = pair.spec()
    oauth = {"type": "oauth2", "url": url, "client_id": "crudsd", "client_secret": {"env": "SECRET"}}
    spec["connections"]["api"]["auth"] = oauth
    pair.desk.environment["SECRET"] = "canary-s3cret"
    pair.desk.write(spec)
    server.fault(Fault.answer(403, body), method="POST", path="^/users", nth=3)

    result = pair.run()

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (5, 0, 0))
    assert len(server.token_requests()) == 2
    pair.assert_in_step()


# ---- 7, 9: what changes want, and limits that say nothing ----------------------------------------------------------


@pytest.mark.fact(7)
@pytest.mark.parametrize("status", [409, 412, 428])
def test_a_record_that_moved_on_is_read_and_compared_again_once(
    server: MisbehavingServer, tmp_path: Path, status: int
) -> None:
    get = {"uri": USER, "version": "header:ETag"}
    update = {"uri": USER, "body": "changed", "if_match": True}
    pair = Pair(server, tmp_path, target={"get": get, "update": update})
    pair.hire(*range(5))
    pair.run()
    pair.hire(3, name="Other")
    pair.hire(4, name="Other")
    server.fault(Fault.answer(status), method="PATCH", path=pair.users.by_key()["E3"]["id"], times=1)
    server.fault(Fault.answer(status, "for ever"), method="PATCH", path=pair.users.by_key()["E4"]["id"])

    result = pair.run()

    assert (result.ending, wrote(result.counts), pair.desk.rejects()) == (Ending.REJECTED, (0, 1, 0), ["E4"])
    assert pair.users.by_key()["E3"]["name"] == "Other"
    server.behave()
    pair.run()
    pair.assert_in_step()
    pair.assert_idle()


# ---- 10: how deletes show ------------------------------------------------------------------------------------------


@pytest.mark.fact(10)
def test_a_record_that_is_marked_as_deleted_or_that_is_missing_is_deleted_by_a_whole_read(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    pair = Pair(server, tmp_path, where="not record.deleted_at")
    pair.hire(*range(10))
    pair.run()
    pair.hire(3, deleted_at="2026-01-01")
    pair.staff.remove("E4")

    result = pair.run()

    assert (result.ending, result.counts.deleted) == (Ending.DONE, 2)
    assert set(pair.users.by_key()) == {f"E{number}" for number in range(10)} - {"E3", "E4"}
    pair.assert_idle()


# ---- 11: ids -------------------------------------------------------------------------------------------------------


@pytest.mark.fact(11)
def test_a_record_is_known_by_the_id_that_the_target_gave_it(server: MisbehavingServer, tmp_path: Path) -> None:
    mapped = {"no": "record.no", "name": "record.name", "email": "record.email", "id": "record.no"}
    pair = Pair(server, tmp_path, map=mapped, target={"lookup": None, "match": None})
    pair.hire(*range(3))
    pair.run()
    given = {one["no"]: one["id"] for one in pair.users.records()}
    assert "E1" not in given.values()
    pair.hire(1, name="Other")
    pair.staff.remove("E2")

    result = pair.run()

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (0, 1, 1))
    assert {seen.path for seen in server.writes()[-2:]} == {f"/users/{given['E1']}", f"/users/{given['E2']}"}
    pair.assert_in_step()
    pair.assert_idle()


# ---- 13: totals ----------------------------------------------------------------------------------------------------


def counted(api: ScriptedServer, numbers: range, total: Any, *, readings: int = 1, is_reached: bool = False) -> None:
    """Let the API give these people on pages of ten, by number, each with this total, to so many readings.

    A run that deletes reads twice. Where the total `is_reached`, no empty page is asked for.
    """
    pages = [list(map(person, numbers[at : at + 10])) for at in range(0, len(numbers), 10)]
    pages += [] if is_reached else [[]]
    api.script(*(json_reply({"items": page, "total": total}) for _ in range(readings) for page in pages))


def with_total(server: MisbehavingServer, api: ScriptedServer, folder: Path, total: str | None) -> Pair:
    paginate = {"type": "page", "param": "page", **({"total": total} if total else {})}
    return from_api(Pair(server, folder), api, read="people", records="items", paginate=paginate)


@pytest.mark.fact(13)
@pytest.mark.parametrize("total", [-1, None, "", "unknown", "~25", 25.0, True, [], {"value": 25}])
def test_what_is_no_total_is_none(server: MisbehavingServer, api: ScriptedServer, tmp_path: Path, total: Any) -> None:
    pair = with_total(server, api, tmp_path, "total")
    counted(api, range(25), total)
    pair.run()
    counted(api, range(24), total, readings=2)

    result = pair.run()

    assert (result.ending, result.counts.deleted, result.certificate.issued) == (Ending.DONE, 1, True)
    reads(pair, range(24))


@pytest.mark.fact(13)
@pytest.mark.parametrize("total", [24, "24"])
def test_a_total_counts_as_a_number_or_as_its_text(
    server: MisbehavingServer, api: ScriptedServer, tmp_path: Path, total: Any
) -> None:
    pair = with_total(server, api, tmp_path, "total")
    counted(api, range(25), None)
    pair.run()
    counted(api, range(24), total, readings=2, is_reached=True)
    api.journal.clear()

    result = pair.run()

    assert (result.ending, len(api.journal)) == (Ending.DONE, 6)
    assert "24 of 24 records" in str(result.certificate)
    reads(pair, range(24))


@pytest.mark.fact(13)
@pytest.mark.parametrize("estimate", [23, 30])
@pytest.mark.parametrize("total", ["total", None], ids=["declared", "left out"])
def test_an_estimate_deletes_nothing_unless_the_job_leaves_it_out(
    server: MisbehavingServer, api: ScriptedServer, tmp_path: Path, total: str | None, estimate: int
) -> None:
    pair = with_total(server, api, tmp_path, total)
    counted(api, range(25), None)
    pair.run()
    counted(api, range(24), estimate, readings=2, is_reached=total is not None and estimate < 24)

    result = pair.run()

    if total is None:
        assert (result.ending, result.counts.deleted) == (Ending.DONE, 1)
        reads(pair, range(24))
    else:
        assert (result.ending, result.counts.deleted) == (Ending.HELD, 0)
        assert f"the API counts {estimate} records, 24 arrived" in str(result.certificate)
        reads(pair, range(25))


# ---- 14: redirects -------------------------------------------------------------------------------------------------


@pytest.mark.fact(14)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_do_not_follow_a_read_to_another_host(
    server: MisbehavingServer, api: ScriptedServer, tmp_path: Path, status: int
) -> None:
    with serving() as other:
        api.route("/people", Reply(status, {"Location": f"{other.url}/elsewhere"}))
        other.route("/elsewhere", json_reply({"items": [person(0)]}))
        pair = from_api(Pair(server, tmp_path), api, read="people", records="items")

        result = pair.run()

        assert result.ending is Ending.DONE
        assert api.journal[0].headers["authorization"] == "Bearer canary-s3cret-of-hr"
        assert [seen.path for seen in other.journal] == ["/elsewhere"]
        assert "canary-s3cret-of-hr" not in json.dumps([dict(seen.headers) for seen in other.journal])


@pytest.mark.fact(14)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_write_does_not_follow_to_another_host(server: MisbehavingServer, tmp_path: Path, status: int) -> None:
    with serving() as other:
        pair = Pair(server, tmp_path)
        pair.hire(1)
        elsewhere = {"Location": f"{other.url}/users"}
        server.fault(Fault.answer(status, headers=elsewhere), method="POST", path="^/users")

        result = pair.run()

        assert (result.ending, pair.desk.rejects(), other.journal) == (Ending.REJECTED, ["E1"], [])
        server.behave()
        pair.run()
        pair.assert_in_step()
        pair.assert_idle()
