"""A reverse proxy of ours that spoils what a real server says, one request at a time, and keeps what was asked.

    proxy.next("/token", status(503), times=2)      the next two requests to this path, whoever sends them
    proxy.next("/people/7", passing, after(edit))   the second one: somebody is faster

A fault is given a way to ask the server and decides what is answered, so it can answer without asking, ask and then
say something else, or ask and hang up. Requests without a fault pass as they are.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import HTTPMessage
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from tests.servers.counting_proxy import HOP_BY_HOP
from tests.servers.exchange import Answer, ask
from tests.servers.loopback import LoopbackHandler, LoopbackServer

Forward: TypeAlias = Callable[[], Answer]
"""Asks the server and returns what it says."""
Fault: TypeAlias = Callable[[Forward], Answer | None]
"""What the client is answered; None hangs up without an answer."""

WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it arrived, and what its sender was answered; 0 for nothing."""

    method: str
    path: str
    """Without its query."""
    form: dict[str, str]
    authorization: str | None
    status: int
    query: str = ""


class RewritingProxy(LoopbackServer):
    """The proxy, in front of `127.0.0.1:upstream_port`. The Host header passes: the server takes it for its own."""

    def __init__(self, upstream_port: int) -> None:
        super().__init__(_Handler)
        self.upstream_port = upstream_port
        self._lock = threading.Lock()
        self._faults: defaultdict[str, list[Fault]] = defaultdict(list)
        self._journal: list[Asked] = []

    def next(self, path: str, *faults: Fault, times: int = 1) -> None:
        """Spoil the next requests to this path, in this order, the whole row so many times."""
        with self._lock:
            self._faults[path] += faults * times

    def forgive(self, path: str) -> None:
        """Spoil nothing more on this path."""
        with self._lock:
            self._faults[path].clear()

    def asked(self, path: str | None = None) -> list[Asked]:
        """Every request to this path, or to any, in the order of the answers, since `forget()`."""
        with self._lock:
            return [entry for entry in self._journal if path is None or entry.path == path]

    def writes(self) -> list[Asked]:
        """Every request that is no GET."""
        return [entry for entry in self.asked() if entry.method != "GET"]

    def forget(self) -> None:
        """Start again with an empty journal."""
        with self._lock:
            self._journal.clear()

    def fault_for(self, path: str) -> Fault | None:
        """Use up the next fault of this path."""
        with self._lock:
            waiting = self._faults[path]
            return waiting.pop(0) if waiting else None

    def note(self, asked: Asked) -> None:
        """Write a request down, before its sender sees the answer."""
        with self._lock:
            self._journal.append(asked)


def status(code: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer this and do not ask the server. An underscore in a header's name stands for a hyphen."""
    return lambda _forward: Answer(code, _headers(headers), body)


def html(code: int = 200) -> Fault:
    """Answer with a page, as a proxy or a captive portal does."""
    return status(code, b"<!doctype html><title>Sign in to the network</title>", Content_Type="text/html")


def error(code: str, http_status: int = 400) -> Fault:
    """Answer an OAuth error (RFC 6749 section 5.2), by its status or under one that says that all is well."""
    return status(http_status, json.dumps({"error": code}).encode(), Content_Type="application/json")


def passing(forward: Forward) -> Answer:
    """Do nothing to this one."""
    return forward()


def after(act: Callable[[], object]) -> Fault:
    """Do something first, as another client that was a moment faster."""

    def act_first(forward: Forward) -> Answer:
        act()
        return forward()

    return act_first


def late(seconds: float, proxy: RewritingProxy) -> Fault:
    """Ask the server only after a while."""

    def wait(forward: Forward) -> Answer | None:
        return None if proxy.stopping.wait(seconds) else forward()

    return wait


def lost(forward: Forward) -> None:
    """Ask the server, and hang up when it has answered."""
    forward()


def members(**changes: Any) -> Fault:
    """Change members of the server's JSON answer; `...` takes one out."""

    def change(forward: Forward) -> Answer:
        answer = forward()
        document = {**answer.json(), **changes}
        kept = {name: value for name, value in document.items() if value is not ...}
        return replace(answer, body=json.dumps(kept).encode())

    return change


class _Handler(LoopbackHandler):
    server: RewritingProxy

    def forward(self) -> None:
        _, _, path, query, _ = urlsplit(self.path)
        body = b"".join(self.pieces_of_body())
        fault = self.server.fault_for(path)
        answer = fault(lambda: self._ask_upstream(body)) if fault else self._ask_upstream(body)
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        code = 0 if answer is None else answer.status
        self.server.note(Asked(self.command, path, form, self.headers["Authorization"], code, query))
        if answer is None:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP | {"transfer-encoding", "content-length"}:
                self.send_header(name, value)
        if answer.status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

    def _ask_upstream(self, body: bytes) -> Answer:
        passed = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        passed.pop("Content-Length", None)
        passed.pop("Accept-Encoding", None)
        url = f"http://127.0.0.1:{self.server.upstream_port}{self.path}"
        return ask(self.command, url, body=body if self.command in WITH_BODY else None, headers=passed)


def _headers(given: dict[str, str]) -> HTTPMessage:
    headers = HTTPMessage()
    for name, value in given.items():
        headers[name.replace("_", "-")] = value
    return headers
