"""A list read page by page from a server."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from cruds import Client, EndReason, PageType, Paging
from cruds.exception import HTTPStatusError, PageError
from cruds.reading import fingerprint
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

CURSOR = Paging(PageType.CURSOR, next="meta.next", total="meta.total")


def page(*ids: int, **meta: Any) -> Reply:
    return json_reply({"data": {"items": [{"id": one} for one in ids]}, "meta": meta})


def ids(pages: Any) -> list[int]:
    return [record["id"] for one in pages for record in one.records]


def test_a_list_is_read_to_its_end(server: ScriptedServer, client: Client) -> None:
    server.script(page(1, 2, next="c2", total=3), page(3, next=None, total=3))
    pages = client.pages("users", paging=CURSOR, records="data.items", params={"status": "active"})
    assert ids(pages) == [1, 2, 3]
    assert [seen.query for seen in server.journal] == [
        [("status", "active")],
        [("status", "active"), ("cursor", "c2")],
    ]
    assert pages.end is not None
    assert (pages.end.reason, pages.end.agrees) == (EndReason.NO_NEXT, True)


def test_links_are_followed_with_their_own_parameters_only(server: ScriptedServer, client: Client) -> None:
    """K10: parameters are not doubled."""
    link = {"Link": f'<{server.url}/api/users?status=active&page=2>; rel="next"'}
    server.script(json_reply([{"id": 1}], headers=link), json_reply([{"id": 2}]))
    pages = client.pages("users", paging=Paging(PageType.LINK), params={"status": "active"})
    assert ids(pages) == [1, 2]
    assert server.journal[1].target == "/api/users?status=active&page=2"


def test_next_and_has_more_may_stand_in_headers(server: ScriptedServer, client: Client) -> None:
    paging = Paging(PageType.CURSOR, next="header:X-Next", has_more="header: X-More", total="header:X-Total")
    server.script(
        json_reply([{"id": 1}], headers={"X-Next": "n2", "X-More": "true", "X-Total": "2"}),
        json_reply([{"id": 2}], headers={"X-Next": "n3", "X-More": "False", "X-Total": "2"}),
    )
    pages = client.pages("users", paging=paging)
    assert ids(pages) == [1, 2]
    assert pages.end is not None
    assert (pages.end.reason, pages.end.agrees) == (EndReason.HAS_MORE_FALSE, True)


def test_a_stop_path_ends_the_read(server: ScriptedServer, client: Client) -> None:
    paging = Paging(PageType.PAGE, stop="page >= pages")
    server.script(
        json_reply({"items": [{"id": 1}], "page": 1, "pages": 2}),
        json_reply({"items": [{"id": 2}], "page": 2, "pages": 2}),
    )
    assert ids(client.pages("users", paging=paging, records="items")) == [1, 2]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, {"Content-Type": "text/html"}, b"<html>maintenance</html>"),
        Reply(200, {"Content-Type": "application/json"}, b"<html>"),
        Reply(204),
        json_reply({"meta": {}}),
        json_reply({"data": {"items": None}}),
        json_reply({"data": {"items": {"id": 1}}}),
        json_reply("text"),
    ],
    ids=["html", "html as json", "nothing", "no list", "null", "object", "text"],
)
def test_a_page_without_its_list_is_an_error_and_not_the_end(
    server: ScriptedServer, client: Client, reply: Reply
) -> None:
    server.script(page(1, next="c2"), reply)
    pages = client.pages("users", paging=CURSOR, records="data.items")
    with pytest.raises(PageError, match="page 2"):
        list(pages)
    assert pages.end is None


def test_a_failed_page_is_an_error_and_not_the_end(server: ScriptedServer, client: Client) -> None:
    server.script(page(1, next="c2"), Reply(404))
    pages = client.pages("users", paging=CURSOR, records="data.items")
    with pytest.raises(HTTPStatusError):
        list(pages)
    assert pages.end is None


def test_a_page_that_repeats_is_not_handed_out(server: ScriptedServer, client: Client) -> None:
    server.script(page(1), page(2), page(2))
    got: list[int] = []
    pages = iter(client.pages("users", paging=Paging(PageType.PAGE), records="data.items"))
    got += [record["id"] for _ in range(2) for record in next(pages).records]
    with pytest.raises(PageError, match="same records"):
        next(pages)
    assert got == [1, 2]


def test_pages_are_fetched_as_they_are_asked_for(server: ScriptedServer, client: Client) -> None:
    server.script(page(1, next="c2"), page(2))
    pages = iter(client.pages("users", paging=CURSOR, records="data.items"))
    assert next(pages).number == 1
    assert len(server.journal) == 1


def test_a_path_that_is_no_path_is_the_callers_mistake(server: ScriptedServer, client: Client) -> None:
    server.script(page(1))
    with pytest.raises(ValueError, match="JMESPath"):
        list(client.pages("users", paging=CURSOR, records="data..items"))


def test_equal_records_have_equal_fingerprints_whatever_their_order_of_fields() -> None:
    assert fingerprint([{"a": 1, "b": Decimal("1.0")}]) == fingerprint([{"b": Decimal("1.0"), "a": 1}])
    assert fingerprint([{"a": 1}]) != fingerprint([{"a": 2}])


def test_numbers_stay_exact_in_pages(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K27."""
    server.script(Reply(200, {"Content-Type": "application/json"}, b'[{"price":19.90}]'))
    (one,) = client_of(server, parse_float=Decimal).pages("x", paging=Paging())
    assert str(one.records[0]["price"]) == "19.90"
