"""One HTTP request and its answer, by `http.client`: the tests' oracle owes nothing to our own library."""

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPMessage
from typing import Any
from urllib.parse import quote_plus, urlsplit

TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: HTTPMessage
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def expect(self, *statuses: int) -> "Answer":
        """Itself, if the status is one of these; else a failure that shows the body."""
        assert self.status in statuses, f"{self.status}, not {statuses}: {self.body[:500]!r}"
        return self


def ask(
    method: str,
    url: str,
    *,
    json_body: object = None,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> Answer:
    """Send one request on a connection of its own, following nothing and retrying nothing."""
    parts = urlsplit(url)
    assert parts.scheme == "http", url
    assert parts.hostname is not None, url
    sent = dict(headers or {})
    if json_body is not None:
        body = json.dumps(json_body).encode()
        sent["Content-Type"] = "application/json"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)
    try:
        connection.request(method, f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}", body, sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def basic(user: str, password: str) -> str:
    """The value of `Authorization` for HTTP Basic, as RFC 7617 has it."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def oauth_basic(client_id: str, client_secret: str) -> str:
    """The same for an OAuth client: both halves are form-urlencoded first (RFC 6749, 2.3.1)."""
    return basic(quote_plus(client_id), quote_plus(client_secret))
