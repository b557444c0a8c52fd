"""A server on loopback with projects and the tickets of each, and a desk that takes them."""

import json
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from tests.servers.loopback import LoopbackHandler, LoopbackServer

PAGE = 2
"""Tickets on one page."""


class ProjectsServer(LoopbackServer):
    """`/projects` and `/projects/ID/tickets`, by next links and `since`; `/desk` (or `/tickets`) takes records."""

    def __init__(self, projects: Mapping[str, list[dict[str, Any]]]) -> None:
        super().__init__(_Handler)
        self.projects = {name: [*tickets] for name, tickets in projects.items()}
        self.statuses: dict[str, int] = {}
        """What the tickets of a project are answered with, where it is no list."""
        self.desk: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, str]] = []
        """What was done to the desk: POST, PATCH or DELETE, and the record's id."""
        self.lock = threading.Lock()
        self.made = 0
        self.under_way = self.most = 0
        self.gate: threading.Barrier | None = None
        """Where reads of tickets wait for each other, if they are to prove that they go on at the same time."""
        self.asked: list[str] = []


class _Handler(LoopbackHandler):
    server: ProjectsServer

    def get(self) -> None:  # the framework\'s name
        path, _, query = self.path.partition("?")
        parts = [unquote(part) for part in path.strip("/").split("/")]
        if parts[0] in {"desk", "tickets"}:
            found = [
                one
                for one in self.server.desk.values()
                if not query or query == f"ref={one['ref']}".replace("/", "%2F")
            ]
            self._answer(200, {"records": found})
        elif len(parts) == 1:
            self._answer(200, {"projects": [{"id": name, "title": name.upper()} for name in self.server.projects]})
        else:
            asked = {name: int(values[0]) for name, values in parse_qs(query).items()}
            self._tickets(parts[1], asked.get("at", 0), asked.get("since"))

    def _tickets(self, project: str, at: int, since: int | None) -> None:
        server = self.server
        with server.lock:
            server.asked.append(f"{project}:{at}")
        if server.gate is not None:
            server.gate.wait(20)
        if project in server.statuses or project not in server.projects:
            self._answer(server.statuses.get(project, 404), {"error": "no"})
            return
        tickets = [one for one in server.projects[project] if since is None or one["changed"] >= since]
        more = f"at={at + PAGE}" if since is None else f"since={since}&at={at + PAGE}"
        next_ = f"/projects/{project}/tickets?{more}" if at + PAGE < len(tickets) else None
        self._answer(200, {"tickets": tickets[at : at + PAGE], "next": next_})

    def post(self) -> None:  # the framework\'s name
        body = json.loads(b"".join(self.pieces_of_body()))
        with self.server.lock:
            self.server.made += 1
            record = {**body, "id": f"d{self.server.made}"}
            self.server.desk[record["id"]] = record
            self.server.writes.append(("POST", record["id"]))
        self._answer(201, record)

    def patch(self) -> None:  # the framework\'s name
        body = json.loads(b"".join(self.pieces_of_body()))
        name = self.path.rpartition("/")[2]
        with self.server.lock:
            self.server.desk[name].update(body)
            self.server.writes.append(("PATCH", name))
        self._answer(200, {})

    def delete(self) -> None:  # the framework\'s name
        name = self.path.rpartition("/")[2]
        with self.server.lock:
            self.server.desk.pop(name, None)
            self.server.writes.append(("DELETE", name))
        self._answer(204, None)

    def _answer(self, status: int, body: Any) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET, do_POST, do_PATCH, do_DELETE = get, post, patch, delete  # noqa: N815  # the framework's names
