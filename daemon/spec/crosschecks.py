"""What only the whole of the files can tell: names that must exist, and languages that pydantic does not speak.

Works on plain trees with whatever is wrong in them, so that these problems are told together with the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import jmespath
from jmespath.exceptions import JMESPathError

from .addresses import address_problems
from .alert_rules import alert_problems, recipient_problems
from .answers import answer_problems, connection_answer_problems, replace_problems
from .auth_rules import auth_problems
from .batch import WHOLE, batch_problems
from .expressions import expression_names
from .foreach import for_each_problems, linked_problems, parent_names
from .grammar import suggestion
from .ignored import ignore_problems
from .increments import increment_problems
from .kinds import kind_problems
from .marks import Marks
from .matching import match_problems
from .paging import paging_problems
from .places import Places
from .problems import Path_, Problem
from .schedule import time_problems
from .sql_rules import sql_problems
from .state import state_problems
from .templates import template_names

_RECORD = frozenset({"record"})
_READ = frozenset({"cursor"})
_WRITE: Final[Mapping[str, frozenset[str]]] = {
    "list": frozenset(),
    "lookup": frozenset({"key", "document"}),
    "get": frozenset({"key", "document", "target"}),
    "create": frozenset({"key", "document", "changed", "idempotency_key"}),
    "update": frozenset({"key", "document", "changed", "target", "idempotency_key"}),
    "delete": frozenset({"key", "target", "idempotency_key"}),
}
"""What each request of a target knows: a create has no id yet, a delete no document any more."""
_REQUESTS = tuple(_WRITE)
_STOP = frozenset({"page", "body"})
_RESPONSE = frozenset({"response"})
_ALERT = frozenset({"alert"})
_PARENTS = ("for_each", "for_each.for_each")
_ANSWERS = (
    "source",
    "source.read",
    *(f"{place}{part}" for place in _PARENTS for part in ("", ".read")),
    *(f"target.{name}" for name in _REQUESTS),
)
_BATCHES: Final = {kind: f"jobs.*.target.{kind}.batch" for kind in ("create", "update", "delete")}

_EXPRESSIONS: Final[Places[frozenset[str]]] = Places(
    [
        ("jobs.*.key", _RECORD),
        ("jobs.*.key.*", _RECORD),
        ("jobs.*.where", _RECORD),
        ("jobs.*.map.*", _RECORD),
        ("jobs.*.map.*.from", _RECORD),
        ("jobs.*.source.tombstone", _RECORD),
        ("jobs.*.source.paginate.stop", _STOP),
        *((f"jobs.*.{place}.paginate.stop", _STOP) for place in _PARENTS),
        *((f"jobs.*.target.{name}.paginate.stop", _STOP) for name in _REQUESTS),
        *((f"jobs.*.{place}.on_response.*.when", _RESPONSE) for place in _ANSWERS),
        *((f"{place}.on_response.*.when", _RESPONSE) for place in _BATCHES.values()),
        ("connections.*.on_response.*.when", _RESPONSE),
    ]
)
"""Where bare expressions stand, with the names they may use."""

_REQUEST_PARTS = ("uri", "params", "headers", "body")
_TEMPLATES: Final[tuple[tuple[str, frozenset[str]], ...]] = (
    ("jobs.*.source.read", _READ),
    ("jobs.*.source.params", _READ),
    ("jobs.*.source.headers", _READ),
    *((f"jobs.*.source.read.{part}", _READ) for part in _REQUEST_PARTS),
    ("jobs.*.source.path", _READ),
    ("jobs.*.source.arguments", _READ),
    *((f"jobs.*.target.{name}", known) for name, known in _WRITE.items()),
    *((f"jobs.*.target.{name}.{part}", known) for name, known in _WRITE.items() for part in _REQUEST_PARTS),
    *((f"jobs.*.target.{name}.arguments", known) for name, known in _WRITE.items()),
    ("jobs.*.target.path", frozenset({"run"})),
    *((f"{place}.item", _WRITE[kind] | {"version"}) for kind, place in _BATCHES.items()),
    *(
        (f"{place}.{part}", WHOLE - {"documents"} if kind == "delete" else WHOLE)
        for kind, place in _BATCHES.items()
        for part in _REQUEST_PARTS
    ),
    ("connections.*.headers", frozenset()),
    ("alerts.*.body", _ALERT),
    ("alerts.*.path", _ALERT),
)
"""Where templates stand, with the names they may use."""
_IN_TEMPLATES: Final = Places((place, (known, place.endswith((".read", *_REQUESTS)))) for place, known in _TEMPLATES)
"""A request's block has parts of its own in the table; only its short form is a template itself."""

_JMESPATHS: Final = Places(
    (place, None)
    for place in (
        "jobs.*.target.id",
        "jobs.*.source.incremental.next",
        *(f"jobs.*.{answer}.{name}" for answer in _ANSWERS for name in ("records", "id", "version")),
        *(f"jobs.*.{answer}.paginate.{name}" for answer in _ANSWERS for name in ("next", "total", "has_more")),
        *(f"{place}.{name}" for place in _BATCHES.values() for name in ("results", "failures")),
        *(
            f"{place}.item_{name}"
            for place in _BATCHES.values()
            for name in ("key", "status", "error", "body", "id", "version")
        ),
    )
)
_BODIES: Final = Places(
    (
        ("jobs.*.source.read.body", _READ),
        *((f"jobs.*.target.{name}.body", known) for name, known in _WRITE.items()),
    )
)
_AFTER: Final = Places([("jobs.*.schedule.after", None)])
_MAPS: Final = Places([("jobs.*.map", None)])
_NAMED: Final = Places((f"jobs.*.{side}.connection", None) for side in ("source", "target", *_PARENTS))
_Finding: TypeAlias = tuple[Path_, str, str | None]
"""Where, what, and the cure."""


def cross_problems(tree: Mapping[str, Any], marks: Marks, *, complete: bool) -> Iterator[Problem]:
    """Yield problems of a tree that may have others. Not `complete`: some file is missing, so no name is unknown."""
    checks: list[Callable[[Mapping[str, Any]], Iterable[_Finding]]] = [
        _bodies, _expressions, _templates, _nesting, _jmespaths, address_problems, alert_problems, answer_problems,
        auth_problems, batch_problems, connection_answer_problems, for_each_problems, ignore_problems,
        increment_problems, kind_problems, match_problems, paging_problems, replace_problems, sql_problems,
        state_problems, time_problems,
    ]  # fmt: skip
    if complete:
        checks += [_connections, _after, linked_problems, recipient_problems]
    for check in checks:
        for path, message, cure in check(tree):
            yield marks.problem_at_value(path, message, cure)


def _texts(path: Path_, value: Any) -> Iterator[tuple[Path_, str]]:
    """Yield all texts in a value."""
    if isinstance(value, str):
        yield path, value
    pairs: Iterable[tuple[str | int, Any]] = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else pairs:
        yield from _texts((*path, key), inner)


def _bodies(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Refuse a body by name where there is nothing of that name to send."""
    for path, body, known in _BODIES.found(tree):
        if body in ("document", "changed") and body not in known:
            yield path, f"there is no {body} here", "write the body out (example: body: {archived: true})"


def _expressions(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    for path, text, known in _EXPRESSIONS.found(tree):
        if isinstance(text, str):
            here = known | parent_names(tree, path[1]) if known is _RECORD else known
            yield from _unknown_names(path, partial(expression_names, text), here)


def _templates(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    for place, value, (known, is_request) in _IN_TEMPLATES.found(tree):
        if is_request and not isinstance(value, str):
            continue
        here = known | parent_names(tree, place[1]) if known is _READ else known
        for path, text in _texts(place, value):
            yield from _unknown_names(path, partial(template_names, text), here)


def _unknown_names(path: Path_, read: Callable[[], frozenset[str]], known: frozenset[str]) -> Iterator[_Finding]:
    try:
        used = read()
    except ValueError:
        return  # told already: the models check the syntax
    for name in sorted(used - known):
        yield path, f"unknown name '{name}'", _meant(name, known)


def _meant(name: str, known: frozenset[str]) -> str:
    if name == "record" and "document" in known:
        return "write document.FIELD, of the record as it is mapped"
    meant = suggestion(name, known)
    here = f"known here: {', '.join(sorted(known))}" if known else "templates are not known here"
    return f"did you mean '{meant}'?" if meant else here


def _nesting(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    for path, fields, _ in _MAPS.found(tree):
        for name in fields if isinstance(fields, dict) else ():
            outer = next((other for other in fields if name.startswith(f"{other}.")), None)
            if outer is not None:
                yield (*path, name), f"'{outer}' is a value already and cannot hold a field", "map one of the two"


def _jmespaths(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    for path, text, _ in _JMESPATHS.found(tree):
        if not isinstance(text, str):
            continue
        if text.lower().startswith("header:"):
            yield from _header(path)
            continue
        try:
            jmespath.compile(text)
        except JMESPathError as error:
            reason = str(error).splitlines()[0].removesuffix(", for expression:")
            yield path, f"not a JMESPath: {reason}", "quote odd names inside it (example: '\"odd-name\".items')"


def _header(path: Path_) -> Iterator[_Finding]:
    """Refuse a header where nothing reads one; told from a path, it would be no JMESPath in the middle of a run."""
    if path[-2:] in {("list", "version"), ("lookup", "version")}:
        cure = "name the field of a record that holds it; or take it from the header of target.get"
        yield path, "an answer with several records has no header for each", cure
    elif path[-1] not in {"version", "next", "total"}:
        yield path, "no header can stand here", "write a JMESPath into the body"


def _connections(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    known = _names_of(tree, "connections")
    for path, name, _ in _NAMED.found(tree):
        if isinstance(name, str) and name not in known:
            yield path, f"unknown connection '{name}'", _did_you_mean(name, known, "connections")


def _after(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    jobs = _names_of(tree, "jobs")
    before = {path[1]: (path, name) for path, name, _ in _AFTER.found(tree) if isinstance(name, str)}
    told: set[Any] = set()
    for job, (path, name) in before.items():
        if name not in jobs:
            yield path, f"unknown job '{name}'", _did_you_mean(name, jobs, "jobs")
            continue
        ring = _ring(job, {key: after for key, (_, after) in before.items()})
        if ring and not told.intersection(ring):
            told.update(ring)
            yield path, f"jobs wait for each other: {' → '.join(map(str, ring))}", "let one of them have cron or every"


def _ring(start: Any, before: Mapping[Any, Any]) -> list[Any]:
    """Return the jobs from `start` back to itself, or nothing if the chain ends or closes elsewhere."""
    chain = [start]
    while chain[-1] in before and before[chain[-1]] not in chain:
        chain.append(before[chain[-1]])
    return [*chain, start] if before.get(chain[-1]) == start else []


def _names_of(tree: Mapping[str, Any], section: str) -> frozenset[Any]:
    value = tree.get(section)
    return frozenset(value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ())


def _did_you_mean(name: str, known: Iterable[Any], what: str) -> str:
    words = sorted(str(word) for word in known)
    meant = suggestion(name, words)
    if meant is not None:
        return f"did you mean '{meant}'?"
    return f"known {what}: {', '.join(words)}" if words else f"there are no {what}; add it under `{what}:`"
