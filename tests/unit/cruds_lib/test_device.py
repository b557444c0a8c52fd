"""A person logs in on another device (RFC 8628)."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds.exception import (
    ClientStoppedError,
    OAuthAccessTokenError,
    OAuthErrorKind,
    ReauthorizationRequiredError,
)
from cruds.oauth2 import DeviceLogin
from cruds.oauth2.device import Polling, read_device_login
from cruds.oauth2.store import MemoryTokenStore
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

from .conftest import Waits
from .oauth2_rig import Make, Time, asked, cache, device, grant, options, refusal, session, store, time

__all__ = ["cache", "device", "options", "session", "store", "time"]

CODES: dict[str, Any] = {
    "device_code": "canary-device",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://login.example/device",
    "verification_uri_complete": "https://login.example/device?user_code=WDJB-MJHT",
    "expires_in": 1800,
    "interval": 7,
}
PENDING = refusal("authorization_pending")


@pytest.fixture
def codes(server: ScriptedServer) -> dict[str, Any]:
    server.route("/device", json_reply(CODES))
    return CODES


def test_a_login_begins_with_what_a_person_is_shown(device: Make, server: ScriptedServer, time: Time) -> None:
    """RFC 8628 3.1, 3.2: the client authenticates as at the token endpoint."""
    server.route("/device", json_reply(CODES))
    login = device(scope="a b", resource="https://api.example").start_device_login()
    assert (login.user_code, login.verification_uri) == ("WDJB-MJHT", "https://login.example/device")
    assert login.verification_uri_complete == "https://login.example/device?user_code=WDJB-MJHT"
    assert (login.interval, login.expires_at) == (7.0, time.wall + timedelta(seconds=1800))
    assert asked(server, "/device") == [{"scope": "a b", "resource": "https://api.example"}]
    assert server.journal[0].headers["authorization"].startswith("Basic ")


def test_a_public_client_names_itself(device: Make, server: ScriptedServer, codes: Any) -> None:
    """RFC 8628 3.1, 3.4: `client_id` both times."""
    server.route("/token", grant("one"))
    auth = device(client_secret=None)
    auth.finish_device_login(auth.start_device_login())
    assert [form["client_id"] for form in asked(server, "/device") + asked(server)] == ["id", "id"]


@pytest.mark.usefixtures("codes")
def test_the_token_is_asked_for_until_the_person_has_agreed(
    device: Make, server: ScriptedServer, waits: Waits, store: MemoryTokenStore
) -> None:
    """RFC 8628 3.4, 3.5: authorization_pending, at the interval that the server set."""
    server.route("/token", PENDING, PENDING, grant("one", refresh_token="r1"))
    auth, told = device(), list[float]()
    assert auth.finish_device_login(auth.start_device_login(), on_wait=told.append) == "one"
    assert waits.waits == told == [7.0, 7.0, 7.0]
    assert asked(server)[0] == {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "canary-device",
    }
    assert auth.access_token() == "one"
    kept = store.load("")
    assert kept is not None
    assert (kept.grant, kept.refresh_token) == ("urn:ietf:params:oauth:grant-type:device_code", "r1")


@pytest.mark.usefixtures("codes")
def test_a_server_that_says_slow_down_is_asked_slower_for_good(
    device: Make, server: ScriptedServer, waits: Waits
) -> None:
    """RFC 8628 3.5: five seconds more for this and all later questions."""
    server.route("/token", refusal("slow_down"), PENDING, refusal("slow_down"), grant("one"))
    auth = device()
    auth.finish_device_login(auth.start_device_login())
    assert waits.waits == [7.0, 12.0, 12.0, 17.0]


@pytest.mark.usefixtures("codes")
def test_a_server_that_does_not_answer_is_asked_ever_more_slowly(
    device: Make, server: ScriptedServer, waits: Waits
) -> None:
    """RFC 8628 3.5: the wait doubles, and an answer brings it back; no question is repeated in between."""
    busy = Reply(503, {"Retry-After": "60"})
    server.route("/token", Reply(close=True), Reply(reset=True), PENDING, busy, grant("one"))
    auth = device()
    auth.finish_device_login(auth.start_device_login())
    assert waits.waits == [7.0, 14.0, 28.0, 7.0, 60.0]
    assert len(asked(server)) == 5


@pytest.mark.usefixtures("codes")
@pytest.mark.parametrize("error", ["access_denied", "expired_token"])
def test_a_person_who_declines_or_is_late_ends_the_login(device: Make, server: ScriptedServer, error: str) -> None:
    """RFC 8628 3.5."""
    server.route("/token", PENDING, refusal(error))
    auth = device()
    with pytest.raises(OAuthAccessTokenError, match=error) as caught:
        auth.finish_device_login(auth.start_device_login())
    assert (caught.value.error, caught.value.kind) == (error, OAuthErrorKind.REAUTHORIZE)
    assert not auth.is_valid()
    with pytest.raises(ReauthorizationRequiredError):
        auth.access_token()


@pytest.mark.usefixtures("codes")
def test_another_error_is_told_at_once(device: Make, server: ScriptedServer) -> None:
    """RFC 6749 5.2."""
    server.route("/token", refusal("invalid_client", 401))
    auth = device()
    with pytest.raises(OAuthAccessTokenError, match="invalid_client"):
        auth.finish_device_login(auth.start_device_login())
    assert len(asked(server)) == 1


@pytest.mark.usefixtures("codes")
def test_nobody_asks_longer_than_the_code_lives(device: Make, server: ScriptedServer, time: Time) -> None:
    """RFC 8628 3.5: `expires_in` bounds it, also for a server that never says so."""
    server.route("/token", replace(PENDING, before=lambda: time.pass_by(600)))
    auth = device()
    with pytest.raises(OAuthAccessTokenError, match="begin the login again") as caught:
        auth.finish_device_login(auth.start_device_login())
    assert (caught.value.error, len(asked(server))) == ("expired_token", 3)


@pytest.mark.usefixtures("codes")
def test_a_login_can_be_broken_off(device: Make, server: ScriptedServer, waits: Waits) -> None:
    """It waits by the stop event: the caller's own, or that of the session."""
    auth, ours = device(), threading.Event()
    login = auth.start_device_login()
    ours.set()
    with pytest.raises(ClientStoppedError):
        auth.finish_device_login(login, stop=ours)
    waits.stops_after = 1
    with pytest.raises(ClientStoppedError):
        auth.finish_device_login(login)
    assert asked(server) == []


@pytest.mark.usefixtures("codes")
def test_a_device_session_is_renewed_and_never_replaced(device: Make, server: ScriptedServer, time: Time) -> None:
    """O04; a browser may have made it as well: the same person."""
    server.route("/token", grant("one", refresh_token="r1"), grant("two"), refusal("invalid_grant"))
    auth = device()
    auth.finish_device_login(auth.start_device_login())
    time.pass_by(3600)
    again = device(authorization_url="https://login.example/a", redirect_uri="http://127.0.0.1/")
    assert again.access_token() == "two"
    time.pass_by(3600)
    with pytest.raises(ReauthorizationRequiredError):
        auth.access_token()


def test_a_session_of_the_clients_own_has_no_device_login(session: Make) -> None:
    with pytest.raises(RuntimeError, match="not made by a person"):
        session().start_device_login()
    with pytest.raises(RuntimeError, match="device_authorization_endpoint is not known"):
        session(grant="device_code").start_device_login()


@pytest.mark.usefixtures("codes")
def test_the_device_code_is_never_shown(device: Make, server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    """Section 3.4: the user code may be shown, the device code may not."""
    caplog.set_level(logging.DEBUG)
    server.route("/token", refusal("access_denied"))
    auth = device()
    login = auth.start_device_login()
    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.finish_device_login(login)
    shown = caplog.text + repr(login) + str(login) + str(caught.value) + repr(caught.value)
    assert "WDJB-MJHT" in shown
    assert "canary-device" not in shown


@pytest.mark.parametrize(
    ("changed", "interval", "life"),
    [
        ({"interval": None}, 5.0, 1800),
        ({"interval": 0}, 1.0, 1800),
        ({"interval": "9"}, 9.0, 1800),
        ({"expires_in": None}, 7.0, 600),
        ({"verification_uri": None, "verification_url": "https://h/d"}, 7.0, 1800),
    ],
)
def test_what_a_server_leaves_out_has_a_default(
    device: Make, server: ScriptedServer, time: Time, changed: dict[str, Any], interval: float, life: float
) -> None:
    """RFC 8628 3.2; Google writes verification_url."""
    said = {name: value for name, value in (CODES | changed).items() if value is not None}
    server.route("/device", json_reply(said))
    login = device().start_device_login()
    assert (login.interval, login.expires_at - time.wall) == (interval, timedelta(seconds=life))
    assert login.verification_uri.startswith("https://")


@pytest.mark.parametrize(
    "reply",
    [
        refusal("unauthorized_client"),
        refusal("invalid_client", 200),
        Reply(200, {}, b"<html>"),
        json_reply(CODES, 400),
        json_reply({"user_code": "x"}),
        json_reply(CODES | {"user_code": "A\x1b[2J"}),
        json_reply(CODES | {"verification_uri": "javascript:alert(1)"}),
        json_reply(CODES | {"verification_uri": "https://[x"}),
        json_reply(CODES | {"device_code": 7}),
    ],
)
def test_an_answer_that_cannot_be_shown_is_an_error(device: Make, server: ScriptedServer, reply: Reply) -> None:
    """O12: whatever its status; and no terminal is told to do anything."""
    server.route("/device", reply)
    with pytest.raises(OAuthAccessTokenError) as caught:
        device().start_device_login()
    assert "canary-device" not in str(caught.value)


@given(st.binary(max_size=60), st.integers(100, 599))
def test_no_device_answer_breaks_the_reader(body: bytes, status: int) -> None:
    with pytest.raises(OAuthAccessTokenError):
        read_device_login(status, {}, body, asked_at=Time().wall, retry_after=None)


@given(st.lists(st.sampled_from(["authorization_pending", "slow_down", None]), max_size=30))
def test_the_pace_is_never_faster_than_the_server_set(errors: list[str | None]) -> None:
    """RFC 8628 3.5, as a law: at least the interval, five more for each slow_down, and an end."""
    time = Time()
    login = DeviceLogin("u", "https://h", None, time.wall, 5.0, "d")
    polling, slow = Polling(login, left=float("inf"), monotonic=time.monotonic), 0
    for error in errors:
        polling.note(OAuthAccessTokenError("x", error=error, kind=OAuthErrorKind.TEMPORARY))
        slow += error == "slow_down"
        assert 5.0 + 5.0 * slow <= polling.next_wait() <= 300.0
