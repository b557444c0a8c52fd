"""A job's target in an interface: a model's methods list, look up, get, create, update and delete."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from daemon.errors import ConfigError, EndpointError, GoneError, MalformedError, RefusedError
from daemon.spec import CallTarget as Declared
from daemon.spec import ListCall, MethodCall
from daemon.sync.canonical import decode_object, key_text, readable
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.explanation import Sending
from daemon.sync.ports import Accepted, TargetRecord, Written
from daemon.values import MISSING, Document, Json

from .call_read import CallList
from .envelope import Path, encode
from .models import MethodTemplate, Model, scope_of
from .request import check_numbers
from .texts import id_text


class CallTarget:
    """The interface target of one job. Its writing methods may be called by several threads."""

    def __init__(self, model: Model, target: Declared) -> None:
        self._name = f"{model.exchange.name}: model {model.name}"
        self._id = Path(target.id)
        self._match = Path(target.match) if target.match else None
        self._list = _list(model, target.list)
        self._lookup = _list(model, target.lookup)
        self._get = MethodTemplate(model, target.get, gets=True) if target.get else None
        self._writes: Mapping[Kind, MethodTemplate | None] = {
            Kind.CREATE: _write(model, target.create, creates=True),
            Kind.UPDATE: _write(model, target.update),
            Kind.DELETE: _write(model, target.delete),
        }

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
        update = self._writes[Kind.UPDATE]
        return update is not None and update.call.replace

    @property
    def has_idempotency(self) -> bool:
        """Whether `create` is given a key by which it may be repeated."""
        create = self._writes[Kind.CREATE]
        return create is not None and "idempotency_key" in create.names

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        """Yield the target's records page by page, then one End."""
        if self._list is None:
            raise ConfigError("the job declares no target.list")
        for step in self._list.pages({}):
            yield step if isinstance(step, End) else tuple(map(self._record, step[1]))

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        """Return the records whose match field equals `key`."""
        if self._lookup is None:
            raise ConfigError("the job declares no target.lookup")
        if not document and "document" in self._lookup.names:
            # Without its filter the look-up might show anything but the record, and prove nothing.
            raise RefusedError("target.lookup asks for a field of the document, and a delete has none: take {{ key }}")
        pages = self._lookup.pages({"key": readable(key), "document": document})
        records = [raw for step in pages if not isinstance(step, End) for raw in step[1]]
        return tuple(record for record in map(self._record, records) if record.match == key)

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        """Return the record with this id; None when the answer is 404 or 410, or the method returns nothing."""
        if self._get is None:
            raise ConfigError("the job declares no target.get")
        scope = {"key": readable(key), "document": document, "target": {"id": target_id}}
        try:
            returned = self._get.make(self._get.arguments(scope))
        except GoneError:
            return None
        found = returned if self._get.records is None else self._get.records.search(returned)
        if found is None or found is MISSING or found == []:
            return None
        if isinstance(found, list) and len(found) == 1:
            found = found[0]
        return self._record(self._encoded(found))

    def batch_size(self, kind: Kind) -> int:
        """Return 1: each change is a call of its own."""
        del kind
        return 1

    def write(self, changes: Sequence[Change]) -> Sequence[Written | Accepted | EndpointError | None]:
        """Carry out the one change of a batch of one."""
        (change,) = changes
        return [{Kind.CREATE: self.create, Kind.UPDATE: self.update, Kind.DELETE: self.delete}[change.kind](change)]

    def create(self, change: Change) -> Written:
        """Create the record and return the id that the method returns."""
        template, returned = self._made(change)
        return Written(self._id_in(returned, template.id or self._id))

    def update(self, change: Change) -> Written:
        """Set the document, or the fields that differ, on the target's record."""
        template, returned = self._made(change)
        renamed = self._id_in(returned, template.id) if template.id is not None else None
        return Written(renamed or change.target_id)

    def delete(self, change: Change) -> Accepted | None:
        """Remove the record; one that is not there is a success."""
        try:
            self._made(change)
        except GoneError:
            return None
        return None

    def shown(self, change: Change) -> tuple[Sending, ...]:
        """Return the call that would carry a change out, for people; nothing is called."""
        template = self._declared(change.kind)
        return (template.shown(template.arguments(scope_of(change))),)

    # ---- below -----------------------------------------------------------------------------------------------------

    def _declared(self, kind: Kind) -> MethodTemplate:
        template = self._writes[kind]
        if template is None:
            raise RefusedError(f"the job declares no target.{kind}")
        return template

    def _made(self, change: Change) -> tuple[MethodTemplate, Any]:
        template = self._declared(change.kind)
        arguments = template.arguments(scope_of(change))
        try:
            check_numbers(arguments)
        except ValueError as error:
            raise RefusedError(f"the call {template.said} cannot be made: {error}") from error
        return template, template.make(arguments)

    def _id_in(self, returned: Any, path: Path) -> str | None:
        """Return the id in what a method returned; what it returned may be the id itself."""
        if isinstance(returned, (str, int)) and not isinstance(returned, bool) and path is self._id:
            return str(returned)
        found = path.search(returned)
        return None if found is None or found is MISSING else id_text(found)

    def _encoded(self, returned: Any) -> bytes:
        try:
            return encode(returned)
        except (TypeError, ValueError, RecursionError) as error:
            raise MalformedError(f"{self._name} returned a record that is no JSON: {error}") from error

    def _record(self, raw: bytes) -> TargetRecord:
        try:
            document = decode_object(raw)
        except ValueError as error:
            raise MalformedError(f"{self._name}: a record of the target is unreadable: {error}") from error
        found = self._id.search(document)
        if found is MISSING or found is None:
            names = ", ".join(list(document)[:8])
            raise MalformedError(
                f"{self._name}: a record has no {self._id.text!r}, which target.id names; it has {names}"
            )
        return TargetRecord(id_text(found), self._match_text(document), document, None)

    def _match_text(self, document: Document) -> str | None:
        value: Json = self._match.search(document) if self._match is not None else None
        try:
            return key_text(None if value is MISSING else value)
        except ValueError:
            return None


def _list(model: Model, call: ListCall | None) -> CallList | None:
    return None if call is None else CallList(model, call)


def _write(model: Model, call: MethodCall | None, *, creates: bool = False) -> MethodTemplate | None:
    return None if call is None else MethodTemplate(model, call, writes=True, creates=creates)
