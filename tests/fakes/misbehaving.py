"""A REST server of ours that goes wrong on purpose, request by request, and keeps the journal that is the oracle.

    GET    /people            a list; any field filters by equality (?email=x), FIELD_since and FIELD_before by range
    POST   /people            201, or 409 for a duplicate key or unique field, or what `Collection.reject()` says
    GET    /people/ID         the record with its ETag; PUT replaces, DELETE answers 204; PATCH sets fields, or
                              does what merge-patch and JSON Patch say, by its Content-Type
    POST   /batch             many of the above in one, once `batching` is set (tests/fakes/batching.py)
    POST   /oauth/token       client_credentials, once `MisbehavingServer.oauth_client()` was called

How a list looks, by paging (`total` counts what the filter lets through):

    cursor    {"data": {"items": [...], "next_cursor": TOKEN or null, "total": N}}    ?cursor=TOKEN
    page      {"people": [...], "page": 1, "per_page": 100, "total": N}               ?page=2&per_page=100
    offset    {"people": [...], "offset": 0, "limit": 100, "total": N}                ?offset=100&limit=100
    link      [...] with Link: <URL>; rel="next" and X-Total-Count                    ?page=2
    next_url  {"people": [...], "next": URL or null}                                  ?page=2
    none      {"people": [...]}

Pages count from 1. A page after the last is empty; the last page of cursor, link and next_url names no next one.
"""

import base64
import functools
import json
import operator
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, unquote_plus

from tests.fakes.batching import Batching, carried_out
from tests.fakes.misbehaving_faults import Cut, Fault, Listing, Rule
from tests.fakes.misbehaving_http import LoopbackHttp, Moment, Reply, Seen
from tests.fakes.misbehaving_records import Collection, Normalise, Paging, RefusedError
from tests.fakes.patches import UnfitPatchError, patched

__all__ = ["Applied", "Collection", "Cut", "Fault", "Listing", "MisbehavingServer", "Moment", "Seen"]

READING = frozenset({"GET", "HEAD", "OPTIONS"})
TOKEN_PATH = "/oauth/token"
HONEST = Fault()


@dataclass(frozen=True, slots=True)
class Applied:
    """A write that was carried out, whether or not its sender was told."""

    kind: Literal["create", "update", "delete"]
    collection: str
    key: Any
    id: str


class MisbehavingServer:
    """The server; honest until told otherwise. `with MisbehavingServer(seed=1) as server:` runs it.

    The seed decides ids and cursors. `idempotent`: a repeated Idempotency-Key gets the first answer again, with
    `Idempotency-Replayed: true`, and nothing is done.
    """

    def __init__(self, *, seed: int = 0, idempotent: bool = False) -> None:
        self.seed = seed
        self.idempotent = idempotent
        self.batching: Batching | None = None
        self.clock_skew_s = 0.0
        """How far the Date header is ahead of the truth."""
        self._http = LoopbackHttp(self)
        self.url = self._http.url
        self._lock = threading.RLock()
        self._random = random.Random(seed)
        self._collections: dict[str, Collection] = {}
        self._rules: list[Rule] = []
        self._seen: list[Seen] = []
        self._applied: list[Applied] = []
        self._tokens: set[str] | None = None
        self._clients: dict[str, tuple[str, int]] = {}
        self._answered: dict[str, tuple[bytes, Reply]] = {}
        self._watcher: Callable[[Moment, Seen], None] | None = None

    def __enter__(self) -> Self:
        self._http.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    # ---- what there is ----

    def collection(
        self,
        name: str,
        *,
        key: str = "external_id",
        paging: Paging = "cursor",
        page_size: int = 100,
        unique: Iterable[str] = (),
        id_field: str = "id",
        normalise: Mapping[str, Normalise] | None = None,
        chosen_ids: bool = False,
        needs_if_match: bool = False,
        deletes_later: bool = False,
        doubles: bool = False,
        refers: str | None = None,
    ) -> Collection:
        """A new, empty collection at `/name` (which may have slashes in it); `page_size` is also the largest.

        `normalise` changes fields as they are written (`{"email": str.lower}`). `chosen_ids`: PUT to an id that is
        not there creates the record. `needs_if_match`: a change without it gets 428. `deletes_later`: a delete gets
        202, and is carried out by `finish_deletes()`. `doubles`: a second record of the same key is taken like any
        other, so that whoever creates twice is not saved by a 409. `refers` names a field that must hold the key of
        another record here: without it 422, and 409 for the delete of a record that another one names.
        """
        made = Collection(
            name=name,
            key=key,
            paging=paging,
            page_size=page_size,
            unique=tuple(unique),
            id_field=id_field,
            normalise=normalise or {},
            chosen_ids=chosen_ids,
            needs_if_match=needs_if_match,
            deletes_later=deletes_later,
            doubles=doubles,
            refers=refers,
            seed=self.seed,
            base_url=self.url,
            lock=self._lock,
        )
        self._collections[name] = made
        return made

    def finish_deletes(self, collection: Collection) -> None:
        """Carry out the deletes that were only taken on."""
        with self._lock:
            for record_id in sorted(collection.leaving):
                self._note("delete", collection, record_id)
                collection.drop(record_id)
            collection.leaving.clear()

    # ---- what goes wrong ----

    def fault(
        self,
        fault: Fault,
        *,
        method: str | None = None,
        path: str = "",
        nth: int | None = None,
        every: int | None = None,
        times: int | None = None,
    ) -> None:
        """Spoil requests of a method whose path, or path with query, holds the pattern; by default all of them.

        `nth` counts matching requests from 1, from now on; `every=3` is the 3rd, 6th, 9th; `times` ends it after so
        many, and `nth=2, times=3` is the 2nd, 3rd, 4th. Faults that strike the same request are joined.
        """
        with self._lock:
            self._rules.append(Rule(fault, method, re.compile(path), nth, every, times))

    def watch(self, watcher: Callable[[Moment, Seen], None] | None) -> None:
        """Tell somebody how far each request has come, on the request's thread, which waits for it. None ends it."""
        self._watcher = watcher

    def behave(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._rules.clear()

    def token(self, token: str) -> None:
        """From now on only this bearer token is good; everything else gets 401."""
        with self._lock:
            self._tokens = {token}

    def expire_token(self) -> None:
        """From now on no token is good, until `token()` is called or /oauth/token gives out a new one."""
        with self._lock:
            self._tokens = set()

    def oauth_client(self, client_id: str, secret: str, *, expires_in: int = 3600) -> str:
        """Let a client fetch tokens (Basic or in the form), and ask for one from now on; the token endpoint's URL.

        `expires_in` is what the answer says; a token is good until `expire_token()`.
        """
        with self._lock:
            self._clients[client_id] = (secret, expires_in)
            self._tokens = self._tokens or set()
        return f"{self.url}{TOKEN_PATH}"

    # ---- the oracle ----

    @property
    def requests(self) -> tuple[Seen, ...]:
        """Every request, in the order of arrival."""
        with self._lock:
            return tuple(self._seen)

    @property
    def applied(self) -> tuple[Applied, ...]:
        """Every write that was carried out, in order."""
        with self._lock:
            return tuple(self._applied)

    def writes(self) -> list[Seen]:
        """The requests that are not GET, HEAD or OPTIONS, but for those to the token endpoint."""
        return [seen for seen in self.requests if seen.method not in READING and seen.path != TOKEN_PATH]

    def token_requests(self) -> list[Seen]:
        """The requests to the token endpoint."""
        return [seen for seen in self.requests if seen.path == TOKEN_PATH]

    def creates_by_key(self, collection: str | None = None) -> Counter[Any]:
        """How often each key was created: more than once is what must never be."""
        return Counter(
            done.key for done in self.applied if done.kind == "create" and collection in {None, done.collection}
        )

    def forget(self) -> None:
        """Empty both journals; records, faults and tokens stay."""
        with self._lock:
            self._seen.clear()
            self._applied.clear()

    # ---- for the handler ----

    def arrived(self, seen: Seen, target: str) -> Fault:
        """Write a request down; what is to go wrong with it."""
        with self._lock:
            self._seen.append(seen)
            struck = [rule.fault for rule in self._rules if rule.strikes(seen.method, seen.path, target)]
            return functools.reduce(operator.or_, struck, HONEST)

    @property
    def is_watched(self) -> bool:
        """Whether anybody wants to be told how far requests have come."""
        return self._watcher is not None

    def reached(self, moment: Moment, seen: Seen) -> None:
        """Tell the one who watches how far a request has come."""
        watcher = self._watcher
        if watcher is not None:
            watcher(moment, seen)

    def carry_out(self, seen: Seen, listing: Listing | None) -> Reply:
        """Do what a request asks for, honestly but for the way of listing."""
        with self._lock:
            try:
                if seen.path == TOKEN_PATH:
                    return self._issue(seen)
                self._check_token(seen)
                return self._once(seen) if self.idempotent else self._route(seen, listing)
            except RefusedError as refused:
                challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'} if refused.status == 401 else {}
                return _json(refused.status, refused.body, challenge)

    def _check_token(self, seen: Seen) -> None:
        scheme, _, token = seen.headers.get("authorization", "").partition(" ")
        if self._tokens is not None and not (scheme.lower() == "bearer" and token in self._tokens):
            raise RefusedError(401, "invalid_token")

    def _issue(self, seen: Seen) -> Reply:
        form = dict(parse_qsl(seen.body.decode()))
        client_id, secret = form.get("client_id", ""), form.get("client_secret", "")
        scheme, _, value = seen.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            client_id, _, secret = base64.b64decode(value).decode().partition(":")
            client_id, secret = unquote_plus(client_id), unquote_plus(secret)
        known, expires_in = self._clients.get(client_id, (None, 0))
        if known is None or known != secret:
            return _json(401, {"error": "invalid_client"}, {"WWW-Authenticate": "Basic"})
        if form.get("grant_type") != "client_credentials":
            return _json(400, {"error": "unsupported_grant_type"})
        token = f"canary-{self._random.getrandbits(128):032x}"
        self._tokens = {*(self._tokens or ()), token}
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": expires_in}
        return _json(200, answer, {"Cache-Control": "no-store"})

    def _once(self, seen: Seen) -> Reply:
        key = seen.headers.get("idempotency-key")
        if key is None or seen.method in READING:
            return self._route(seen, None)
        if key not in self._answered:
            self._answered[key] = (seen.body, self._route(seen, None))
            return self._answered[key][1]
        body, reply = self._answered[key]
        if body != seen.body:
            raise RefusedError(422, "idempotency_key_reused")
        return Reply(reply.status, reply.body, {**reply.headers, "Idempotency-Replayed": "true"})

    def _route(self, seen: Seen, listing: Listing | None) -> Reply:
        path = seen.path.strip("/")
        if path == "batch" and self.batching is not None:
            return carried_out(self.batching, seen, self._inner, undone=self._undone)
        if path in self._collections:
            return self._on_collection(self._collections[path], seen, listing)
        head, _, tail = path.rpartition("/")
        if head in self._collections:
            return self._on_record(self._collections[head], unquote(tail), seen)
        raise RefusedError(404, "no_such_path", path=seen.path)

    def _inner(self, seen: Seen) -> Reply:
        """A request that came in a batch."""
        try:
            return self._once(seen) if self.idempotent else self._route(seen, None)
        except RefusedError as refused:
            return _json(refused.status, refused.body)

    def _undone(self) -> Callable[[], None]:
        kept = [(collection, collection.records()) for collection in self._collections.values()]
        applied = len(self._applied)

        def put_back() -> None:
            del self._applied[applied:]
            for collection, records in kept:
                collection.restore(records)

        return put_back

    def _on_collection(self, collection: Collection, seen: Seen, listing: Listing | None) -> Reply:
        if seen.method in {"GET", "HEAD"}:
            page = collection.page(seen.query, listing)
            link = {"Link": f'<{page.next_link}>; rel="next"'} if page.next_link else {}
            total = {"X-Total-Count": str(page.total)} if collection.paging == "link" else {}
            return _json(200, page.body, {**link, **total})
        if seen.method == "POST":
            record_id = collection.create(_fields(seen))
            self._note("create", collection, record_id)
            location = {"Location": f"/{collection.name}/{record_id}"}
            return _record_reply(201, collection, record_id, location)
        raise RefusedError(405, "method_not_allowed")

    def _on_record(self, collection: Collection, record_id: str, seen: Seen) -> Reply:
        if_match = seen.headers.get("if-match")
        if if_match not in {None, "*"} and collection.get(record_id) and if_match != collection.etag(record_id):
            raise RefusedError(412, "precondition_failed", existing=collection.get(record_id))
        is_change = seen.method in {"PATCH", "PUT", "DELETE"}
        if collection.needs_if_match and is_change and if_match is None and collection.get(record_id):
            raise RefusedError(428, "precondition_required")
        match seen.method:
            case "GET" | "HEAD":
                collection.get(record_id)
                return _record_reply(200, collection, record_id)
            case "PATCH" | "PUT":
                there = collection.change(record_id, _changed(seen, collection, record_id), whole=True)
                self._note("update" if there else "create", collection, record_id)
                return _record_reply(200 if there else 201, collection, record_id)
            case "DELETE" if collection.is_referred_to(record_id):
                raise RefusedError(409, "referred_to", id=record_id)
            case "DELETE" if collection.deletes_later:
                collection.get(record_id)
                collection.leaving.add(record_id)
                return Reply(202)
            case "DELETE":
                collection.get(record_id)
                self._note("delete", collection, record_id)
                collection.drop(record_id)
                return Reply(204)
        raise RefusedError(405, "method_not_allowed")

    def _note(self, kind: Literal["create", "update", "delete"], collection: Collection, record_id: str) -> None:
        key = collection.get(record_id).get(collection.key)
        self._applied.append(Applied(kind, collection.name, key, record_id))


def _json(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})


def _record_reply(
    status: int, collection: Collection, record_id: str, headers: Mapping[str, str] | None = None
) -> Reply:
    return _json(status, collection.get(record_id), {"ETag": collection.etag(record_id), **(headers or {})})


def _changed(seen: Seen, collection: Collection, record_id: str) -> dict[str, Any]:
    """The whole record as a PATCH or PUT wants it."""
    if seen.method == "PUT":
        return _fields(seen)
    before = {name: value for name, value in collection.get(record_id).items() if name != collection.id_field}
    try:
        return patched(before, seen.json(), seen.headers.get("content-type", ""))
    except UnfitPatchError as unfit:
        raise RefusedError(422, "unfit_patch", reason=str(unfit)) from None
    except ValueError:
        raise RefusedError(400, "not_json") from None


def _fields(seen: Seen) -> dict[str, Any]:
    try:
        value = seen.json()
    except ValueError:
        raise RefusedError(400, "not_json") from None
    if not isinstance(value, dict):
        raise RefusedError(422, "not_an_object")
    return value
