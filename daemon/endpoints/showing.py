"""A request as people may see it: its address, headers and body, with everything that could be a secret left out.

The credentials of a connection are not in a call, since the client adds them. But some APIs take a key in the query or
in a header of their own, and then it stands in the job file as a constant. Constants say nothing of the record in
question, so their values are not shown; what is made from the record is.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from cruds.address import Host
from cruds.exception import AddressError
from daemon.errors import RefusedError
from daemon.spec import Request, compile_template
from daemon.sync.explanation import Sending

from .call import Call
from .exchange import Exchange

T = TypeVar("T")

HIDDEN = "…"
_OWN_HEADERS = frozenset({"content-type", "if-match"})
"""Headers whose values come from us."""


_EXPRESSION = re.compile(r"\s*\{\{[^{}]*\}\}\s*")


def shown(call: Call, request: Request, exchange: Exchange) -> Sending:
    """Return a call that was rendered from this request. Raises RefusedError for an address off the host."""
    path, _, query = call.uri.partition("?")
    pairs = [*_query(query, request.uri.partition("?")[2]), *_params(call.params, request.params)]
    try:
        address = Host.parse(exchange.client.host, exchange.client.allowed_hosts).join(path)
    except AddressError as error:
        raise RefusedError(exchange.blot(f"{exchange.name}: {call.method}: {error}")) from error
    headers = {name: _header(name, value, request.headers) for name, value in call.headers.items()}
    if call.idempotency is not None:
        headers[call.idempotency[0]] = call.idempotency[1]
    return Sending(
        method=call.method,
        url=exchange.blot("?".join([address, "&".join(pairs)] if pairs else [address])),
        headers={name: exchange.blot(value) for name, value in headers.items()},
        body=exchange.blot(bytes(call.data).decode()) if call.data is not None else "",
    )


def _query(rendered: str, declared: str) -> Iterator[str]:
    """Yield the pairs of the query that stands in the uri; all are hidden where they cannot be told apart."""
    made, told = rendered.split("&"), declared.split("&")
    if len(made) != len(told):
        told = [""] * len(made)
    for pair, template in zip(made, told, strict=True):
        name, equals, _ = pair.partition("=")
        if name:
            yield pair if _is_made(template.partition("=")[2]) else f"{name}{equals}{HIDDEN if equals else ''}"


def _params(rendered: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[str]:
    for name, value in rendered.items():
        yield urlencode({name: value}, doseq=True) if _is_made(declared.get(name)) else f"{name}={HIDDEN}"


def _header(name: str, value: str, declared: Mapping[str, str]) -> str:
    return value if name.lower() in _OWN_HEADERS or _is_made(declared.get(name)) else HIDDEN


def _is_made(template: Any) -> bool:
    """Say whether a template is one expression over what the change brings, without a constant beside it."""
    if isinstance(template, list):
        return all(map(_is_made, template))
    if not isinstance(template, str) or not _EXPRESSION.fullmatch(template):
        return False
    return bool(compile_template(template.strip()).names)


def blotted(value: T, blot: Callable[[str], str]) -> T:
    """Return a value of any depth, its texts without what is secret; the names of fields stay as they are."""
    changed: Any = value
    if type(changed) is str:
        changed = blot(changed)
    elif isinstance(value, Mapping):
        changed = {name: blotted(part, blot) for name, part in value.items()}
    elif isinstance(value, (list, tuple)):
        changed = type(value)(blotted(part, blot) for part in value)
    elif is_dataclass(value) and not isinstance(value, type):
        changed = replace(value, **{one.name: blotted(getattr(value, one.name), blot) for one in fields(value)})
    return cast("T", changed)
