"""Pages end for declared reasons; everything else that looks like an end is an error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds import End, EndReason, PageFacts, Pager, PageRequest, PageType, Paging
from cruds.exception import PageError

BASE = "https://h.example/api/v2"


def facts(count: int = 2, mark: str = "", url: str = f"{BASE}/users", **more: Any) -> PageFacts:
    """A page whose records are told apart by `mark`."""
    return PageFacts(count=count, url=url, fingerprint=mark.encode(), **more)


def asked(step: PageRequest | End) -> PageRequest:
    assert isinstance(step, PageRequest)
    return step


def ended(step: PageRequest | End) -> End:
    assert isinstance(step, End)
    return step


def pager(kind: str, **settings: Any) -> Pager:
    if kind in {"cursor", "next_url"}:
        settings.setdefault("next", "next")
    return Pager(Paging(PageType(kind), **settings), base=BASE)


def test_a_single_page_ends_at_once() -> None:
    one = pager("none")
    assert one.first("users", {"a": 1}).params == {"a": 1}
    assert ended(one.after(facts(count=7))) == End(EndReason.SINGLE_PAGE, 1, 7, None)


def test_page_numbers_count_from_one_until_an_empty_page() -> None:
    one = pager("page", size=50, size_param="per_page")
    first = one.first("users", {"a": 1})
    assert (first.uri, first.params, first.opaque) == ("users", {"a": 1, "page": 1, "per_page": 50}, False)
    assert asked(one.after(facts(50, "A"))).params["page"] == 2
    assert asked(one.after(facts(20, "B"))).params["page"] == 3
    assert ended(one.after(facts(0))) == End(EndReason.EMPTY_PAGE, 3, 70, None)


@pytest.mark.fact(2)
def test_a_short_page_alone_is_not_the_end() -> None:
    """A service may cap the size that was asked for."""
    one = pager("page", size=100, size_param="limit")
    one.first("users", {})
    assert isinstance(one.after(facts(30, "A")), PageRequest)


@pytest.mark.parametrize(("start", "numbers"), [(0, [0, 1]), (7, [7, 8])])
def test_page_numbers_may_start_anywhere(start: int, numbers: list[int]) -> None:
    one = pager("page", start=start, param="p")
    assert [one.first("x", {}).params["p"], asked(one.after(facts(1, "A"))).params["p"]] == numbers


def test_an_offset_moves_by_the_records_that_came() -> None:
    """Not by the size that was asked for: a capped page would leave a hole."""
    one = pager("offset", size=100, size_param="limit")
    assert one.first("x", {}).params == {"offset": 0, "limit": 100}
    assert asked(one.after(facts(40, "A"))).params["offset"] == 40
    assert asked(one.after(facts(25, "B"))).params["offset"] == 65
    assert ended(one.after(facts(0))).records == 65


@pytest.mark.parametrize("total", [4, "4"])
@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_total_that_is_reached_is_the_end(kind: str, total: object) -> None:
    one = pager(kind, total="total")
    one.first("x", {})
    one.after(facts(2, "A", total=total))
    end = ended(one.after(facts(2, "B", total=total)))
    assert (end.reason, end.total, end.agrees) == (EndReason.TOTAL_REACHED, 4, True)


@pytest.mark.fact(13)
@pytest.mark.parametrize("total", [-1, None, "many", "", 1.5, True, "-3", [3]])
def test_a_total_that_is_none_does_not_end_anything(total: object) -> None:
    one = pager("page", total="total")
    one.first("x", {})
    assert isinstance(one.after(facts(2, "A", total=total)), PageRequest)
    assert ended(one.after(facts(0, total=total))).agrees is None


def test_an_empty_page_before_the_total_ends_without_agreement() -> None:
    """The certificate is somebody else's; the facts are here."""
    one = pager("offset", total="total")
    one.first("x", {})
    one.after(facts(2, "A", total=10))
    end = ended(one.after(facts(0, total=10)))
    assert (end.reason, end.records, end.total, end.agrees) == (EndReason.EMPTY_PAGE, 2, 10, False)


@pytest.mark.parametrize("kind", ["page", "offset", "cursor", "link", "next_url"])
def test_has_more_and_stop_end_every_type(kind: str) -> None:
    ends: list[tuple[dict[str, Any], EndReason]] = [
        ({"has_more": False}, EndReason.HAS_MORE_FALSE),
        ({"stop": True}, EndReason.STOP),
    ]
    for said, reason in ends:
        one = pager(kind)
        one.first("x", {})
        step = one.after(facts(2, "A", next="more", link="</api/v2/x?p=2>; rel=next", **said))
        assert ended(step).reason is reason


def test_cursors_go_along_with_the_parameters_until_there_is_none() -> None:
    one = pager("cursor", param="after")
    assert one.first("x?after=old&b=1", {"a": 1}).params == {"a": 1}
    second = asked(one.after(facts(2, "A", next="c/2")))
    assert (second.uri, second.params, second.opaque) == ("x?b=1", {"a": 1, "after": "c/2"}, True)
    assert ended(one.after(facts(2, "B", next=None))) == End(EndReason.NO_NEXT, 2, 4, None)


def test_a_feed_begins_and_goes_on_by_one_parameter() -> None:
    one = pager("cursor", param="since")
    assert one.first("feed", {"since": 7, "a": 1}).params == {"since": 7, "a": 1}
    assert asked(one.after(facts(2, "A", next="9"))).params == {"since": "9", "a": 1}
    assert pager("cursor", param="since").resume("feed", {"since": 7}, '"11"').params == {"since": "11"}


@pytest.mark.parametrize("nothing", [None, "", False])
def test_no_next_is_null_empty_or_false(nothing: object) -> None:
    one = pager("cursor")
    one.first("x", {})
    assert ended(one.after(facts(2, "A", next=nothing))).reason is EndReason.NO_NEXT


@pytest.mark.edge(10)
def test_an_empty_page_with_a_next_goes_on() -> None:
    """Services filter after they cut their pages."""
    one = pager("cursor")
    one.first("x", {})
    assert isinstance(one.after(facts(0, next="c2")), PageRequest)
    assert isinstance(one.after(facts(0, next="c3")), PageRequest)
    assert ended(one.after(facts(1, "A", next=None))).records == 1


@pytest.mark.parametrize("strange", [{"a": 1}, ["c"], True, 1.5])
def test_a_next_that_is_no_token_is_an_error(strange: object) -> None:
    one = pager("cursor")
    one.first("x", {})
    with pytest.raises(PageError, match="page 1"):
        one.after(facts(2, "A", next=strange))


@pytest.mark.edge(11)
def test_more_without_a_next_is_a_broken_promise() -> None:
    one = pager("cursor")
    one.first("x", {})
    with pytest.raises(PageError, match="more"):
        one.after(facts(2, "A", has_more=True, next=None))


@pytest.mark.edge(8)
def test_a_cursor_that_comes_again_is_an_error() -> None:
    one = pager("cursor")
    one.first("x", {})
    one.after(facts(2, "A", next="c2"))
    with pytest.raises(PageError, match=r"page 2.*back to page 2"):
        one.after(facts(2, "B", next="c2"))


@pytest.mark.edge(8)
def test_a_cycle_of_cursors_is_an_error() -> None:
    one = pager("cursor")
    one.first("x", {})
    one.after(facts(2, "A", next="a"))
    one.after(facts(2, "B", next="b"))
    with pytest.raises(PageError, match=r"page 3.*back to page 2"):
        one.after(facts(2, "C", next="a"))


@pytest.mark.edge(9)
@pytest.mark.parametrize("kind", ["page", "offset", "cursor"])
def test_a_clamped_last_page_is_an_error_and_not_more_records(kind: str) -> None:
    """A service that gives its last page for every page beyond it."""
    one = pager(kind)
    one.first("x", {})
    one.after(facts(2, "A", next="c2"))
    one.after(facts(2, "B", next="c3"))
    with pytest.raises(PageError, match=r"page 3.*same records as page 2"):
        one.after(facts(2, "B", next="c4"))


def test_an_ignored_page_parameter_is_an_error() -> None:
    one = pager("page")
    one.first("x", {})
    one.after(facts(2, "A"))
    with pytest.raises(PageError, match="same records as page 1"):
        one.after(facts(2, "A"))


def test_empty_pages_are_not_compared() -> None:
    one = pager("cursor")
    one.first("x", {})
    one.after(facts(0, "", next="a"))
    assert isinstance(one.after(facts(0, "", next="b")), PageRequest)


def test_an_offset_that_does_not_move_is_an_error() -> None:
    one = pager("offset", has_more="more")
    one.first("x", {})
    with pytest.raises(PageError, match="back to page 1"):
        one.after(facts(0, has_more=True))


@pytest.mark.edge(11)
@pytest.mark.suffering(16)
def test_max_pages_is_an_error_and_never_an_end() -> None:
    one = pager("page", max_pages=2)
    one.first("x", {})
    one.after(facts(2, "A"))
    with pytest.raises(PageError, match="max_pages is 2") as caught:
        one.after(facts(2, "B"))
    assert caught.value.page == 2


@pytest.mark.edge(11)
def test_a_read_of_exactly_max_pages_is_complete() -> None:
    one = pager("cursor", max_pages=2)
    one.first("x", {})
    one.after(facts(2, "A", next="b"))
    assert ended(one.after(facts(2, "B"))).reason is EndReason.NO_NEXT


@pytest.mark.fact(1)
@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("https://h.example/api/v2/users?page=2", "https://h.example/api/v2/users?page=2"),
        ("https://H.example:443/elsewhere?p=2#x", "https://H.example:443/elsewhere?p=2"),
        ("/api/v2/users?page=2", "https://h.example/api/v2/users?page=2"),
        ("/users?page=2", "https://h.example/api/v2/users?page=2"),
        ("/api/v20/users", "https://h.example/api/v2/api/v20/users"),
        ("?page=2", "https://h.example/api/v2/users?page=2"),
        ("users?page=2", "https://h.example/api/v2/users?page=2"),
        ("//h.example/api/v2/x", "https://h.example/api/v2/x"),
    ],
)
@pytest.mark.parametrize("kind", ["next_url", "link"])
def test_a_next_address_is_absolute_relative_to_its_page_or_to_the_service(kind: str, said: str, url: str) -> None:
    one = pager(kind)
    one.first("users", {"status": "active"})
    step = asked(one.after(facts(2, "A", next=said, link=f'<{said}>; rel="next"', url=f"{BASE}/users?status=active")))
    assert (step.uri, step.params) == (url, {})


@pytest.mark.edge(21)
@pytest.mark.parametrize(
    "said",
    [
        "https://evil.example/api/v2/users",
        "http://h.example/api/v2/users",
        "https://h.example:8443/x",
        "//evil.example/x",
        "https://h.example@evil.example/",
        "https://u@h.example/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://[h.example/x",
        "//[",
    ],
)
def test_a_next_address_elsewhere_is_not_followed(said: str) -> None:
    """K29, K30: credentials do not travel."""
    one = pager("next_url")
    one.first("users", {})
    with pytest.raises(PageError, match=r"not on https://h\.example"):
        one.after(facts(2, "A", next=said))


def test_a_next_address_that_leads_back_to_the_first_page_is_an_error() -> None:
    one = pager("link")
    one.first("users", {})
    with pytest.raises(PageError, match="back to page 1"):
        one.after(facts(2, "A", url=f"{BASE}/users", link=f"<{BASE}/users>; rel=next"))


def test_an_opaque_read_is_taken_up_where_it_was() -> None:
    one = pager("cursor")
    one.first("x", {"a": 1})
    token = asked(one.after(facts(2, "A", next=17))).token
    again = pager("cursor")
    assert again.resume("x", {"a": 1}, token).params == {"a": 1, "cursor": 17}
    end = ended(again.after(facts(2, "B", next=None, total=4)))
    assert (end.records, end.total, end.agrees) == (2, None, None)


def test_a_read_that_is_told_what_came_before_counts_on() -> None:
    one = pager("cursor")
    one.first("x", {})
    token = asked(one.after(facts(2, "A", next=17, total=5))).token
    again = pager("cursor")
    again.resume("x", {}, token, pages=one.pages, records=one.records, total=one.total)
    end = ended(again.after(facts(3, "B", next=None)))
    assert (end.pages, end.records, end.total, end.agrees) == (2, 5, 5, True)


@pytest.mark.parametrize(
    "token", ['"https://elsewhere.test/users?p=2"', '"//elsewhere.test/x"', '"https://u@api.test/v1/x"']
)
def test_a_next_address_on_another_host_is_not_taken_up(token: str) -> None:
    with pytest.raises(PageError, match="not on"):
        pager("link").resume("x", {}, token)


def test_a_next_address_is_taken_up_without_the_first_parameters() -> None:
    one = pager("link")
    one.first("x", {"a": 1})
    token = asked(one.after(facts(2, "A", link="<?p=2>; rel=next"))).token
    again = pager("link").resume("x", {"a": 1}, token)
    assert (again.uri, again.params) == (f"{BASE}/users?p=2", {})


@pytest.mark.parametrize("kind", ["page", "offset", "none"])
def test_numbers_mean_other_records_later_and_are_not_taken_up(kind: str) -> None:
    with pytest.raises(ValueError, match="starts again"):
        pager(kind).resume("x", {}, "3")


@pytest.mark.parametrize(
    "settings",
    [
        {"type": PageType.CURSOR},
        {"type": PageType.NEXT_URL},
        {"type": PageType.PAGE, "size": 10},
        {"type": PageType.PAGE, "size": 0, "size_param": "n"},
        {"max_pages": 0},
    ],
)
def test_a_paging_that_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"paging|max_pages"):
        Paging(**settings)


@given(st.lists(st.integers(1, 9), max_size=8))
def test_an_offset_reads_each_record_once(sizes: list[int]) -> None:
    """Whatever sizes the service gives: the offsets asked for are the sums of what came."""
    one = pager("offset")
    offset = one.first("x", {}).params["offset"]
    for number, size in enumerate(sizes):
        assert offset == sum(sizes[:number])
        offset = asked(one.after(facts(size, str(number)))).params["offset"]
    assert ended(one.after(facts(0))).records == sum(sizes)


@pytest.mark.edge(8)
@pytest.mark.suffering(16)
@given(st.lists(st.one_of(st.text(min_size=1), st.integers()), min_size=1, max_size=12))
def test_every_read_by_cursor_ends_or_fails(cursors: list[str | int]) -> None:
    """No cursor is followed twice, so no service can keep a read going by repeating itself."""
    one = pager("cursor")
    one.first("x", {})
    seen: list[str] = []
    for number in range(len(cursors) * 3):
        try:
            step = asked(one.after(facts(1, str(number), next=cursors[number % len(cursors)])))
        except PageError:
            break
        seen.append(step.token)
    assert len(seen) == len(set(seen)) <= len(cursors)
    assert all(json.loads(token) in cursors for token in seen)
