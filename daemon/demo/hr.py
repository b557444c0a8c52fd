"""The demo's HR system: employees behind an OAuth2 token endpoint, by cursor, with a bad moment now and then."""

import binascii
import hmac
import random
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_plus

from daemon.values import Json, Record

from .http import BadRequestError, Reply, Request
from .people import People

TOKEN_LIFE_S = 60
PAGE_LIMIT = 200
"""The largest page; asking for more gets this many, as with many real APIs."""

_FIRST_FAULT = 3
"""The first list call that fails: early enough for the first read to meet one."""


@dataclass(frozen=True, slots=True)
class Turnover:
    """What changed at the HR system, by employee number."""

    left: tuple[str, ...]
    edited: tuple[str, ...]
    joined: tuple[str, ...]

    def __str__(self) -> str:
        return f"{len(self.edited)} edited, {len(self.left)} left, {len(self.joined)} joined"


class Hr:
    """Employees in memory. Every method may be called from any thread.

    Every `fault_every`th list call fails, by turns with 429 and with 503; None turns that off.
    """

    def __init__(
        self,
        *,
        employees: int = 1000,
        seed: int = 7,
        fault_every: int | None = 7,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.client_id = "crudsd-demo"
        self.client_secret = secrets.token_urlsafe(24)
        self._chance = random.Random(seed)  # noqa: S311 - people made up, the same in every demo
        self._people = People(self._chance)
        self._employees: dict[str, dict[str, Json]] = {}
        self._fault_every = fault_every
        self._monotonic = monotonic
        self._lock = threading.RLock()
        self._tokens: dict[str, float] = {}
        self._lists = 0
        self._is_out = False
        self.faults = 0
        """List calls that were refused with 429 or 503."""
        self.tokens_issued = 0
        self.join(employees)

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        with self._lock:
            match request.method, request.path:
                case "POST", "/oauth/token":
                    return self._token(request)
                case "GET", "/api/employees":
                    return self._list(request)
        return Reply(404, {"error": "there is no such resource"})

    # ---- what happens in a company ----

    def edit(self, number: int) -> tuple[str, ...]:
        """Change a field of so many active employees, at most all; returns their numbers."""
        with self._lock:
            chosen = self._chosen(number)
            for key in chosen:
                self._employees[key] = self._people.edited(self._employees[key])
            return chosen

    def leave(self, number: int) -> tuple[str, ...]:
        """Let so many active employees go, at most all; returns their numbers."""
        with self._lock:
            chosen = self._chosen(number)
            for key in chosen:
                self._employees[key] = {**self._employees[key], "status": "left"}
            return chosen

    def join(self, number: int) -> tuple[str, ...]:
        """Hire so many; returns their numbers."""
        with self._lock:
            hired = [self._people.hire() for _ in range(number)]
            self._employees.update((person["employee_no"], person) for person in hired)
            return tuple(person["employee_no"] for person in hired)

    def turn_over(self, *, edits: int, leavers: int, joiners: int) -> Turnover:
        """Change the staff at one stroke. Nobody is in two of the groups."""
        with self._lock:
            left = self.leave(leavers)
            return Turnover(left=left, edited=self.edit(edits), joined=self.join(joiners))

    def outage(self, is_out: bool) -> None:  # noqa: FBT001 - one switch with one meaning
        """Answer every list with an empty one and status 200, or be well again."""
        with self._lock:
            self._is_out = is_out

    def forget_tokens(self) -> None:
        """Take back every token that was issued, as if its 60 seconds were over."""
        with self._lock:
            self._tokens.clear()

    def active(self) -> tuple[Record, ...]:
        """Return the active employees as they are, whatever the API says of them in an outage."""
        with self._lock:
            return tuple(person for person in self._employees.values() if person["status"] == "active")

    def _chosen(self, number: int) -> tuple[str, ...]:
        keys = [person["employee_no"] for person in self.active()]
        return tuple(sorted(self._chance.sample(keys, min(number, len(keys)))))

    # ---- the token endpoint (RFC 6749 section 4.4) ----

    def _token(self, request: Request) -> Reply:
        if not self._is_client(request.headers):
            challenge = {"WWW-Authenticate": 'Basic realm="hr"'}
            return Reply(401, {"error": "invalid_client"}, challenge)
        form = parse_qs(request.body.decode("utf-8", "replace"))
        if form.get("grant_type") != ["client_credentials"]:
            return Reply(400, {"error": "unsupported_grant_type"})
        token = secrets.token_urlsafe(24)
        now = self._monotonic()
        self._tokens = {known: end for known, end in self._tokens.items() if end > now}
        self._tokens[token] = now + TOKEN_LIFE_S
        self.tokens_issued += 1
        body = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFE_S}
        return Reply(200, body, {"Cache-Control": "no-store"})

    def _is_client(self, headers: Mapping[str, str]) -> bool:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        try:
            name, _, password = b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return False
        expected = f"{self.client_id}:{self.client_secret}"
        given = f"{unquote_plus(name)}:{unquote_plus(password)}"
        return scheme.lower() == "basic" and hmac.compare_digest(given.encode(), expected.encode())

    # ---- the employees ----

    def _list(self, request: Request) -> Reply:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or self._tokens.get(token, 0.0) <= self._monotonic():
            challenge = {"WWW-Authenticate": 'Bearer realm="hr", error="invalid_token"'}
            return Reply(401, {"error": "invalid_token"}, challenge)
        return self._fault() or self._page(request)

    def _fault(self) -> Reply | None:
        self._lists += 1
        if self._fault_every is None or self._lists % self._fault_every != _FIRST_FAULT % self._fault_every:
            return None
        self.faults += 1
        if self.faults % 2:
            return Reply(429, {"error": "too many requests"}, {"Retry-After": "1"})
        return Reply(503, {"error": "try again"})

    def _page(self, request: Request) -> Reply:
        size = min(request.number("page_size", 100), PAGE_LIMIT)
        after = _decoded(request.query["cursor"]) if "cursor" in request.query else ""
        found = [] if self._is_out else self._with_status(request.query.get("status"))
        rest = [person for person in found if person["employee_no"] > after]
        items = rest[:size]
        following = _encoded(items[-1]["employee_no"]) if len(rest) > size else None
        return Reply(200, {"data": {"items": items, "next_cursor": following, "total": len(found)}})

    def _with_status(self, status: str | None) -> list[Record]:
        people: Iterable[Record] = self._employees.values()
        return [person for person in people if status in {None, person["status"]}]


def _encoded(key: str) -> str:
    """Return a cursor: the last key of a page, so that a record that joins or leaves shifts no border."""
    return urlsafe_b64encode(key.encode()).decode()


def _decoded(cursor: str) -> str:
    try:
        return b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise BadRequestError("the cursor is not one of ours") from error
