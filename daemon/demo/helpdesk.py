"""The demo's help desk: users by page number, created, updated and deleted, and now and then an answer gets lost."""

import hmac
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from daemon.values import Json, Record

from .http import Reply, Request

PAGE_SIZE = 100

OWN_USERS = ("Administrator", "Reporting robot")
"""Accounts of the help desk's own: no job made them, and no job may touch them."""

_USERS = "/v1/users"


@dataclass(frozen=True, slots=True)
class _Answered:
    """What a create with an idempotency key was answered."""

    body: bytes
    reply: Reply


class Helpdesk:
    """Users in memory. Every method may be called from any thread.

    Every `lose_every`th create is carried out and its answer lost; None turns that off.
    """

    def __init__(self, *, lose_every: int | None = 300, now: Callable[[], datetime] | None = None) -> None:
        self.token = secrets.token_urlsafe(24)
        self._now = now or (lambda: datetime.now(UTC))
        self._lose_every = lose_every
        self._lock = threading.RLock()
        self._users: dict[int, dict[str, Json]] = {}
        self._ids: dict[str, int] = {}
        self._answered: dict[str, _Answered] = {}
        self._last_id = 0
        self.created = 0
        """Users that clients created; an answer given twice counts once."""
        self.replayed = 0
        """Creates that were repeated with their idempotency key, and got the first answer again."""
        self.lost_answers = 0
        self.deleted: list[str] = []
        """The external ids of users that were deleted, in order."""
        for name in OWN_USERS:
            self._add({"name": name, "role": "admin"})

    def answer(self, request: Request) -> Reply:
        """Answer one request."""
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {self.token}".encode()):
            return Reply(401, {"error": "a bearer token is needed"}, {"WWW-Authenticate": 'Bearer realm="helpdesk"'})
        with self._lock:
            if request.path == _USERS:
                return self._collection(request)
            user_id = _id_in(request.path)
            if user_id not in self._users:
                return Reply(404, {"error": "there is no such user"})
            return self._user(request, user_id)

    def users(self) -> tuple[Record, ...]:
        """Return all users, in order of id."""
        with self._lock:
            return tuple(self._users.values())

    def _collection(self, request: Request) -> Reply:
        match request.method:
            case "GET":
                return self._list(request)
            case "POST":
                return self._create_once(request)
        return Reply(405, {"error": "GET or POST"}, {"Allow": "GET, POST"})

    def _user(self, request: Request, user_id: int) -> Reply:
        match request.method:
            case "GET":
                return Reply(200, {"user": self._users[user_id]})
            case "PATCH":
                return self._update(user_id, request.document())
            case "DELETE":
                user = self._users.pop(user_id)
                if user.get("external_id") is not None:
                    del self._ids[user["external_id"]]
                    self.deleted.append(user["external_id"])
                return Reply(204)
        return Reply(405, {"error": "GET, PATCH or DELETE"}, {"Allow": "GET, PATCH, DELETE"})

    def _list(self, request: Request) -> Reply:
        page = request.number("page", 1)
        wanted = request.query.get("external_id")
        found = [user for user in self._users.values() if wanted in {None, user.get("external_id")}]
        start = (page - 1) * PAGE_SIZE
        return Reply(200, {"users": found[start : start + PAGE_SIZE], "page": page, "total": len(found)})

    def _create_once(self, request: Request) -> Reply:
        """Create, unless this idempotency key was here before: then the first answer is given again."""
        key = request.headers.get("idempotency-key")
        before = self._answered.get(key) if key is not None else None
        if before is not None:
            if before.body != request.body:
                return Reply(422, {"error": "this Idempotency-Key came with another body before"})
            self.replayed += 1
            return before.reply
        reply = self._create(request.document())
        if key is not None:
            self._answered[key] = _Answered(request.body, reply)
        if reply.status == 201 and self._lose_every and self.created % self._lose_every == 0:
            self.lost_answers += 1
            return Reply(reply.status, is_lost=True)
        return reply

    def _create(self, document: dict[str, Json]) -> Reply:
        if not document.get("name"):
            return Reply(422, {"error": "name is required"})
        if document.get("external_id") in self._ids:
            return Reply(409, {"error": "a user with this external_id exists"})
        self.created += 1
        return Reply(201, {"user": self._add(document)})

    def _add(self, document: dict[str, Json]) -> Record:
        self._last_id += 1
        moment = self._moment()
        own = {"id": self._last_id, "created_at": moment, "updated_at": moment}
        user = {"role": "requester", **document, **own}
        self._users[self._last_id] = user
        if user.get("external_id") is not None:
            self._ids[user["external_id"]] = self._last_id
        return user

    def _update(self, user_id: int, fields: dict[str, Json]) -> Reply:
        user = self._users[user_id]
        if fields.get("external_id", user.get("external_id")) != user.get("external_id"):
            return Reply(422, {"error": "external_id cannot be changed"})
        updated = {**user, **fields, "id": user_id, "created_at": user["created_at"], "updated_at": self._moment()}
        self._users[user_id] = updated
        return Reply(200, {"user": updated})

    def _moment(self) -> str:
        return self._now().isoformat(timespec="seconds")


def _id_in(path: str) -> int:
    """Return the id in a user's path; 0, which no user has, where there is none."""
    text = path.removeprefix(f"{_USERS}/")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
