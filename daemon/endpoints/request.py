"""The job file's request grammar, compiled once and rendered for each call."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from daemon.errors import RefusedError
from daemon.spec import Method, Request, compile_path, compile_template
from daemon.sync.canonical import readable
from daemon.sync.change import Change
from daemon.values import MISSING, Json

from .call import Call
from .envelope import Path, encode
from .rules import Rules

_SURE = frozenset({str, int, bool, type(None)})
"""Of a value of one of these, nothing has to be looked at."""
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


class RequestTemplate:
    """One request of a job. Threads may share it."""

    def __init__(
        self, request: Request, *, method: Method, writes: bool = False, creates: bool = False, gets: bool = False
    ) -> None:
        self.request = request
        self._method = request.method or ("PUT" if request.replace else method)
        self._uri = compile_path(request.uri)
        self._params = compile_template(request.params)
        self._headers = {name: compile_template(value) for name, value in request.headers.items()}
        is_named = isinstance(request.body, str) and request.body in {"document", "changed"}
        self._body = None if is_named else compile_template(request.body)
        self.has_own_body = "body" in request.model_fields_set
        """Whether the job says what it sends; a read or a delete sends nothing else."""
        self._writes = writes
        self._creates = creates
        self._gets = gets
        self._ok = frozenset(request.ok)
        self._rules = Rules(request.on_response, request.uri.partition("?")[0]) if request.on_response else None
        self.records = Path(request.records) if request.records else None
        self.id = Path(request.id) if request.id else None
        self.version_header, self.version_path = _version(request.version)

    @property
    def repeatable(self) -> bool:
        """Whether carrying it out twice is the same as once (RFC 9110 9.2.2).

        So is a search by POST, and a PATCH that only sets fields.
        """
        if self._method in _IDEMPOTENT or not self._writes:
            return True
        return self._method == "PATCH" and self._body is None

    @property
    def names(self) -> frozenset[str]:
        """The top-level names that its address, query, headers and own body read."""
        headers = (template.names for template in self._headers.values())
        body = self._body.names if self._body is not None else frozenset[str]()
        return self._uri.names.union(self._params.names, body, *headers)

    @property
    def judging(self) -> Call:
        """What its answers are judged by, whatever it is about."""
        return Call(
            method=self._method,
            uri="",
            repeatable=self.repeatable,
            writes=self._writes,
            creates=self._creates,
            gets=self._gets,
            ok=self._ok,
            rules=self._rules,
        )

    def render(
        self,
        scope: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        version: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Call:
        """Return the call for these values; `body` has those for its body, None sends none.

        Raises RefusedError, naming the template, when it cannot be made.
        """
        try:
            rendered = {name: template.render(scope) for name, template in self._headers.items()}
            params: Any = self._params.render(scope) or {}
            headers = {name: str(value) for name, value in rendered.items() if _given(value)}
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            if self.request.if_match and version is not None:
                headers["If-Match"] = version
            header = self.request.idempotency_header
            return Call(
                method=self._method,
                uri=self._uri.render(scope),
                params={name: value for name, value in params.items() if _given(value)},
                headers=headers,
                data=self._data(body) if body is not None else None,
                idempotency=(header, idempotency_key) if header and idempotency_key else None,
                repeatable=self.repeatable,
                writes=self._writes,
                creates=self._creates,
                gets=self._gets,
                ok=self._ok,
                rules=self._rules,
            )
        except ValueError as error:
            where = self.request.uri.partition("?")[0]
            raise RefusedError(f"the request {self._method} {where} cannot be made: {error}") from error

    def _data(self, scope: Mapping[str, Any]) -> bytes:
        """Return the body, encoded here so that every digit of a number stays as the source wrote it."""
        value = scope[self.request.body] if self._body is None else self._body.render(scope)
        check_numbers(value)
        return encode(value)


def scope_of(change: Change) -> dict[str, Any]:
    """Return what a request for a change may read."""
    return {
        "key": readable(change.key),
        "document": change.document if change.document is not None else {},
        "changed": change.changed,
        "target": {**(change.before or {}), "id": change.target_id},
        "idempotency_key": change.idempotency_key,
    }


def check_numbers(value: Json) -> None:
    """Refuse what JSON cannot say. The encoder would write null for it, which clears a field, or no JSON at all."""
    match value:
        case Mapping():
            _check_parts(value.values())
        case list() | tuple():
            _check_parts(value)
        case float() | Decimal() if not Decimal(value).is_finite():
            raise ValueError(f"JSON has no number {value}")


def _check_parts(parts: Iterable[Json]) -> None:
    for part in parts:
        if type(part) not in _SURE:
            check_numbers(part)


def _given(value: Json) -> bool:
    return value is not None and value is not MISSING


def _version(where: str | None) -> tuple[str | None, Path | None]:
    if where is None:
        return None, None
    if where.lower().startswith("header:"):
        return where.partition(":")[2].strip(), None
    return None, Path(where)
