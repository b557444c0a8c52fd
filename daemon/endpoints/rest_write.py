"""A job's target over REST: list, look up, get, create, update, delete."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import cruds
from daemon.errors import ConfigError, EndpointError, GoneError, MalformedError, RefusedError
from daemon.spec import RequestTarget, WriteRequest
from daemon.sync.canonical import decode_object, readable
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.explanation import Sending
from daemon.sync.ports import Accepted, Answer, TargetRecord, WholeRefusedError, Written
from daemon.values import MISSING, Document

from .call import Call
from .envelope import Body, Path
from .exchange import Exchange
from .request import RequestTemplate, scope_of
from .rest_batch import Batches, Single
from .rest_read import RestList
from .showing import shown
from .texts import entity_tag, id_text, match_text


class RestTarget:
    """The REST target of one job. Its writing methods may be called by several threads."""

    def __init__(self, exchange: Exchange, target: RequestTarget) -> None:
        self._exchange = exchange
        self._id = Path(target.id)
        self._match = Path(target.match) if target.match else None
        self._list = _list(exchange, target.list, "list")
        self._lookup = _list(exchange, target.lookup, "look-up")
        self._list_version = Path(target.list.version) if target.list and target.list.version else None
        self._lookup_version = Path(target.lookup.version) if target.lookup and target.lookup.version else None
        self._get = RequestTemplate(target.get, method="GET", gets=True) if target.get else None
        self._create = (
            RequestTemplate(target.create, method="POST", writes=True, creates=True) if target.create else None
        )
        self._update = RequestTemplate(target.update, method="PATCH", writes=True) if target.update else None
        self._delete = RequestTemplate(target.delete, method="DELETE", writes=True) if target.delete else None
        self._templates = {Kind.CREATE: self._create, Kind.UPDATE: self._update, Kind.DELETE: self._delete}
        self._batches = {kind: one for kind in Kind if (one := self._batch(kind)) is not None}

    @property
    def can_list(self) -> bool:
        """Whether the job declares `list`."""
        return self._list is not None

    @property
    def can_lookup(self) -> bool:
        """Whether the job declares `lookup`."""
        return self._lookup is not None

    @property
    def can_get(self) -> bool:
        """Whether the job declares `get`."""
        return self._get is not None

    @property
    def replaces(self) -> bool:
        """Whether `update` puts the whole record, merged into what the target holds."""
        return self._update is not None and self._update.request.merges

    @property
    def has_idempotency(self) -> bool:
        """Whether `create` carries an idempotency key, or repeats by its method; and its batch, where it has one."""
        if self._create is None:
            return False
        batch = self._batches.get(Kind.CREATE)
        is_single = self._create.request.idempotency_header is not None or self._create.repeatable
        return (is_single or not self._create.request.uri) and (batch is None or batch.repeats)

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        """Yield the target's records page by page, then one End."""
        if self._list is None:
            raise ConfigError("the job declares no target.list")
        for step in self._list.pages({}):
            if isinstance(step, End):
                yield step
            else:
                yield tuple(self._record(raw, self._list_version) for raw in step.content.records)

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        """Return the records whose match field equals `key`."""
        if self._lookup is None:
            raise ConfigError("the job declares no target.lookup")
        if not document and "document" in self._lookup.names:
            # Without its filter the look-up might show anything but the record, and prove nothing.
            raise RefusedError("target.lookup asks for a field of the document, and a delete has none: write {{ key }}")
        found: list[TargetRecord] = []
        pages = self._lookup.pages({"key": readable(key), "document": document})
        try:
            for step in pages:
                if not isinstance(step, End):
                    found += (self._record(raw, self._lookup_version) for raw in step.content.records)
        except GoneError as error:
            # A rule of the job says so; of a list that was begun it would say that there is no more to come.
            if found:
                raise MalformedError(f"{error}, in the middle of its pages", status=error.status) from error
        return tuple(record for record in found if record.match == key)

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        """Return the record with this id; None when the answer is 404 or 410, or an empty list."""
        if self._get is None:
            raise ConfigError("the job declares no target.get")
        scope = {"key": readable(key), "document": document, "target": {"id": target_id}}
        try:
            response = self._exchange.send(self._get.render(scope, body=scope if self._get.has_own_body else None))
        except GoneError:
            return None
        raw = Body(response, f"{self._exchange.name}: get").record(self._get.records)
        if raw is None:
            return None
        record = self._record(raw, self._get.version_path)
        header = self._get.version_header
        return record if header is None else replace(record, version=response.headers.get(header))

    def batch_size(self, kind: Kind) -> int:
        """Return how many changes of this kind go into one request, as far as the system takes so many."""
        return self._batches[kind].size if kind in self._batches else 1

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        """Carry out several changes of one kind."""
        if changes[0].kind in self._batches:
            return self._batches[changes[0].kind].write(changes)
        (change,) = changes
        return [self._carried_out(change)]

    def create(self, change: Change) -> Written:
        """Create the record and return the id that the answer carries."""
        answer = self._carried_out(change)
        return answer if isinstance(answer, Written) else Written(None)

    def update(self, change: Change) -> Written:
        """Set the document, or the fields that differ, on the target's record."""
        answer = self._carried_out(change)
        return answer if isinstance(answer, Written) else Written(change.target_id)

    def delete(self, change: Change) -> Accepted | None:
        """Remove the record; one that is not there is a success, and 202 a promise."""
        answer = self._carried_out(change)
        return answer if isinstance(answer, Accepted) else None

    def shown(self, change: Change) -> tuple[Sending, ...]:
        """Return the requests that would carry a change out, in order, as people may see them; nothing is sent.

        Of a batch, the request for this change alone. Credentials are not in them. Raises RefusedError when a request
        cannot be made.
        """
        if change.kind in self._batches:
            return (self._batches[change.kind].shown(change),)
        template = self._template(change.kind)
        call = _call(template, change, sends_body=change.kind is not Kind.DELETE)
        return (shown(call, template.request, self._exchange),)

    def _template(self, kind: Kind) -> RequestTemplate:
        template = self._templates[kind]
        if template is None:
            raise RefusedError(f"the job declares no target.{kind}")
        return template

    def _batch(self, kind: Kind) -> Batches | None:
        declared = self._templates[kind]
        request = declared.request if declared is not None else None
        if declared is None or not isinstance(request, WriteRequest) or request.batch is None:
            return None
        single = Single(declared, self._done, self._id.text)
        return Batches(self._exchange, request.batch, kind, single)

    def _carried_out(self, change: Change) -> Answer:
        if self._template(change.kind).request.uri:
            return self._sent_alone(change)
        try:
            (answer,) = self._batches[change.kind].write([change])
        except WholeRefusedError as whole:
            answer = whole.named.get(0, whole.cause)
        if isinstance(answer, EndpointError):
            raise answer
        return answer

    def _sent_alone(self, change: Change) -> Answer:
        template = self._template(change.kind)
        if change.kind is not Kind.DELETE:
            return self._done(change, self._exchange.send(_call(template, change, sends_body=True)))
        with suppress(GoneError):
            return self._done(change, self._exchange.send(_call(template, change, sends_body=template.has_own_body)))
        return None

    def _done(self, change: Change, response: cruds.Response) -> Answer:
        """Return what an answer says that is a success."""
        template = self._template(change.kind)
        if change.kind is Kind.CREATE:
            return self._written(response, template)
        if change.kind is Kind.UPDATE:
            return Written(self._renamed(response) or change.target_id, _version_of(response, template))
        return Accepted() if response.status == HTTPStatus.ACCEPTED else None

    def _renamed(self, response: cruds.Response) -> str | None:
        """Return the id that the answer to an update carries where the job says that it does."""
        if self._update is None or self._update.id is None or not response.body.strip():
            return None
        found = Body(response, f"{self._exchange.name}: update").find(self._update.id)
        return None if found is None else id_text(found)

    def _written(self, response: cruds.Response, template: RequestTemplate) -> Written:
        version = _version_of(response, template)
        if not response.body.strip():
            return Written(None, version)
        path = template.id or self._id
        body = Body(response, f"{self._exchange.name}: create")
        found = body.find(path)
        return Written(None if found is None else id_text(found), version)

    def _record(self, raw: bytes, version: Path | None) -> TargetRecord:
        try:
            document = decode_object(raw)
        except ValueError as error:
            raise MalformedError(f"{self._exchange.name}: a record of the target is unreadable: {error}") from error
        target_id = self._id.search(document)
        if target_id is MISSING or target_id is None:
            names = ", ".join(list(document)[:8])
            raise MalformedError(
                f"{self._exchange.name}: a record of the target has no {self._id.text!r}, which target.id names; "
                f"it has {names}"
            )
        found = version.search(document) if version is not None else None
        return TargetRecord(
            id=id_text(target_id),
            match=match_text(self._match.search(document)) if self._match is not None else None,
            document=document,
            version=None if found is None or found is MISSING else entity_tag(found),
        )


def _call(template: RequestTemplate, change: Change, *, sends_body: bool) -> Call:
    scope = scope_of(change)
    # What is left out of an update's body may still be needed in its address.
    body = {**scope, "document": change.sent} if sends_body else None
    return template.render(scope, idempotency_key=change.idempotency_key, version=change.version, body=body)


def _list(exchange: Exchange, request: Any, what: str) -> RestList | None:
    return None if request is None else RestList(exchange, request, what=f"{what} {request.uri.partition('?')[0]}")


def _version_of(response: cruds.Response, template: RequestTemplate) -> str | None:
    if template.version_header is not None:
        return response.headers.get(template.version_header)
    if template.version_path is None or not response.body.strip():
        return None
    found = Body(response, "version").find(template.version_path)
    return None if found is None else entity_tag(found)
