"""Values to bytes and back."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest

from cruds import Client
from cruds.exception import BodyError
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

JSON = {"Content-Type": "application/json"}


class Colour(Enum):
    RED = "red"


@dataclass
class Person:
    name: str
    born: date


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"t": datetime(2026, 1, 2, 3, tzinfo=UTC)}, b'{"t":"2026-01-02T03:00:00Z"}'),
        ({"id": uuid.UUID(int=1)}, b'{"id":"00000000-0000-0000-0000-000000000001"}'),
        (Person("Ada", date(1815, 12, 10)), b'{"name":"Ada","born":"1815-12-10"}'),
        ([Colour.RED], b'["red"]'),
        ({"price": Decimal("19.90")}, b'{"price":19.90}'),
        ({"big": 2**70}, b'{"big":1180591620717411303424}'),
        ({}, b"{}"),
        ([], b"[]"),
    ],
)
def test_what_programs_hold_has_a_form_in_json(server: ScriptedServer, client: Client, value: Any, text: bytes) -> None:
    """K26, K27: and money keeps its digits."""
    server.script(json_reply({}))
    client.create("x", value)
    assert server.journal[0].body == text
    assert server.journal[0].headers["content-type"] == "application/json"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN")])
def test_what_json_does_not_have_is_refused_and_not_made_null(client: Client, value: Any) -> None:
    """K26."""
    with pytest.raises(ValueError, match="JSON"):
        client.create("x", {"deep": [{"value": value}]})


def test_strange_keys_are_refused(client: Client) -> None:
    with pytest.raises(TypeError, match="key"):
        client.create("x", {Decimal(1): 1})


@pytest.mark.parametrize(
    ("data", "body", "kind"),
    [
        ("not json", b"not json", "text/plain; charset=utf-8"),
        ("ä", "ä".encode(), "text/plain; charset=utf-8"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
    ],
)
def test_text_and_bytes_go_out_as_they_are(
    server: ScriptedServer, client: Client, data: str | bytes, body: bytes, kind: str
) -> None:
    """K18."""
    server.script(json_reply({}))
    client.create("x", data)
    assert (server.journal[0].body, server.journal[0].headers["content-type"]) == (body, kind)


def test_the_caller_names_the_type_of_raw_content(server: ScriptedServer, client: Client) -> None:
    """K18."""
    server.script(json_reply({}))
    client.create("x", b"a;b", headers={"content-type": "text/csv"})
    assert server.journal[0].headers["content-type"] == "text/csv"


def test_without_serialisation_only_raw_content_is_taken(
    server: ScriptedServer, client_of: Callable[..., Client]
) -> None:
    client = client_of(server, serialize=False)
    server.script(json_reply({"a": 1}))
    assert client.read("x") == b'{"a": 1}'
    with pytest.raises(TypeError, match="serialize"):
        client.create("x", {"a": 1})


def test_files_go_out_as_a_form_and_win_over_data(server: ScriptedServer, client: Client) -> None:
    server.script(json_reply({}))
    client.create("x", {"a": 1}, files={"note": "hello", "file": ("a.txt", b"content", "text/plain")})
    seen = server.journal[0]
    boundary = seen.headers["content-type"].partition("boundary=")[2]
    assert seen.headers["content-type"].startswith("multipart/form-data")
    assert seen.body.count(boundary.encode()) == 3
    assert b'filename="a.txt"' in seen.body
    assert b"hello" in seen.body


def test_json_is_what_says_it_is_json(server: ScriptedServer, client: Client) -> None:
    """K12: a text of digits stays a text."""
    server.script(
        json_reply([1]),
        Reply(200, {"Content-Type": "application/problem+json; charset=utf-8"}, b'{"a":1}'),
        Reply(200, {"Content-Type": "text/plain"}, b"007"),
        Reply(200, {"Content-Type": "text/plain"}, b'{"a":1}'),
        Reply(200, {"Content-Type": "text/html"}, b"{not json"),
    )
    assert [client.read("x") for _ in range(5)] == [[1], {"a": 1}, b"007", {"a": 1}, b"{not json"]


@pytest.mark.parametrize("reply", [Reply(204), Reply(200, JSON, b""), Reply(200, {}, b"")])
def test_no_body_is_empty_bytes_for_the_verbs_and_none_for_requests(
    server: ScriptedServer, client: Client, reply: Reply
) -> None:
    """K13."""
    server.script(reply, reply)
    assert client.read("x") == b""
    assert client.request("GET", "x").data() is None


def test_a_body_in_another_charset_is_read_in_it(server: ScriptedServer, client: Client) -> None:
    """K11."""
    latin = {"Content-Type": "application/json; charset=ISO-8859-1"}
    server.script(
        Reply(200, latin, '{"a":"é"}'.encode("latin-1")),
        Reply(200, JSON, b'\xef\xbb\xbf{"a":"\xc3\xa9"}'),
        Reply(200, {"Content-Type": "text/plain; charset=iso-8859-1"}, b"\xe9"),
    )
    assert client.read("x") == {"a": "é"}
    assert client.read("x") == {"a": "é"}
    assert client.request("GET", "x").text() == "é"


@pytest.mark.parametrize("body", [b"\x89PNG\xff", b"<html>", b'{"a":', b"NaN", b"[1e999]", b"\xff"])
def test_a_broken_body_is_bytes_for_the_verbs_and_an_error_for_requests(
    server: ScriptedServer, client: Client, body: bytes
) -> None:
    """K11: bytes, as documented, and never a decoder's error."""
    server.script(Reply(200, JSON, body), Reply(200, JSON, body))
    assert client.read("x") == body
    with pytest.raises(BodyError):
        client.request("GET", "x").data()


def test_numbers_can_be_kept_exact(server: ScriptedServer, client_of: Callable[..., Client]) -> None:
    """K27: 19.90 in, 19.90 out."""
    server.script(Reply(200, JSON, b'{"price":19.90,"id":123456789012345678901}'), json_reply({}))
    client = client_of(server, parse_float=Decimal)
    value = client.read("x")
    assert str(value["price"]) == "19.90"
    client.create("x", value)
    assert server.journal[1].body == b'{"price":19.90,"id":123456789012345678901}'


@pytest.mark.parametrize("chunked", [False, True])
def test_compression_is_asked_for_and_undone(server: ScriptedServer, client: Client, *, chunked: bool) -> None:
    """K19."""
    body = gzip.compress(json.dumps({"a": "x" * 100_000}).encode())
    server.script(Reply(200, {**JSON, "Content-Encoding": "gzip"}, body, chunked=chunked))
    assert client.read("x") == {"a": "x" * 100_000}
    seen = server.journal[0].headers
    assert "gzip" in seen["accept-encoding"]
    assert seen["accept"] == "application/json"
    assert seen["user-agent"].startswith("cruds/")


def test_a_body_that_does_not_decompress_is_a_named_error(server: ScriptedServer, client: Client) -> None:
    server.script(Reply(200, {**JSON, "Content-Encoding": "gzip"}, b"no gzip at all"))
    with pytest.raises(BodyError):
        client.read("x")
