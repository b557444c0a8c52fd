"""Alerts over HTTP, to a real server on this machine: what it gets, what it never gets, and how it fails."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.endpoints.alert_http import HeartbeatSender, WebhookSender, trial
from daemon.errors import ConfigError, RefusedError, UnavailableError
from daemon.spec import AlertEvent, HeartbeatAlert, SecretRef, WebhookAlert
from daemon.values import Secret
from tests.canaries import seen_in
from tests.fakes.scripted import Reply, ScriptedServer, serving

ALERT = {"event": "failure", "job": "people/α", "summary": "people failed: 404", "failures": 3}
TOKEN = "canary-hook-0123456789"


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Kept:
    """Secrets by name, which may be rotated."""

    def __init__(self, **values: str) -> None:
        self.values = values

    def __call__(self, ref: SecretRef) -> Secret:
        return Secret(self.values[str(ref.env)])


def webhook(url: Any, kept: Kept | None = None, **said: Any) -> WebhookSender:
    alert = WebhookAlert.model_validate({"type": "webhook", "url": url, **said})
    return WebhookSender("ops", alert, kept or Kept(), Path())


def heartbeat(url: Any, kept: Kept | None = None, **said: Any) -> HeartbeatSender:
    alert = HeartbeatAlert.model_validate({"type": "heartbeat", "url": url, **said})
    return HeartbeatSender("dead", alert, kept or Kept(), Path())


def test_a_webhook_gets_the_whole_alert_as_json(server: ScriptedServer) -> None:
    server.route("/hook", Reply(204))
    sender = webhook(f"{server.url}/hook?room=7")

    sender.send(AlertEvent.FAILURE, ALERT)
    sender.close()

    (seen,) = server.journal
    assert (seen.method, seen.target) == ("POST", "/hook?room=7")
    assert seen.headers["content-type"] == "application/json"
    assert json.loads(seen.body) == ALERT


@pytest.mark.parametrize(
    ("body", "arrives", "type_"),
    [
        ({"text": "{{ alert.summary }}"}, b'{"text":"people failed: 404"}', "application/json"),
        ({"n": "{{ alert.failures }}", "is": [1, "x"]}, b'{"n":3,"is":[1,"x"]}', "application/json"),
        ("{{ alert.event }}: {{ alert.summary }}", b"failure: people failed: 404", "text/plain; charset=utf-8"),
    ],
)
def test_a_body_is_made_as_the_file_says(server: ScriptedServer, body: Any, arrives: bytes, type_: str) -> None:
    server.route("/hook", Reply(200))
    sender = webhook(f"{server.url}/hook", body=body)

    sender.send(AlertEvent.FAILURE, ALERT)
    sender.close()

    assert (server.journal[0].body, server.journal[0].headers["content-type"]) == (arrives, type_)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"a": [{"text": "{{ alert.sumary }}"}]}, r"body\.a\[0\]\.text: an alert has no such field"),
        ("{{ alert.sumary }}", "body: an alert has no such field"),
        ("it: {{ alert.sumary }}", "is missing"),
    ],
)
def test_a_template_that_would_fail_is_found_before_it_is_needed(body: Any, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        webhook("http://127.0.0.1:1", body=body).send(AlertEvent.FAILURE, ALERT)

    assert trial(webhook("http://127.0.0.1:1", body=body), lambda _: ALERT) is not None
    assert trial(webhook("http://127.0.0.1:1", body={"text": "{{ alert.summary }}"}), lambda _: ALERT) is None


def test_headers_may_hold_secrets_and_are_read_anew(server: ScriptedServer) -> None:
    server.route("/hook", Reply(200))
    kept = Kept(TOKEN="Bearer canary-1")
    sender = webhook(f"{server.url}/hook", kept, headers={"Authorization": {"env": "TOKEN"}, "X-Room": "ops"})

    sender.send(AlertEvent.FAILURE, ALERT)
    kept.values["TOKEN"] = "Bearer canary-2"
    sender.send(AlertEvent.FAILURE, ALERT)
    sender.close()

    assert [seen.headers["authorization"] for seen in server.journal] == ["Bearer canary-1", "Bearer canary-2"]
    assert server.journal[0].headers["x-room"] == "ops"


@pytest.mark.parametrize(
    ("event", "said", "target"),
    [
        (AlertEvent.GOOD, {}, f"/ping/{TOKEN}?a=b"),
        (AlertEvent.START, {}, f"/ping/{TOKEN}/start?a=b"),
        (AlertEvent.FAILURE, {}, f"/ping/{TOKEN}/fail?a=b"),
        (AlertEvent.FAILURE, {"path": "/{{ alert.job }}/"}, f"/ping/{TOKEN}/people%2F%CE%B1/fail?a=b"),
    ],
)
def test_a_heartbeat_asks_the_address_of_its_kind(
    server: ScriptedServer, event: AlertEvent, said: Any, target: str
) -> None:
    server.script(Reply(200, body=b"OK"))
    sender = heartbeat({"env": "URL"}, Kept(URL=f"{server.url}/ping/{TOKEN}?a=b"), **said)

    sender.send(event, ALERT)
    sender.close()

    assert [(seen.method, seen.target) for seen in server.journal] == [("GET", target)]


@pytest.mark.parametrize(
    ("said", "events"),
    [
        ({}, {AlertEvent.GOOD}),
        ({"start": True}, {AlertEvent.GOOD, AlertEvent.START}),
        ({"start": True, "fail": True}, {AlertEvent.GOOD, AlertEvent.START, AlertEvent.FAILURE}),
    ],
)
def test_a_heartbeat_is_told_what_it_declares(said: Any, events: set[AlertEvent]) -> None:
    assert heartbeat("http://127.0.0.1:1", **said).events == events


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(500), UnavailableError),
        (Reply(503), UnavailableError),
        (Reply(429), UnavailableError),
        (Reply(408), UnavailableError),
        (Reply(close=True), UnavailableError),
        (Reply(reset=True), UnavailableError),
        (Reply(hang=True), UnavailableError),
        (Reply(400), RefusedError),
        (Reply(404), RefusedError),
        (Reply(302, {"Location": "/other"}), RefusedError),
    ],
    ids=lambda value: str(getattr(value, "status", value)) if isinstance(value, Reply) else value.__name__,
)
def test_what_may_pass_is_told_from_what_will_not(server: ScriptedServer, reply: Reply, error: type[Exception]) -> None:
    server.script(reply)
    sender = webhook(f"{server.url}/hook", timeout="300ms")

    with pytest.raises(error):
        sender.send(AlertEvent.FAILURE, ALERT)
    sender.close()

    assert len(server.journal) == 1, "the line it stands in tries again, and nobody else"


def test_an_error_says_what_the_server_said_and_nothing_secret(server: ScriptedServer) -> None:
    server.script(Reply(400, body=f"invalid_blocks for {TOKEN} at /services/T0/{TOKEN}".encode()))
    url = f"{server.url}/services/T0/{TOKEN}?key=canary-in-the-query"
    sender = webhook({"env": "URL"}, Kept(URL=url))

    with pytest.raises(RefusedError, match=r"alert ops: .* answered with status code 400: invalid_blocks") as caught:
        sender.send(AlertEvent.FAILURE, ALERT)
    sender.close()

    assert seen_in(str(caught.value)) == []


def test_a_server_that_is_not_there_is_told_without_its_secret_address(server: ScriptedServer) -> None:
    server.refuse()
    sender = heartbeat({"env": "URL"}, Kept(URL=f"{server.url}/{TOKEN}"), path="{{ alert.event }}")

    with pytest.raises(UnavailableError) as caught:
        sender.send(AlertEvent.GOOD, ALERT)
    sender.close()

    assert seen_in(str(caught.value)) == []


def test_a_redirect_takes_no_secret_along(server: ScriptedServer) -> None:
    with serving() as other:
        other.route("/there", Reply(200))
        for status in (307, 303):
            server.script(Reply(status, {"Location": f"{other.url}/there"}))
        sender = webhook(f"{server.url}/hook", Kept(TOKEN="canary-3"), headers={"X-Token": {"env": "TOKEN"}})

        for _ in range(2):
            with pytest.raises(RefusedError):
                sender.send(AlertEvent.FAILURE, ALERT)
        sender.close()

        assert other.journal == []


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("hooks.example.com/canary-x", "not an http address"),
        ("https://me:canary-x@hooks.example.com/", "credentials do not belong in an address"),
        ("http://hooks.example.com/canary-x", "a secret would travel unencrypted"),
    ],
)
def test_a_secret_address_that_cannot_be_used_is_not_shown(url: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"alerts\.ops\.url: {reason}") as caught:
        webhook({"env": "URL"}, Kept(URL=url)).send(AlertEvent.FAILURE, ALERT)

    assert seen_in(str(caught.value)) == []
