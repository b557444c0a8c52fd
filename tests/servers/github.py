"""GitHub's own answers, recorded by its client's authors (`@octokit/fixtures`), given again on loopback, host by host.

A request gets the answer that was recorded for its method, path, query and body; one that was recorded several times
gets them in their order, and the last one from then on. What was not recorded is answered with 501. The API
wants a token, as it did then; the host of archives takes whoever it is sent.
"""

import contextlib
import json
import re
import threading
from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from tests.servers.install import OCTOKIT
from tests.servers.loopback import LoopbackHandler, LoopbackServer
from tests.servers.process import require

TOKEN = "canary-t0ken-of-github"
API, CODELOAD = "api.github.com", "codeload.github.com"
NOT_REPLAYED = {"connection", "content-length", "transfer-encoding", "content-encoding"}
"""Headers of the connection. Lengths were recorded before the names of repositories were made shorter."""

Question = tuple[str, str, tuple[tuple[str, str], ...], str]
"""Method, path, query in any order, body."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived, and its status."""

    method: str
    path: str
    """With its query."""
    authorization: str | None
    status: int


class Replay:
    """One scenario: a server for each host that had a part in it. `with Replay("paginate-issues") as github:`."""

    def __init__(self, scenario: str) -> None:
        folder = require(OCTOKIT / "installed-from").parent / "node_modules/@octokit/fixtures/scenarios/api.github.com"
        file = folder / scenario / "normalized-fixture.json"
        self._exchanges: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            names = {API, *(_host(exchange) for exchange in self._exchanges)}
            self._hosts = {name: stack.enter_context(_Host(is_closed=name == API)) for name in names}
            for exchange in self._exchanges:
                self._hosts[_host(exchange)].add(json.loads(self._here(json.dumps(exchange))))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def url(self, host: str = API) -> str:
        """Where a host is."""
        return self._hosts[host].url

    def asked(self, host: str = API) -> list[Asked]:
        """What a host was asked, in order."""
        return self._hosts[host].asked

    def _here(self, text: str) -> str:
        for name, host in self._hosts.items():
            text = re.sub(rf"https://{re.escape(name)}(?::443)?(?=[/\"])", host.url, text)
        return text


class _Host(LoopbackServer):
    def __init__(self, *, is_closed: bool) -> None:
        super().__init__(_Handler)
        self._is_closed = is_closed
        self.asked: list[Asked] = []
        self._lock = threading.Lock()
        self._answers: defaultdict[Question, list[dict[str, Any]]] = defaultdict(list)

    def add(self, exchange: dict[str, Any]) -> None:
        question = _question(exchange["method"].upper(), exchange["path"], exchange["body"] or None)
        self._answers[question].append(exchange)

    def answer(self, method: str, path: str, body: bytes, authorization: str | None) -> dict[str, Any]:
        with self._lock:
            waiting = self._answers[_question(method, path, _content(body))]
            exchange = _refusal(501, f"{method} {path} was not recorded") if not waiting else waiting[0]
            if self._is_closed and authorization != f"token {TOKEN}":
                exchange = _refusal(401, "Requires authentication")
            elif len(waiting) > 1:
                waiting.pop(0)
            self.asked.append(Asked(method, path, authorization, exchange["status"]))
            return exchange


class _Handler(LoopbackHandler):
    server: _Host

    def replay(self) -> None:
        body = b"".join(self.pieces_of_body())
        exchange = self.server.answer(self.command, self.path, body, self.headers["Authorization"])
        answer = _bytes(exchange)
        self.send_response_only(exchange["status"])
        for name, value in exchange["headers"].items():
            if name not in NOT_REPLAYED:
                self.send_header(name, str(value))
        if exchange["status"] != 204:
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = replay  # noqa: N815


def _host(exchange: dict[str, Any]) -> str:
    return str(urlsplit(exchange["scope"]).hostname)


def _question(method: str, path: str, content: Any) -> Question:
    parts = urlsplit(path)
    return method, parts.path, tuple(sorted(parse_qsl(parts.query))), json.dumps(content, sort_keys=True)


def _content(body: bytes) -> Any:
    return json.loads(body) if body else None


def _bytes(exchange: dict[str, Any]) -> bytes:
    response = exchange["response"]
    if exchange.get("responseIsBinary"):
        return bytes.fromhex(response)
    return response.encode() if isinstance(response, str) else json.dumps(response).encode()


def _refusal(status: int, message: str) -> dict[str, Any]:
    return {"status": status, "headers": {"content-type": "application/json"}, "response": {"message": message}}
