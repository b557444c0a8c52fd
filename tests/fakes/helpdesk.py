"""A help desk as the how-to pages have it: tickets that can be asked for by their change, with tombstones; projects.

GET /tickets?updated_since=…&with_deleted=true&sort=updated_at        {"tickets": [...]} and a Link to the next page
GET /projects/ID/tickets                                              the same of one project; 404 without it
GET /projects                                                         {"projects": [...]}
"""

import json
import threading
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.servers.loopback import LoopbackHandler, LoopbackServer

PAGE = 3


class Helpdesk(LoopbackServer):
    """The server, honest at all times. Its clock is each ticket's own: a test says when a change was made."""

    def __init__(self, token: str) -> None:
        super().__init__(_Handler)
        self.token = token
        self.asked: list[str] = []
        """Path and query of each request, in order."""
        self._lock = threading.Lock()
        self._tickets: dict[tuple[str, int], dict[str, Any]] = {}
        self._projects: dict[str, dict[str, Any]] = {}
        self.closed_to_us: set[str] = set()
        """Projects that are in the list, and whose tickets are answered with 404."""

    def project(self, name: str) -> None:
        """Open a project."""
        with self._lock:
            self._projects[name] = {"id": name, "name": name.title()}

    def close_project(self, name: str) -> None:
        """Let a project vanish with its tickets, without a word."""
        with self._lock:
            del self._projects[name]
            self._tickets = {key: one for key, one in self._tickets.items() if key[0] != name}

    def put(self, number: int, at: str, *, project: str = "", **fields: Any) -> None:
        """Make or change a ticket; `at` is the moment that it bears."""
        with self._lock:
            fresh = {"id": number, "project": project, "subject": f"Ticket {number}", "status": "open"}
            known = self._tickets.get((project, number), {"deleted_at": None})
            self._tickets[project, number] = {**fresh, **known, **fields, "updated_at": at}

    def delete(self, number: int, at: str, *, project: str = "") -> None:
        """Delete a ticket; a tombstone stays."""
        self.put(number, at, project=project, deleted_at=at)

    def purge(self, number: int, *, project: str = "") -> None:
        """Delete a ticket without a trace."""
        with self._lock:
            del self._tickets[project, number]

    def answer(self, path: str, query: dict[str, str]) -> tuple[dict[str, Any], str | None] | None:
        """Return the body and the query of the next page; None: there is no such thing."""
        with self._lock:
            if path == "/projects":
                return {"projects": list(self._projects.values())}, None
            head, _, name = path.removesuffix("/tickets").rpartition("/")
            if head == "/projects" and (name not in self._projects or name in self.closed_to_us):
                return None
            found = [one for one in self._tickets.values() if not head or one["project"] == name]
            return _page(found, query)


def _page(found: list[dict[str, Any]], query: dict[str, str]) -> tuple[dict[str, Any], str | None]:
    since, page = query.get("updated_since", ""), int(query.get("page", 1))
    kept = [one for one in found if one["updated_at"] >= since]
    if query.get("with_deleted") != "true":
        kept = [one for one in kept if one["deleted_at"] is None]
    kept.sort(key=lambda one: (one[query.get("sort", "id")], one["id"]))
    more = urlencode({**query, "page": page + 1}) if len(kept) > page * PAGE else None
    return {"tickets": kept[(page - 1) * PAGE : page * PAGE]}, more


class _Handler(LoopbackHandler):
    server: Helpdesk

    def do_GET(self) -> None:  # noqa: N802  # the framework's name
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.server.asked.append(self.path)
        if self.headers["Authorization"] != f"Bearer {self.server.token}":
            self._send(401, {"error": "no such token"})
            return
        answer = self.server.answer(parts.path, query)
        if answer is None:
            self._send(404, {"error": "no such project"})
            return
        body, more = answer
        self._send(200, body, f'<{self.server.url}{parts.path}?{more}>; rel="next"' if more else None)

    def _send(self, status: int, body: dict[str, Any], link: str | None = None) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if link:
            self.send_header("Link", link)
        self.end_headers()
        self.wfile.write(content)
