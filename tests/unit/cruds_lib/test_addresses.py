"""Where a uri leads: below the host, never away from it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds import Client, path
from cruds.address import Host, bare, origin_of, query
from cruds.exception import AddressError, InsecureError

HOST = Host.parse("https://api.example.com/v2/")


class Colour(Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("text", "origin", "base"),
    [
        ("api.example.com", "https://api.example.com", ""),
        ("api.example.com:8443/v1/", "https://api.example.com:8443", "/v1"),
        ("HTTPS://API.example.com:443", "https://api.example.com", ""),
        ("http://[::1]:80/x", "http://[::1]", "/x"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example", "/%C3%A4"),
    ],
)
def test_a_host_is_read_into_one_form_and_no_scheme_means_https(text: str, origin: str, base: str) -> None:
    """K08: a host without a scheme does not go out over plain http."""
    assert Host.parse(text) == Host(origin, base)


@pytest.mark.parametrize(
    "text", ["https://user:secret@h.example", "https://h.example?x=1", "ftp://h.example", "https://"]
)
def test_a_host_with_credentials_query_or_another_scheme_is_refused(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        Host.parse(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("users", "https://api.example.com/v2/users"),
        ("/users", "https://api.example.com/v2/users"),
        ("//evil.example/users", "https://api.example.com/v2/evil.example/users"),
        ("", "https://api.example.com/v2"),
        ("users?x=1", "https://api.example.com/v2/users?x=1"),
        ("https://API.example.com:443/other?x=1", "https://api.example.com/other?x=1"),
        ("a b/ä/100%/%2F", "https://api.example.com/v2/a%20b/%C3%A4/100%25/%2F"),
        ("items:batchGet", "https://api.example.com/v2/items:batchGet"),
        ("a..b/...", "https://api.example.com/v2/a..b/..."),
    ],
)
def test_a_uri_lies_below_the_host(uri: str, url: str) -> None:
    """K30: also with a slash, or two, in front."""
    assert HOST.join(uri) == url


@pytest.mark.parametrize(
    "uri",
    [
        "../admin",
        "users/../../admin",
        "users/%2e%2E/admin",
        "users/..%2fadmin",
        "users\\..\\admin",
        "users/..%5Cadmin",
        "users/..;x=1/admin",
        "users#x",
        "http://api.example.com/v2/users",
        "https://api.example.com:8443/v2/users",
        "https://api.example.com.evil.example/",
        "https://api.example.com@evil.example/",
        "https://me@api.example.com/v2/users",
        "https://evil.example\\@api.example.com/",
        "file://api.example.com/etc/passwd",
    ],
)
def test_a_uri_that_climbs_or_leaves_the_origin_is_refused(uri: str) -> None:
    """K30: the host's path cannot be left, and credentials do not travel."""
    with pytest.raises(AddressError):
        HOST.join(uri)


@given(st.text(min_size=1).filter(lambda text: text not in {".", ".."} and text.isprintable()))
def test_whatever_is_put_into_a_path_stays_one_segment_of_it(value: str) -> None:
    """K30: a value cannot change the request."""
    url = HOST.join(path("users/{}/notes", value))
    segments = urlsplit(url).path.split("/")
    assert [unquote(one) for one in segments] == ["", "v2", "users", value, "notes"]
    assert urlsplit(url).query == ""


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_path_value_that_would_vanish_or_climb_is_refused(value: str) -> None:
    """K30."""
    with pytest.raises(ValueError, match="one segment"):
        path("users/{}", value)


def test_a_path_takes_names_too() -> None:
    assert path("{a}/x/{b}", a="1/2", b=7) == "1%2F2/x/7"


@given(st.dictionaries(st.text(min_size=1), st.lists(st.text(), max_size=3), max_size=4))
def test_a_query_says_what_it_was_given_in_order(params: dict[str, list[str]]) -> None:
    """K09: encoding, then decoding, gives the same pairs; a list repeats its name."""
    pairs = [(name, value) for name, values in params.items() for value in values]
    assert parse_qsl(query(params), keep_blank_values=True) == pairs


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"a": True, "b": False}, "a=true&b=false"),
        ({"a": None, "b": ""}, "b="),
        ({"a": [1, None, 2]}, "a=1&a=2"),
        ({"a": Decimal("1.10"), "c": Colour.RED}, "a=1.10&c=red"),
        (
            {"t": datetime(2026, 1, 2, 3, tzinfo=UTC), "d": date(2026, 1, 2)},
            "t=2026-01-02T03%3A00%3A00%2B00%3A00&d=2026-01-02",
        ),
        (None, ""),
    ],
)
def test_parameters_have_one_documented_form(params: dict[str, object] | None, text: str) -> None:
    """K09: no Python spelling goes into a query."""
    assert query(params) == text


def test_a_mapping_is_no_parameter() -> None:
    """K09."""
    with pytest.raises(TypeError, match="filter"):
        query({"filter": {"a": 1}})


def test_parameters_join_a_query_that_is_there() -> None:
    """K10: one question mark."""
    assert HOST.join("users?x=1", {"y": 2}) == "https://api.example.com/v2/users?x=1&y=2"


def test_what_is_shown_of_an_address_has_no_query_and_no_userinfo() -> None:
    """K23."""
    assert bare("https://u:p@h.example/x?token=1#f") == "https://h.example/x"


@pytest.mark.parametrize("host", ["http://127.0.0.1:1", "http://localhost", "http://[::1]", "https://h.example"])
def test_credentials_may_go_to_https_and_to_this_machine(host: str) -> None:
    """K08, O29."""
    with Client(host, auth="token") as client:
        assert client.host == host


def test_credentials_are_not_sent_in_the_clear() -> None:
    """K08, O29: plain http to another machine needs a word of its own."""
    with pytest.raises(InsecureError):
        Client("http://api.example.com", auth="token")
    with Client("http://api.example.com", auth="token", allow_insecure=True):
        pass
    with Client("http://api.example.com") as client, pytest.raises(InsecureError):
        client.read("x", headers={"X-Api-Key": "secret"})


@pytest.mark.parametrize(
    "address",
    ["https://h:99999/", "https://h:x/", "https://[h/", "https://℀.example/", "https://a b/", "https://%41.example/"],
)
def test_what_is_no_address_has_no_origin(address: str) -> None:
    with pytest.raises(AddressError):
        origin_of(address)


@pytest.mark.parametrize(
    "host", ["straße.example", "βόλος.example", "na\u200cme.example", "ｅxample.com", "a。example"]
)
def test_a_name_that_is_another_host_to_newer_rules_has_no_origin(host: str) -> None:
    """What IDNA 2003 makes of these is another name than IDNA 2008 does, which urllib3 follows, or none."""
    with pytest.raises(AddressError, match="xn--"):
        origin_of(f"https://{host}/x")
