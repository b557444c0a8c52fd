"""The two demo systems, and a client that knows nothing but http.client."""

import base64
import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from typing import Any

import pytest

from daemon.demo.helpdesk import Helpdesk
from daemon.demo.hr import Hr
from daemon.demo.http import Server


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: Any


class Caller:
    """One keep-alive connection."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)

    def __call__(self, method: str, path: str, document: Any = None, body: bytes = b"", **headers: str) -> Answer:
        raw = json.dumps(document).encode() if document is not None else body
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.request(method, path, body=raw or None, headers=named)
        response = self.connection.getresponse()
        content = response.read()
        return Answer(response.status, response.headers, json.loads(content) if content else None)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


Serve = Callable[..., Caller]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with contextlib.ExitStack() as stack:

        def start(system: Hr | Helpdesk) -> Caller:
            caller = Caller(stack.enter_context(Server(system.answer)))
            stack.callback(caller.connection.close)
            return caller

        yield start


def basic(hr: Hr) -> str:
    return "Basic " + base64.b64encode(f"{hr.client_id}:{hr.client_secret}".encode()).decode()


def log_in(call: Caller, hr: Hr) -> str:
    """Return the Authorization header of a fresh token."""
    answer = call("POST", "/oauth/token", body=b"grant_type=client_credentials", Authorization=basic(hr))
    assert answer.status == 200
    assert answer.body["token_type"] == "Bearer"
    return f"Bearer {answer.body['access_token']}"
