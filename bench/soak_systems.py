"""The systems of the soak: tenants behind OAuth2, each with lists of people and help desks, and bad hours now and then.

    python -m bench.soak_systems --tenants 20 --jobs 200 --people 12

The first line on stdout is JSON: the address and the secrets. Each job has a list and a help desk of its own, below
its tenant's address, so that what was written twice is seen. `POST /calm?on=true|false` ends the faults or lets them
begin; `POST /change` edits, adds and removes people everywhere; `GET /compare` counts what differs, by job, and
`GET /faults` what was done to whom.

Faults hit a request by chance, with a fixed seed: refusals with 429 and 503, each with `Retry-After` and without it,
resets before anything is done, answers that are lost after a write was carried out, answers that come late, pages that
are no page, and pages that lack a record they count.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from daemon.demo.compare import compare
from daemon.demo.helpdesk import Helpdesk
from daemon.demo.hr import Hr
from daemon.demo.http import Reply, Request, Server
from daemon.demo.people import People
from daemon.values import Json

PAGE = 5
"""So many people on a page: each list takes some requests."""
FAULT_SHARE = 0.03
"""Of all requests that many meet a fault. A run makes ten and tries each five times."""
LATE_S = 0.4
FAULTS = ("429 after", "429", "503 after", "503", "reset", "lost", "late", "no page", "short page")
_RESET = struct.pack("ii", 1, 0)


class Staff:
    """The people of one job, by cursor."""

    def __init__(self, chance: random.Random, number: int) -> None:
        self._people, self._chance = People(chance), chance
        self._staff = {person["employee_no"]: person for person in (self._people.hire() for _ in range(number))}

    def change(self) -> None:
        """Edit one, hire one, and let one go."""
        edited, leaver = self._chance.sample(sorted(self._staff), 2)
        self._staff[edited] = self._people.edited(self._staff[edited])
        del self._staff[leaver]
        hired = self._people.hire()
        self._staff[hired["employee_no"]] = hired

    def people(self) -> list[dict[str, Json]]:
        return [self._staff[key] for key in sorted(self._staff)]

    def page(self, request: Request) -> Reply:
        found = self.people()
        rest = [person for person in found if person["employee_no"] > request.query.get("cursor", "")]
        following = rest[PAGE - 1]["employee_no"] if len(rest) > PAGE else None
        return Reply(200, {"data": {"items": rest[:PAGE], "next_cursor": following, "total": len(found)}})


@dataclass(frozen=True)
class Tenant:
    """One pair of systems with its credentials: `issuer` gives out the tokens and knows them again."""

    issuer: Hr
    token: str


class Systems:
    """Everything behind one server. Any thread may call it."""

    def __init__(self, *, tenants: int, jobs: int, people: int, seed: int) -> None:
        self._chance = random.Random(seed)
        self._lock = threading.RLock()
        self.tenants = [Tenant(Hr(employees=0, fault_every=None), secrets.token_urlsafe(24)) for _ in range(tenants)]
        self.staff = [Staff(random.Random(seed + number), people) for number in range(jobs)]
        self.desks = [Helpdesk(lose_every=None) for _ in range(jobs)]
        for number, desk in enumerate(self.desks):
            desk.token = self.tenants[number % tenants].token
        self.is_calm = False
        self.faults: Counter[str] = Counter()
        self._connection = threading.local()

    def opened(self, connection: socket.socket) -> None:
        """Note which connection this thread answers."""
        self._connection.of = connection

    def answer(self, request: Request) -> Reply:
        _, system, *rest = request.path.split("/")
        if system.startswith("t"):
            return self._as_it_may_be(int(system[1:]), rest, request)
        return self._control(request)

    def _as_it_may_be(self, tenant: int, rest: list[str], request: Request) -> Reply:
        fault = self._fault(request)
        match fault:
            case "429 after" | "503 after":
                return Reply(int(fault[:3]), {"error": "not now"}, {"Retry-After": "1"})
            case "429" | "503":
                return Reply(int(fault), {"error": "not now"})
            case "reset":
                self._connection.of.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                return Reply(200, is_lost=True)
            case "late":
                time.sleep(LATE_S)
        reply = self._honest(tenant, rest, request)
        if fault == "lost":
            return replace(reply, is_lost=True)
        if fault == "no page" and reply.status == 200:
            return replace(reply, body="<html><body>Sign in</body></html>")
        if fault == "short page" and reply.status == 200 and isinstance(reply.body, dict) and "data" in reply.body:
            data = reply.body["data"]
            return replace(reply, body={"data": {**data, "items": data["items"][:-1]}})
        return reply

    def _fault(self, request: Request) -> str | None:
        with self._lock:
            if self.is_calm or self._chance.random() >= FAULT_SHARE:
                return None
            fault = self._chance.choice(FAULTS)
            if request.method != "GET" and fault == "no page":
                fault = "503"
            self.faults[fault] += 1
            return fault

    def _honest(self, tenant: int, rest: list[str], request: Request) -> Reply:
        with self._lock:
            issuer = self.tenants[tenant].issuer
            if rest[:1] == ["oauth"]:
                return issuer.answer(replace(request, path="/oauth/token"))
            job = int(rest[0][1:])
            if rest[1] == "employees":
                asked = issuer.answer(Request("GET", "/api/employees", {}, request.headers, b""))
                return self.staff[job].page(request) if asked.status == 200 else asked
        return self.desks[job].answer(replace(request, path="/v1/" + "/".join(rest[1:])))

    def _control(self, request: Request) -> Reply:
        match request.method, request.path:
            case "POST", "/calm":
                self.is_calm = request.query["on"] == "true"
                return Reply(200, {"calm": self.is_calm})
            case "POST", "/change":
                with self._lock:
                    for staff in self.staff:
                        staff.change()
                return Reply(200, {"changed": len(self.staff)})
            case "GET", "/compare":
                return Reply(200, self.compare())
            case "GET", "/faults":
                return Reply(200, dict(self.faults))
        return Reply(404)

    def compare(self) -> dict[str, Json]:
        """Return the jobs whose systems differ, with how, and what was done in all."""
        with self._lock:
            found = {
                number: compare(staff.people(), desk.users())
                for number, (staff, desk) in enumerate(zip(self.staff, self.desks, strict=True))
            }
        return {
            "different": {f"job-{number:03}": one.counts() for number, one in found.items() if one.differences},
            "doubled": sum(len(one.doubled) for one in found.values()),
            "people": sum(one.employees for one in found.values()),
            "created": sum(desk.created for desk in self.desks),
            "deleted": sum(len(desk.deleted) for desk in self.desks),
            "replayed": sum(desk.replayed for desk in self.desks),
        }

    def secrets(self) -> list[Mapping[str, str]]:
        return [
            {"client_id": one.issuer.client_id, "client_secret": one.issuer.client_secret, "token": one.token}
            for one in self.tenants
        ]


class SoakServer(Server):
    """Lets the systems know whose connection a thread answers, since a reset needs it."""

    def __init__(self, systems: Systems) -> None:
        super().__init__(systems.answer)
        self._systems = systems

    def opened(self, connection: socket.socket) -> None:
        super().opened(connection)
        self._systems.opened(connection)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("tenants", 20), ("jobs", 200), ("people", 12), ("seed", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    systems = Systems(tenants=given.tenants, jobs=given.jobs, people=given.people, seed=given.seed)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with SoakServer(systems) as server:
        sys.stdout.write(json.dumps({"url": server.url, "tenants": systems.secrets()}) + "\n")
        sys.stdout.flush()
        stop.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
