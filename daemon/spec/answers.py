"""What the requests of one job must agree on: rules for answers that could come, and PUTs that lose nothing."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from .request import Then

_Path = tuple[str | int, ...]
_Finding = tuple[_Path, str, str | None]

_ANY = frozenset({Then.RETRY, Then.SUCCESS, Then.REFRESH_AUTH, Then.FAIL})
_ONE = _ANY | {Then.SKIP, Then.REJECT}
_PLACES: Final[Mapping[tuple[str, ...], frozenset[Then]]] = {
    ("source",): _ANY | {Then.GONE},
    ("source", "read"): _ANY | {Then.GONE},
    ("for_each",): _ANY | {Then.GONE},
    ("for_each", "read"): _ANY | {Then.GONE},
    ("for_each", "for_each"): _ANY | {Then.GONE},
    ("for_each", "for_each", "read"): _ANY | {Then.GONE},
    ("target", "list"): _ANY | {Then.GONE},
    ("target", "lookup"): _ONE | {Then.GONE},
    ("target", "get"): _ONE | {Then.GONE},
    ("target", "create"): _ONE | {Then.EXISTS},
    ("target", "update"): _ONE | {Then.GONE},
    ("target", "delete"): _ONE | {Then.GONE},
    **{("target", kind, "batch"): _ANY | {Then.REJECT} for kind in ("create", "update", "delete")},
}
"""What an answer to each request may mean."""
_OF_ALL: Final = frozenset({Then.RETRY, Then.REFRESH_AUTH, Then.FAIL})
"""What an answer may mean to whatever request of a connection."""

_INSTEAD: Final[Mapping[Then, str]] = {
    Then.EXISTS: "a record that is in the way is a create's business; write then: reject",
    Then.GONE: "a create names no record that could be gone; write then: reject",
    Then.SKIP: "this request is not about one record; write then: fail, or leave the rule out",
    Then.REJECT: "this request is not about one record; write then: fail",
}


def connection_answer_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield rules of a connection that make no sense for each of its requests: path, message, cure."""
    for name, connection in _items(tree.get("connections")):
        rules = _at(connection, ("on_response",))
        for number, rule in enumerate(rules if isinstance(rules, list) else ()):
            then = rule.get("then") if isinstance(rule, dict) else None
            if then in set(Then) - _OF_ALL:
                path: _Path = ("connections", name, "on_response", number, "then")
                cure = f"known here: {', '.join(sorted(_OF_ALL))}; other words belong to on_response of a request"
                yield path, f"'{then}' depends on the request, and this rule is for all of a connection", cure


def answer_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield rules that make no sense for their request: path, message, cure."""
    for job, block in _jobs(tree):
        for place, senses in _PLACES.items():
            rules = _at(block, (*place, "on_response"))
            for number, rule in enumerate(rules if isinstance(rules, list) else ()):
                then = rule.get("then") if isinstance(rule, dict) else None
                path: _Path = ("jobs", job, *place, "on_response", number, "then")
                if then in set(Then) - senses:
                    yield path, f"an answer to {place[-1]} cannot mean '{then}'", _INSTEAD[Then(then)]
                elif then == Then.EXISTS and _at(block, ("target", "lookup")) is None:
                    cure = "declare target.lookup, or write then: reject"
                    yield path, "the record that exists could not be found: there is no target.lookup", cure


def replace_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield updates by PUT that would clear what the job does not map: path, message, cure."""
    for job, block in _jobs(tree):
        update = _at(block, ("target", "update"))
        if not isinstance(update, dict):
            continue
        path = ("jobs", job, "target", "update")
        if update.get("replace") is True:
            yield from _replacing(path, update, block)
        elif update.get("method") == "PUT" and "body" not in update:
            cure = "say replace: true (read, merge, put), or body: changed where its PUT sets only what it is sent"
            yield (*path, "method"), "a PUT of the document alone clears every field that the job does not map", cure


def _replacing(path: _Path, update: Mapping[str, Any], job: Mapping[str, Any]) -> Iterator[_Finding]:
    body = update.get("body")
    if body == "changed":
        cure = "leave body out; or write method: PUT in place of replace where its PUT sets only what it is sent"
        yield (*path, "body"), "a PUT of only what changed clears everything else", cure
    elif body == "document":
        once = [name for name, field in _items(job.get("map")) if isinstance(field, dict) and field.get("set_once")]
        if once:
            cure = "leave body out and declare target.get, so that the target's own value is kept"
            yield (*path, "body"), f"a PUT of the document alone clears '{once[0]}', which is set once", cure
    elif not any(_at(job, ("target", name)) for name in ("get", "lookup")):
        cure = "declare target.get; or write body: document if the document is the whole record"
        message = "a PUT of the whole record must first read what the job does not map, and nothing says how"
        yield (*path, "replace"), message, cure


def _jobs(tree: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from ((name, job) for name, job in _items(tree.get("jobs")) if isinstance(job, dict))


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    yield from value.items() if isinstance(value, dict) else ()


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
