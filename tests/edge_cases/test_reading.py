"""What goes wrong while the source is read, through the whole program; the server's own journal is the oracle."""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.endpoints.rest_read import RestSource
from daemon.sync.guards import Allowance
from daemon.sync.outcome import EXITS, Ending, Result
from tests.edge_cases.pair import ANY, TARGET, Pair, person
from tests.fakes.misbehaving import Cut, Fault, MisbehavingServer, Moment, Seen
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving

BY_PAGE = {"type": "page", "param": "page"}
BY_OFFSET = {"type": "offset", "param": "offset"}
BY_LINK = {"type": "next_url", "next": "next"}


class KilledError(BaseException):
    """The process dies here. Nothing in the program may catch it."""


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=7) as one:
        yield one


def pair(server: MisbehavingServer, folder: Path, *, paging: Any = "cursor", **source: Any) -> Pair:
    """A pair whose source is paged otherwise; `source` is laid over the usual source."""
    made = Pair(server, folder, guards={"deletes": "50%"})
    if paging != "cursor":
        made.staff = server.collection("staff", key="no", paging=paging)
        source = {"records": "staff", **source}
    made.edit(source={**made.job["source"], **source})
    return made


def deleted(server: MisbehavingServer) -> set[Any]:
    return {done.key for done in server.applied if done.kind == "delete"}


def reads(server: MisbehavingServer) -> list[Seen]:
    return [seen for seen in server.requests if seen.method == "GET" and seen.path == "/staff"]


def after_page(server: MisbehavingServer, number: int, edit: Callable[[], None]) -> None:
    """Let something happen once, when so many pages of the source have been answered from now on."""
    pages = 0

    def watch(moment: Moment, seen: Seen) -> None:
        nonlocal pages
        # Its answer is made, and nothing is asked before it is sent.
        if moment is Moment.APPLIED and seen.method == "GET" and seen.path == "/staff":
            pages += 1
            if pages == number:
                edit()

    server.watch(watch)


# ---- pages -------------------------------------------------------------------------------------------------------


@pytest.mark.edge(1)
@pytest.mark.parametrize("page", range(1, 6))
def test_records_of_one_moment_are_all_there_once_after_a_kill_at_any_page(
    server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(500), updated_at="2026-03-01T00:00:00Z")
    read = RestSource.read

    def mortal(self: RestSource, resume: str | None = None, **scope: Any) -> Iterator[Any]:
        for step in read(self, resume, **scope):
            if getattr(step, "number", None) == page:
                raise KilledError
            yield step

    with monkeypatch.context() as patch:
        patch.setattr(RestSource, "read", mortal)
        with pytest.raises(KilledError):
            both.run()
    both.run()

    both.assert_in_step()
    assert max(server.creates_by_key("users").values()) == 1
    both.assert_idle()


@pytest.mark.edge(7)
@pytest.mark.suffering(16)
@pytest.mark.parametrize(
    ("paging", "paginate"),
    [
        ("page", BY_PAGE),
        ("page", {**BY_PAGE, "total": "total"}),
        ("offset", BY_OFFSET),
        ("offset", {**BY_OFFSET, "total": "total"}),
        ("next_url", BY_LINK),
    ],
)
@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_row_that_goes_while_pages_are_read_by_number_hides_nobody(
    server: MisbehavingServer, tmp_path: Path, paging: Any, paginate: Mapping[str, Any], is_replaced: bool
) -> None:
    both = pair(server, tmp_path, paging=paging, paginate=paginate)
    both.hire(*range(250))
    both.run()
    both.staff.remove("E249")
    server.forget()

    def edit() -> None:
        both.staff.remove("E3")  # E100 moves to the first page, which was read
        if is_replaced:
            both.hire(900)

    after_page(server, 1, edit)
    result = both.run()

    assert deleted(server) == {"E249"}
    assert str(result.certificate).startswith("complete at the 2nd reading")
    both.run()
    both.assert_in_step()


@pytest.mark.edge(7)
def test_a_row_that_comes_while_pages_are_read_is_no_double(server: MisbehavingServer, tmp_path: Path) -> None:
    both = pair(server, tmp_path, paging="page", paginate={**BY_PAGE, "total": "total"})
    both.hire(*range(150))
    both.run()
    everybody = both.staff.records()
    server.forget()

    def edit() -> None:
        both.staff.restore([{"id": "new", **person(900)}, *everybody])  # E99 moves to the second page

    after_page(server, 1, edit)
    result = both.run()

    assert (result.ending, result.counts.rejected, server.writes()) == (Ending.DONE, 0, [])
    assert (result.counts.seen, result.counts.unchanged) == (150, 150)
    both.run()
    both.assert_in_step()


@pytest.mark.edge(7)
def test_a_total_that_never_fits_deletes_nobody_and_costs_one_more_reading(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(80))
    both.run()
    both.staff.remove("E5")
    server.forget()
    body = json.dumps({"data": {"items": both.staff.records(), "next_cursor": None, "total": 99}})
    server.fault(Fault.answer(200, body), method="GET", path="^/staff")

    result = both.run()

    assert (result.ending, deleted(server), len(reads(server))) == (Ending.HELD, set(), 2)
    assert "not complete at the 2nd reading: the API counts 99 records, 79 arrived" in str(result.certificate)


def point(both: Pair, scripted: ScriptedServer) -> None:
    """Let the job ask the scripted server."""
    spec = both.spec()
    spec["connections"]["api"]["host"] = scripted.url
    for job in spec["jobs"].values():
        job["target"] = {name: value for name, value in job["target"].items() if value is not None}
    both.desk.write(spec)


@pytest.mark.edge(8, 9)
@pytest.mark.suffering(16)
@pytest.mark.parametrize(
    ("paging", "paginate", "fault"),
    [
        ("cursor", None, Fault.repeat_page()),
        ("cursor", None, Fault.token_cycle()),
        ("page", BY_PAGE, Fault.repeat_page()),
        ("page", BY_PAGE, Fault.clamp_last_page()),
        ("offset", BY_OFFSET, Fault.clamp_last_page()),
        ("next_url", BY_LINK, Fault.token_cycle()),
    ],
)
def test_pages_that_come_again_end_the_run_and_not_the_list(
    server: MisbehavingServer, tmp_path: Path, paging: Any, paginate: Mapping[str, Any] | None, fault: Fault
) -> None:
    both = pair(server, tmp_path, paging=paging, **({"paginate": paginate} if paginate else {}))
    both.hire(*range(320))
    both.run()
    both.staff.remove("E5")
    server.forget()
    server.fault(fault, method="GET", path="^/staff", nth=2, times=100)

    result = both.run()

    assert (result.ending, server.writes()) == (Ending.FAILED, [])
    assert len(reads(server)) < 10


@pytest.mark.edge(10)
def test_an_empty_page_in_the_middle_is_not_the_end(server: MisbehavingServer, tmp_path: Path) -> None:
    def page(numbers: range, cursor: str | None) -> Reply:
        return json_reply({"items": [person(number) for number in numbers], "next": cursor})

    with serving() as scripted:
        scripted.route("/staff", page(range(3), "one"), page(range(0), "two"), page(range(3, 5), None))
        scripted.route("/users", json_reply({"id": "x"}, status=201))
        both = Pair(server, tmp_path)
        paginate = {"type": "cursor", "param": "cursor", "next": "next"}
        both.edit(
            source={"connection": "api", "read": "staff", "records": "items", "paginate": paginate},
            target={**TARGET, "lookup": None},
        )
        point(both, scripted)

        result = both.run()

    assert (result.counts.seen, result.counts.created) == (5, 5)
    assert str(result.certificate) == "complete: 5 records on 3 pages, ended by no next page"


@pytest.mark.edge(11)
def test_reaching_max_pages_is_a_failure_and_deletes_nothing(server: MisbehavingServer, tmp_path: Path) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(320))
    both.run()
    server.forget()
    both.edit(source={**both.job["source"], "paginate": {**both.job["source"]["paginate"], "max_pages": 2}})

    result = both.run()

    assert (result.ending, result.certificate.issued, server.writes()) == (Ending.FAILED, False, [])
    assert "max_pages is 2" in result.error


@pytest.mark.edge(11)
def test_a_full_last_page_without_a_next_deletes_nothing_where_the_total_says_more(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(300))
    both.run()
    server.forget()
    first = json.dumps({"data": {"items": both.staff.records()[:280], "next_cursor": None, "total": 300}})
    server.fault(Fault.answer(200, first), method="GET", path="^/staff")

    result = both.run()

    assert (result.ending, server.writes()) == (Ending.HELD, [])
    assert "the API counts 300 records, 280 arrived" in str(result.certificate)


# ---- answers -----------------------------------------------------------------------------------------------------

NO_LISTS = [
    "",
    " ",
    "null",
    "true",
    '"sorry"',
    "42",
    "[]",
    "{}",
    '{"data": null}',
    '{"data": []}',
    '{"data": {}}',
    '{"data": {"items": null}}',
    '{"data": {"items": {}}}',
    '{"data": {"items": {"0": {"no": "E1"}}}}',
    '{"data": {"items": "none"}}',
    '{"data": {"items": false}}',
    '{"data": {"Items": []}}',
    '{"items": []}',
    '{"error": {"code": "internal"}, "data": null}',
    '{"errors": ["try later"]}',
    "<!doctype html><title>Sign in</title>",
    "<?xml version='1.0'?><items/>",
    "service unavailable",
]


@pytest.mark.edge(12)
@pytest.mark.parametrize("body", NO_LISTS)
@pytest.mark.parametrize("page", [1, 2])
def test_an_answer_that_holds_no_list_is_no_empty_list(
    server: MisbehavingServer, tmp_path: Path, body: str, page: int
) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(150))
    both.run()
    server.forget()
    headers = {"Content-Type": "application/json"}
    server.fault(Fault.answer(200, body, headers=headers), method="GET", path="^/staff", nth=page, times=9)

    result = both.desk.run(allowance=Allowance(deletes=1_000)).result

    assert result.ending in {Ending.FAILED, Ending.UNAVAILABLE}
    assert result.error
    assert (result.certificate.issued, server.writes()) == (False, [])


@pytest.mark.edge(12, 14)
def test_an_empty_list_is_a_whole_answer_and_its_deletes_are_held(server: MisbehavingServer, tmp_path: Path) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(150))
    both.run()
    server.forget()
    empty = '{"data": {"items": [], "next_cursor": null, "total": 0}}'
    server.fault(Fault.answer(200, empty), method="GET", path="^/staff")

    finished = both.desk.run()

    assert (finished.result.certificate.issued, finished.result.ending) == (True, Ending.HELD)
    assert EXITS[finished.result.ending] == 5
    assert next(verdict.guard for verdict in finished.result.verdicts if verdict.tripped) == "empty_source"
    assert server.writes() == []


@pytest.mark.edge(14)
def test_fewer_records_than_the_job_demands_delete_nothing(server: MisbehavingServer, tmp_path: Path) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(60))
    both.run()
    both.edit(guards={"deletes": "100%", "min_records": 60})
    both.staff.remove("E7")
    both.hire(5, name="Other")
    server.forget()

    result = both.desk.run().result

    assert (result.ending, result.counts.updated, result.counts.deleted) == (Ending.HELD, 1, 0)
    assert deleted(server) == set()


@pytest.mark.edge(13)
@pytest.mark.parametrize("how", list(Cut))
@pytest.mark.parametrize("page", [1, 2, 3])
def test_a_page_that_breaks_off_is_asked_for_again(
    server: MisbehavingServer, tmp_path: Path, how: Cut, page: int
) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(250))
    server.fault(Fault.cut_body(how), method="GET", path="^/staff", nth=page, times=1)

    result = both.run()

    assert (result.ending, result.counts.created, len(reads(server))) == (Ending.DONE, 250, 4)
    both.assert_in_step()


@pytest.mark.edge(13)
@pytest.mark.parametrize("squeeze", [gzip.compress, zlib.compress])
@pytest.mark.parametrize("kept", [0.2, 0.7, 0.99])
def test_a_compressed_page_that_breaks_off_is_asked_for_again(
    server: MisbehavingServer, tmp_path: Path, squeeze: Callable[[bytes], bytes], kept: float
) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(80))
    whole = squeeze(json.dumps({"data": {"items": both.staff.records(), "next_cursor": None, "total": 80}}).encode())
    encoding = "gzip" if squeeze is gzip.compress else "deflate"
    cut = Fault.answer(200, headers={"Content-Encoding": encoding, "Content-Type": "application/json"})
    cut = cut | Fault(body=whole[: int(len(whole) * kept)])
    server.fault(cut, method="GET", path="^/staff", nth=1, times=1)

    result = both.run()

    assert (result.ending, result.counts.created) == (Ending.DONE, 80)
    both.assert_in_step()


# ---- reads that are not whole ------------------------------------------------------------------------------------


@pytest.mark.edge(15)
@pytest.mark.suffering(3)
@pytest.mark.parametrize("page", range(1, 5))
@pytest.mark.parametrize("fault", [Fault.answer(502), Fault.answer(403), Fault.html()])
def test_a_read_that_ends_at_any_page_deletes_nobody(
    server: MisbehavingServer, tmp_path: Path, page: int, fault: Fault
) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(350))
    both.run()
    both.staff.remove("E1")
    both.staff.remove("E340")
    server.forget()
    server.fault(fault, method="GET", path="^/staff", nth=page, times=100)

    broken = both.run()
    server.behave()

    assert (broken.certificate.issued, deleted(server)) == (False, set())
    assert both.run().counts.deleted == 2
    assert deleted(server) == {"E1", "E340"}


@pytest.mark.edge(15)
def test_one_record_without_a_key_keeps_everybody(server: MisbehavingServer, tmp_path: Path) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(40))
    both.run()
    both.staff.remove("E7")
    both.staff.put([{"name": "Nobody"}])
    server.forget()

    result = both.run()

    assert (deleted(server), result.counts.deletes_withheld) == (set(), 1)
    assert "no usable key" in str(result.certificate)


@pytest.mark.edge(16)
@pytest.mark.suffering(1)
def test_half_of_the_rows_hidden_from_a_token_delete_nobody(server: MisbehavingServer, tmp_path: Path) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(100), team="a")
    both.hire(*range(100, 190), team="b")
    both.edit(source={**both.job["source"], "params": {}}, guards={"deletes": "10%"})
    both.run()
    server.forget()
    shown = [one for one in both.staff.records() if one["team"] == "b"]
    body = json.dumps({"data": {"items": shown, "next_cursor": None, "total": len(shown)}})
    server.fault(Fault.answer(200, body), method="GET", path="^/staff")

    first, second = (both.desk.run().result for _ in range(2))

    assert (first.ending, second.ending) == (Ending.HELD, Ending.HELD)
    assert (first.certificate.issued, deleted(server)) == (True, set())


@pytest.mark.suffering(2, 4)
def test_a_mirror_deletes_neither_what_it_just_made_nor_what_it_never_knew(
    server: MisbehavingServer, tmp_path: Path
) -> None:
    both = pair(server, tmp_path)
    both.hire(*range(60))
    both.run()
    both.users.put([{"no": "X1", "name": "Made by hand"}])
    both.staff.remove("E3")
    both.hire(*range(100, 160))

    result = both.run()

    assert (result.counts.created, result.counts.deleted, deleted(server)) == (60, 1, {"E3"})
    assert both.users.by_key().keys() == {*both.staff.by_key(), "X1"}


# ---- other hosts -------------------------------------------------------------------------------------------------


@pytest.mark.edge(21)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_gets_no_credentials(tmp_path: Path, status: int) -> None:
    with MisbehavingServer(seed=8) as server, serving() as elsewhere:
        server.token("canary-good")
        both = pair(server, tmp_path)
        spec = both.spec()
        spec["connections"]["api"]["auth"] = {"type": "bearer", "token": {"env": "TOKEN"}}
        both.desk.environment["TOKEN"] = "canary-good"
        both.desk.write(spec)
        away = Fault.answer(status, headers={"Location": f"{elsewhere.url}/staff"})
        server.fault(away, method="GET", path="^/staff")
        elsewhere.route("/staff", json_reply({"data": {"items": [], "next_cursor": None, "total": 0}}))

        both.run()

        assert all("authorization" not in seen.headers for seen in elsewhere.journal)


@pytest.mark.edge(21)
def test_a_next_address_on_another_host_fails_the_run_and_is_not_asked(tmp_path: Path) -> None:
    with MisbehavingServer(seed=8) as server, serving() as elsewhere:
        both = pair(server, tmp_path, paging="next_url", paginate=BY_LINK)
        both.hire(1, 2)
        both.run()
        server.forget()
        body = json.dumps({"staff": [person(1)], "next": f"{elsewhere.url}/staff?page=2"})
        server.fault(Fault.answer(200, body), method="GET", path="^/staff")

        result: Result = both.desk.run(allowance=ANY).result

        assert (result.ending, server.writes(), elsewhere.journal) == (Ending.FAILED, [], [])
