"""Files in forms, and answers in every encoding that can be read here."""

from __future__ import annotations

import base64
import importlib.util
from collections.abc import Callable
from email import message_from_bytes
from typing import Any

import pytest

from cruds import Client
from cruds.transport import accepted_encodings
from tests.fakes.scripted import Reply, ScriptedServer, Seen, json_reply

OK = json_reply({"ok": True})


def parts(seen: Seen) -> list[tuple[Any, Any, Any, Any]]:
    """Return name, file name, content type and content of each part, as another program reads them."""
    whole = message_from_bytes(b"Content-Type: " + seen.headers["content-type"].encode() + b"\r\n\r\n" + seen.body)
    found = []
    for part in whole.get_payload():
        assert not isinstance(part, str)
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        found.append((str(name), part.get_filename(), part.get("content-type"), content))
    return found


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("plain", ("field", None, None, b"plain")),
        (b"\x00\xff", ("field", None, None, b"\x00\xff")),
        (("a.txt", "text"), ("field", "a.txt", "text/plain", b"text")),
        (("a.pdf", b"%PDF\r\n\x00"), ("field", "a.pdf", "application/pdf", b"%PDF\r\n\x00")),
        (("a.unknown-kind", b""), ("field", "a.unknown-kind", "application/octet-stream", b"")),
        (("a.bin", b"x", "image/png"), ("field", "a.bin", "image/png", b"x")),
        (("a.bin", "x", "text/csv; charset=utf-8"), ("field", "a.bin", "text/csv; charset=utf-8", b"x")),
    ],
)
def test_a_form_field_has_the_documented_forms(server: ScriptedServer, client: Client, value: Any, part: Any) -> None:
    """Text, bytes, (filename, data) and (filename, data, content type)."""
    server.script(OK)
    client.create("x", {}, files={"field": value})
    assert parts(server.journal[0]) == [part]


@pytest.mark.parametrize("replace", [None, False, True], ids=["POST", "PATCH", "PUT"])
def test_files_go_with_every_write_and_keep_their_order(
    server: ScriptedServer, client_of: Callable[..., Client], replace: bool | None
) -> None:
    """With parameters in the address, whatever `serialize` and the caller's content type say."""
    client = client_of(server, serialize=False, headers={"Content-Type": "application/json"})
    server.script(OK)
    form: dict[str, Any] = {"b": "1", "a": ("a.txt", "2"), "c": "3"}
    if replace is None:
        client.create("x", {"ignored": 1}, params={"p": 1}, files=form)
    else:
        client.update("x", {"ignored": 1}, params={"p": 1}, replace=replace, files=form)
    seen = server.journal[0]
    assert seen.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert [name for name, *_ in parts(seen)] == ["b", "a", "c"]
    assert seen.query == [("p", "1")]
    assert b"ignored" not in seen.body


def test_a_file_name_cannot_add_a_header_to_its_part(server: ScriptedServer, client: Client) -> None:
    server.script(OK)
    client.create("x", {}, files={'na"me': ('a"\r\nX-Evil: 1\r\n.txt', b"x", "text/plain")})
    assert b"\r\nX-Evil" not in server.journal[0].body
    with pytest.raises(ValueError, match="Content-Type"):
        client.create("x", {}, files={"f": ("a", b"x", "text/plain\r\nX-Evil: 1")})


@pytest.mark.parametrize("value", [(), ("a",), ("a", b"x", "text/plain", "more")])
def test_a_tuple_of_another_length_is_no_file(client: Client, value: Any) -> None:
    with pytest.raises(TypeError, match="file 'f' is"):
        client.create("x", {}, files={"f": value})


def test_a_form_is_sent_again_as_it_was(server: ScriptedServer, client: Client) -> None:
    """K01: under its idempotency key, byte for byte."""
    server.script(Reply(503), OK)
    client.create("x", {}, files={"f": ("a.txt", "x")}, idempotency_key=("Idempotency-Key", "k1"))
    first, second = server.journal
    assert (first.body, first.headers["content-type"]) == (second.body, second.headers["content-type"])


# ---- encodings -----------------------------------------------------------------------------------------------

TEXT = b'{"text":"' + b"x" * 10_000 + b'"}'
BROTLI = base64.b64decode("Gxon+I3UYs0Z7pQieHul01eSnFYIiGAnewAgBA==")
ZSTD = base64.b64decode("KLUv/WAbJp0AAGB7InRleHQiOiJ4In0BAAyHB0g=")


def has(*modules: str) -> bool:
    return any(importlib.util.find_spec(name.partition(".")[0]) and importlib.util.find_spec(name) for name in modules)


HAS_BROTLI = has("brotli", "brotlicffi")
HAS_ZSTD = has("compression.zstd", "backports.zstd")


def test_an_encoding_is_asked_for_only_if_it_can_be_undone() -> None:
    """K19: gzip always, br and zstd when their modules are there."""
    asked = accepted_encodings().split(",")
    assert asked[:2] == ["gzip", "deflate"]
    assert ("br" in asked, "zstd" in asked) == (HAS_BROTLI, HAS_ZSTD)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        pytest.param("br", BROTLI, marks=pytest.mark.skipif(not HAS_BROTLI, reason="brotli is not installed")),
        pytest.param("zstd", ZSTD, marks=pytest.mark.skipif(not HAS_ZSTD, reason="zstd is not installed")),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_br_and_zstd_are_undone_when_their_modules_are_there(
    server: ScriptedServer, client: Client, encoding: str, body: bytes, *, chunked: bool
) -> None:
    """K19."""
    head = {"Content-Type": "application/json", "Content-Encoding": encoding}
    server.script(Reply(200, head, body, chunked=chunked), Reply(200, head, body, chunked=chunked))
    assert client.read("x") == {"text": "x" * 10_000}
    with client.stream("GET", "x") as stream:
        assert b"".join(stream) == TEXT


def test_an_encoding_nobody_asked_for_is_given_as_it_came(server: ScriptedServer, client: Client) -> None:
    """K11: bytes, and no decoder's error."""
    server.script(Reply(200, {"Content-Encoding": "x-own"}, b"\x01\x02"))
    assert client.read("x") == b"\x01\x02"
