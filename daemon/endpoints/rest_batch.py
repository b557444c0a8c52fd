"""Several changes of one kind in one request, and what its answer says of each."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from http import HTTPStatus
from typing import Any

import cruds
from cruds import exception as http
from daemon.errors import (
    AuthError,
    ConflictError,
    EndpointError,
    GoneError,
    PutOffError,
    RefusedError,
    StaleError,
    UnavailableError,
    UnknownError,
)
from daemon.spec import Batch, Request, compile_template
from daemon.sync.canonical import readable
from daemon.sync.change import Change, Kind
from daemon.sync.explanation import Sending
from daemon.sync.ports import Accepted, Answer, WholeRefusedError, Written
from daemon.values import MISSING, Json

from .call import Call
from .envelope import Body, Path, encode
from .exchange import Exchange
from .request import RequestTemplate, scope_of
from .results import Result, Results
from .showing import shown
from .texts import entity_tag, id_text

_UNREAD = frozenset(
    {
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.LENGTH_REQUIRED,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
)
"""By these a system refuses a request before it looks at what is in it."""

Done = Callable[[Change, cruds.Response], Answer]
"""Reads the answer to a single request that succeeded."""


@dataclass(frozen=True, slots=True)
class Single:
    """What a request for one change is, and how its answer is read: results are judged by the same rules."""

    request: RequestTemplate
    done: Done
    id_path: str
    """Where a record of the target carries its id."""


@dataclass(frozen=True, slots=True)
class _Item:
    change: Change
    value: Json
    """What stands for it in the request."""


class Batches:
    """The requests for several changes of one kind. Shared by threads."""

    def __init__(self, exchange: Exchange, batch: Batch, kind: Kind, single: Single) -> None:
        self._exchange, self._batch, self._kind, self._single = exchange, batch, kind, single
        whole = Request(
            uri=batch.uri,
            method=batch.method,
            params=batch.params,
            headers=batch.headers,
            body=batch.body,
            on_response=batch.on_response,
            idempotency_header=batch.idempotency_header,
        )
        creates = kind is Kind.CREATE
        self._whole = RequestTemplate(whole, method=batch.method, writes=True, creates=creates)
        self._item = compile_template(batch.item) if batch.item is not None else None
        self._repeatable = not creates or batch.repeats
        """Updates and deletes may always be repeated: that is what the core relies on."""
        self._judging = replace(single.request.judging, repeatable=self._repeatable)
        self._results = Results(batch)
        self._failures = Path(batch.failures) if batch.failures else None
        self._id = Path(batch.item_id) if batch.item_id else None
        self._version = Path(batch.item_version) if batch.item_version else None
        self._size = batch.size
        self._lock = threading.Lock()

    @property
    def repeats(self) -> bool:
        """Whether carrying a batch out twice is the same as once."""
        return self._repeatable

    @property
    def size(self) -> int:
        """How many changes go into one request; smaller from when one was too large for the system."""
        return self._size

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        """Carry out changes in one request; return what became of each, in order, or raise as `Target.write` does."""
        items: list[_Item] = []
        unfit: dict[int, RefusedError] = {}
        for place, change in enumerate(changes):
            try:
                items.append(self._made(change))
            except RefusedError as error:
                unfit[place] = error
        if unfit:
            raise WholeRefusedError(next(iter(unfit.values())), named=unfit)
        try:
            response = self._exchange.send(self._call(items))
        except (RefusedError, ConflictError, StaleError) as error:
            raise self._refused(error, items) from error
        return self._read(response, items)

    def shown(self, change: Change) -> Sending:
        """Return the request as people may see it, with this change alone in it."""
        return shown(self._call([self._made(change)]), self._whole.request, self._exchange)

    # ---- what is sent ----

    def _made(self, change: Change) -> _Item:
        """Return what stands for a change; raise RefusedError when it cannot be put into any request."""
        try:
            if self._item is not None:
                value = self._item.render(_item_scope(change))
            else:
                value = {"key": readable(change.key)}
                value |= {} if change.target_id is None else {"id": change.target_id}
                value |= {} if change.document is None else {"document": change.sent, "changed": change.changed}
        except ValueError as error:
            raise RefusedError(f"its item in the batch {self._where} cannot be made: {error}") from error
        if value is MISSING:
            raise RefusedError(f"its item in the batch {self._where} cannot be made: it is missing")
        return _Item(change, value)

    def _call(self, items: Sequence[_Item]) -> Call:
        scope: dict[str, Any] = {
            "items": [one.value for one in items],
            "documents": [one.change.sent for one in items],
            "keys": [readable(one.change.key) for one in items],
            "ids": [one.change.target_id for one in items],
        }
        key = None
        if self._batch.idempotency_header is not None:
            keys = "\n".join(one.change.idempotency_key for one in items)
            key = blake2b(keys.encode(), digest_size=16).hexdigest()
        body = scope if self._batch.body is not None else None
        return replace(self._whole.render(scope, idempotency_key=key, body=body), repeatable=self._repeatable)

    @property
    def _where(self) -> str:
        return f"{self._batch.method} {self._batch.uri.partition('?')[0]}"

    # ---- what is answered ----

    def _refused(self, error: EndpointError, items: Sequence[_Item]) -> WholeRefusedError | EndpointError:
        """Return what a refusal of the whole means for the changes in it."""
        if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            # Its address names no record: so it says of none that it is gone.
            error = RefusedError(str(error), status=error.status, excerpt=error.excerpt)
        if error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            with self._lock:
                self._size = max(1, min(self._size, len(items) // 2))
        is_untouched = error.status is None or error.status in _UNREAD or self._batch.atomic
        if len(items) > 1 and not (is_untouched or self._repeatable):
            message = f"{error}; some of the {len(items)} records of this batch may have been made"
            return UnknownError(message, status=error.status, excerpt=error.excerpt)
        may_be_done = not is_untouched and (error.status or 0) >= HTTPStatus.INTERNAL_SERVER_ERROR
        return WholeRefusedError(error, named=self._named(error, items), may_be_done=may_be_done)

    def _named(self, error: EndpointError, items: Sequence[_Item]) -> Mapping[int, Answer]:
        """Return what the refusal says of those it names. What it calls a success was not carried out with the rest."""
        answer = error.__cause__.last_response if isinstance(error.__cause__, http.HTTPStatusError) else None
        if self._failures is None or answer is None:
            return {}
        try:
            found = self._results.named(Body(answer, self._where).find(self._failures))
        except EndpointError:
            return {}
        named: dict[int, Answer] = {}
        for place, result in found.items():
            if place < len(items):
                said = self._judged(items[place].change, self._results.open(result), answer)
                named[place] = error if isinstance(said, (Written, Accepted)) else said
        return named

    def _read(self, response: cruds.Response, items: Sequence[_Item]) -> Sequence[Answer]:
        changes = [one.change for one in items]
        if self._batch.matching is None:
            # All or nothing, and it was not nothing.
            return [self._single.done(change, replace(response, body=b"")) for change in changes]
        body = Body(response, f"{self._exchange.name}: {self._where}")
        found = self._results.of(body, changes, id_path=self._single.id_path, warn=self._exchange.warn)
        return [
            one if isinstance(one, UnknownError) else self._said(change, self._results.open(one), response, changes)
            for change, one in zip(changes, found, strict=True)
        ]

    def _said(self, change: Change, result: Result, whole: cruds.Response, changes: Sequence[Change]) -> Answer:
        """Return what a result says. What is wrong with the moment or the token is left to a request of its own."""
        answer = self._judged(change, result, whole)
        if len(changes) == 1:
            return answer
        if isinstance(answer, AuthError) or (isinstance(answer, UnavailableError) and not answer.may_be_done):
            return PutOffError(str(answer), status=answer.status, excerpt=answer.excerpt)
        return answer

    def _judged(self, change: Change, result: Result, whole: cruds.Response) -> Answer:
        """Return what a result says of its change, as the answer to its own request would."""
        answer = replace(whole, status=result.status, headers={}, body=encode(result.body))
        error = self._exchange.judged(self._judging, answer, is_ok=result.is_ok, said=result.words)
        if error is not None:
            return None if isinstance(error, GoneError) and change.kind is Kind.DELETE else error
        if result.is_ok and result.error is not None:
            said = f"{self._exchange.name}: {self._where}: the result for this change is a success and an error: "
            excerpt = self._exchange.excerpt(answer)
            return UnknownError(self._exchange.blot(said + result.words), status=result.status, excerpt=excerpt)
        try:
            return self._with_own(self._single.done(change, answer), result)
        except EndpointError as unclear:
            return unclear

    def _with_own(self, answer: Answer, result: Result) -> Answer:
        """Return the answer with the id and version that stand in the result."""
        if not isinstance(answer, Written):
            return answer
        found = self._id.search(result.value) if self._id is not None else None
        if found is not None and found is not MISSING:
            answer = replace(answer, id=id_text(found))
        version = self._version.search(result.value) if self._version is not None else None
        if version is not None and version is not MISSING:
            answer = replace(answer, version=entity_tag(version))
        return answer


def _item_scope(change: Change) -> Mapping[str, Any]:
    scope = {**scope_of(change), "document": change.sent}
    return scope if change.version is None else {**scope, "version": change.version}
