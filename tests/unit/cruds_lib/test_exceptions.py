"""Errors: a tree with facts that can be pickled and shown."""

from __future__ import annotations

import copy
import pickle

import pytest
from urllib3 import HTTPHeaderDict
from urllib3.exceptions import HTTPError

from cruds import Client, Response
from cruds import exception as ex
from tests.fakes.scripted import ScriptedServer, json_reply

RESPONSE = Response(503, HTTPHeaderDict({"Retry-After": "7"}), b"busy", "https://h.example/x?secret=1", "GET", 3)
ERRORS = [
    ex.HTTPStatusError(
        503,
        RESPONSE.headers,
        b"busy",
        method="GET",
        url="https://h.example/x",
        request_id="r1",
        attempts=3,
        retry_after=7.0,
        last_response=RESPONSE,
    ),
    ex.RateLimitedError(429, {}, b"", method="GET", url="https://h.example/x"),
    ex.ConnectError("no connection", method="GET", url="https://h.example/x"),
    ex.TLSError("no trust", method="GET", url="https://h.example/x"),
    ex.AnswerLostError("lost", method="GET", url="https://h.example/x", attempts=3, sent=True, last_response=RESPONSE),
    ex.DeadlineError("late", method="GET", url="https://h.example/x"),
    ex.ClientStoppedError("stopped", method="GET", url="https://h.example/x"),
    ex.GateClosedError("not now", wait_s=7.0, method="GET", url="https://h.example/x"),
    ex.RedirectError("no", status=302, location="https://o.example/", method="GET", url="https://h.example/x"),
    ex.ResponseTooLargeError(limit=10, method="GET", url="https://h.example/x"),
    ex.BodyError("no JSON", method="GET", url="https://h.example/x"),
    ex.AddressError("no", method="-", url="x"),
    ex.InsecureError("no", method="-", url="x"),
    ex.PageError("again", page=3),
    ex.OAuthAccessTokenError("no", error="invalid_client", error_uri="u", status=401),
    ex.ReauthorizationRequiredError("log in"),
    ex.OAuthStateError("old"),
    ex.TokenStateError("damaged"),
    ex.TokenNotSavedError("the disk is full"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickling_and_copying_with_its_facts(error: ex.CrudsError) -> None:
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert again.__dict__ == error.__dict__


def test_every_error_has_been_tried() -> None:
    named = {value for value in vars(ex).values() if isinstance(value, type) and issubclass(value, ex.CrudsError)}
    assert named - {ex.CrudsError, ex.RequestError} == {type(error) for error in ERRORS}


@pytest.mark.parametrize("error", [one for one in ERRORS if isinstance(one, ex.RequestError)], ids=repr)
def test_http_errors_are_still_urllib3s(error: Exception) -> None:
    """K04: programs that catch urllib3's root go on working."""
    assert isinstance(error, HTTPError)


def test_reference_bases_are_kept() -> None:
    assert issubclass(ex.OAuthStateError, RuntimeError)
    assert not issubclass(ex.OAuthAccessTokenError, HTTPError)


def test_a_status_error_holds_the_facts_and_shows_no_query_or_body(server: ScriptedServer, client: Client) -> None:
    """K03, K04, K23."""
    server.script(json_reply({"detail": "top secret"}, 422, {"X-Request-Id": "r-77"}))
    with pytest.raises(ex.HTTPStatusError, match="status code 422") as caught:
        client.create("users?key=hidden", {"a": 1}, params={"token": "hidden"})
    error = caught.value
    assert (error.status, error.method, error.request_id, error.attempts) == (422, "POST", "r-77", 1)
    assert error.headers["X-REQUEST-ID"] == "r-77"
    assert b"top secret" in error.body
    assert error.url == f"{server.url}/api/users"
    assert "r-77" in str(error)
    shown = str(error) + repr(error) + repr(error.last_response)
    assert "hidden" not in shown
    assert "secret" not in shown


def test_a_huge_error_page_is_cut(server: ScriptedServer, client: Client) -> None:
    """K23."""
    server.script(json_reply("x" * 200_000, 400))
    with pytest.raises(ex.HTTPStatusError) as caught:
        client.read("x")
    assert len(caught.value.body) == ex.BODY_LIMIT
