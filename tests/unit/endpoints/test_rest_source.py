"""Reading a list to its declared end, over every kind of pagination; anything else is an error."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import cruds
from daemon.endpoints.rest_read import RestSource, asked_at
from daemon.errors import EndpointError, MalformedError, RefusedError, UnavailableError
from daemon.spec import RequestSource
from daemon.sync.certificate import End
from tests.fakes.misbehaving import Cut, Fault, MisbehavingServer
from tests.fakes.misbehaving_records import Paging
from tests.unit.endpoints.rig import exchange, source

TOTAL = 23
SIZED = {"size": 7, "size_param": "per_page"}
CURSOR = {"type": "cursor", "param": "cursor", "next": "data.next_cursor"}
WAYS: dict[str, tuple[Paging, str | None, dict[str, Any], str]] = {
    # how the server pages, the records path, what the job says, the declared reason for the end
    "none": ("none", "people", {"type": "none"}, "the only page"),
    "page": ("page", "people", {"type": "page", "param": "page", **SIZED}, "an empty page"),
    "page, total": ("page", "people", {"type": "page", "param": "page", "total": "total"}, "the total being reached"),
    "page, stop": (
        "page",
        "people",
        {"type": "page", "param": "page", "stop": "page.count < 7"},
        "the stop expression",
    ),
    "offset": (
        "offset",
        "people",
        {"type": "offset", "param": "offset", "size": 7, "size_param": "limit"},
        "an empty page",
    ),
    "cursor": ("cursor", "data.items", CURSOR, "no next page"),
    "cursor, total": ("cursor", "data.items", {**CURSOR, "total": "data.total"}, "no next page"),
    "next_url": ("next_url", "people", {"type": "next_url", "next": "next"}, "no next page"),
    "link": ("link", None, {"type": "link"}, "no next page"),
    "link, total": ("link", None, {"type": "link", "total": "header:X-Total-Count"}, "no next page"),
}


def read(server: MisbehavingServer, **said: Any) -> tuple[list[bytes], End]:
    """Read to the end: the records and why it ended."""
    records: list[bytes] = []
    for step in source(exchange(server.url), read="people", **said).read():
        if isinstance(step, End):
            return records, step
        records += step.records
    raise AssertionError("a read without an end")


def broken(server: MisbehavingServer, **said: Any) -> EndpointError:
    with pytest.raises(EndpointError) as caught:
        read(server, **said)
    return caught.value


def way(server: MisbehavingServer, name: str, total: int = TOTAL) -> dict[str, Any]:
    paging, records, paginate, _ = WAYS[name]
    people = server.collection("people", key="n", paging=paging, page_size=7)
    people.put({"n": number} for number in range(total))
    return {"records": records, "paginate": paginate}


@pytest.mark.parametrize("name", WAYS)
def test_every_record_comes_once_and_in_order(server: MisbehavingServer, name: str) -> None:
    records, end = read(server, **way(server, name))

    assert [int(raw.split(b'"n": ')[1].split(b",")[0]) for raw in records] == list(range(TOTAL))
    assert (end.reason, end.records) == (WAYS[name][3], TOTAL)
    assert end.total == (TOTAL if "total" in name else None)


@pytest.mark.parametrize("name", WAYS)
def test_an_empty_list_is_a_whole_one(server: MisbehavingServer, name: str) -> None:
    records, end = read(server, **way(server, name, total=0))

    assert (records, end.records) == ([], 0)


@pytest.mark.parametrize("name", WAYS)
def test_a_list_that_fits_its_pages_exactly_ends_as_well(server: MisbehavingServer, name: str) -> None:
    records, end = read(server, **way(server, name, total=14))

    assert (len(records), end.records) == (14, 14)


@pytest.mark.parametrize("name", ["page", "cursor", "next_url", "link", "offset"])
@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (Fault.html(), MalformedError, "HTML"),
        (Fault.answer(200, ""), MalformedError, "no JSON"),
        (Fault.envelope(), MalformedError, "not"),
        (Fault.missing_records(), MalformedError, "not"),
        (Fault.repeat_page(), MalformedError, "page"),
        (Fault.cut_body(Cut.WRONG_LENGTH), UnavailableError, "not whole"),
        (Fault.cut_body(Cut.NO_LENGTH), UnavailableError, "not whole"),
        (Fault.cut_body(Cut.RIGHT_LENGTH), UnavailableError, "did not arrive"),
        (Fault.close_before(), UnavailableError, "did not arrive"),
        (Fault.answer(404), RefusedError, "404"),
        (Fault.answer(500), UnavailableError, "500"),
    ],
)
def test_a_page_that_does_not_arrive_whole_is_no_end(
    server: MisbehavingServer, name: str, fault: Fault, kind: type[EndpointError], said: str
) -> None:
    told = way(server, name)
    server.fault(fault, nth=2, times=9)

    error = broken(server, **told)

    assert isinstance(error, kind)
    assert said in str(error)
    assert str(error).startswith("api: ")
    assert "?" not in str(error).replace("is the address right?", "")


@pytest.mark.edge(8)
@pytest.mark.parametrize("name", ["cursor", "next_url", "link"])
def test_pages_that_go_round_in_a_circle_are_no_end(server: MisbehavingServer, name: str) -> None:
    told = way(server, name)
    server.fault(Fault.token_cycle())

    assert isinstance(broken(server, **told), MalformedError)


@pytest.mark.edge(9)
def test_a_last_page_that_comes_again_is_no_end(server: MisbehavingServer) -> None:
    told = way(server, "page")
    server.fault(Fault.clamp_last_page())

    assert isinstance(broken(server, **told), MalformedError)


@pytest.mark.edge(13)
def test_a_page_whose_json_breaks_off_once_is_asked_for_again(server: MisbehavingServer) -> None:
    told = way(server, "cursor")
    server.fault(Fault.cut_body(Cut.WRONG_LENGTH), nth=2, times=2)

    assert len(read(server, **told)[0]) == TOTAL


@pytest.mark.edge(11)
def test_reaching_max_pages_is_an_error(server: MisbehavingServer) -> None:
    told = way(server, "cursor")

    assert "max_pages" in str(broken(server, **{**told, "paginate": {**told["paginate"], "max_pages": 2}}))


@pytest.mark.edge(21)
def test_a_next_address_on_another_host_gets_no_request(server: MisbehavingServer) -> None:
    way(server, "next_url")
    server.fault(Fault.answer(200, '{"people": [], "next": "http://other.example/people?token=canary"}'))

    error = broken(server, records="people", paginate={"type": "next_url", "next": "next"})

    assert "canary" not in str(error)
    assert len(server.requests) == 1


def test_a_template_in_the_address_that_is_static_query_is_in_no_message(server: MisbehavingServer) -> None:
    server.fault(Fault.html())

    with pytest.raises(MalformedError) as caught:
        list(source(exchange(server.url), read="people?key=canary").read())

    assert "canary" not in str(caught.value)


def test_params_of_the_source_go_with_every_page(server: MisbehavingServer) -> None:
    told = way(server, "page")
    read(server, **told, params={"n_since": "0", "skip": None}, headers={"X-Who": "crudsd"})

    assert {seen.query["n_since"] for seen in server.requests} == {"0"}
    assert not any("skip" in seen.query for seen in server.requests)
    assert {seen.headers["x-who"] for seen in server.requests} == {"crudsd"}


# ---- taken up ----


def marks(server: MisbehavingServer, **said: Any) -> list[str | None]:
    """Return what each page of a read says about the next one."""
    steps = source(exchange(server.url), read="people", **said).read()
    return [step.resume for step in steps if not isinstance(step, End)]


@pytest.mark.parametrize("name", ["cursor", "cursor, total"])
def test_a_read_that_is_taken_up_asks_for_the_rest_and_counts_the_whole(server: MisbehavingServer, name: str) -> None:
    said = way(server, name)
    second = marks(server, **said)[1]
    server.forget()

    *pages, end = source(exchange(server.url), read="people", **said).read(second)

    assert [page.number for page in pages if not isinstance(page, End)] == [3, 4]
    assert len(server.requests) == 2
    assert isinstance(end, End)
    assert (end.pages, end.records) == (4, TOTAL)
    assert end.total == (TOTAL if "total" in name else None)


@pytest.mark.parametrize("name", WAYS)
def test_only_what_is_more_than_a_number_leads_on(server: MisbehavingServer, name: str) -> None:
    found = marks(server, **way(server, name))

    # These servers put a page number into their next addresses.
    assert [one is not None for one in found[1:-1]] == [name.startswith("cursor")] * len(found[1:-1])
    assert found[-1] is None


@pytest.mark.parametrize(
    "text", ["", "nonsense", '{"host":"http://127.0.0.1:1","token":"\\"x\\"","pages":1,"records":7,"total":null}']
)
def test_what_no_page_of_this_host_said_is_not_taken_up(server: MisbehavingServer, text: str) -> None:
    said = way(server, "cursor")

    with pytest.raises(MalformedError, match="cannot be taken up"):
        next(source(exchange(server.url), read="people", **said).read(text))

    assert server.requests == ()


@pytest.mark.edge(5)
def test_a_page_tells_the_servers_time_when_it_was_asked_for() -> None:
    said = [{"Date": "Sun, 01 Mar 2026 12:00:00 GMT"}, {"Date": "garbage"}, {}]
    for headers, wanted in zip(said, [datetime(2026, 3, 1, 12, tzinfo=UTC), None, None], strict=True):
        response = cruds.Response(
            200, {name.lower(): value for name, value in headers.items()}, b"[]", "http://x", "GET"
        )

        assert asked_at(response, 0.0) == wanted
        if wanted is not None:
            assert asked_at(response, 2.5) == wanted - timedelta(seconds=2.5)


def test_a_page_brings_the_token_for_the_next_read(server: MisbehavingServer) -> None:
    request = RequestSource.model_validate({"connection": "hr", "read": "people", **way(server, "cursor")}).request

    pages = [
        step
        for step in RestSource(exchange(server.url), request, token="data.next_cursor").read()
        if not isinstance(step, End)
    ]

    assert pages[0].cursor is not None
    assert pages[-1].cursor is None
    assert all(page.at is not None for page in pages)
