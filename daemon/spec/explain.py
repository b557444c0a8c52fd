"""Pydantic's complaints as problems: at their place, in an operator's words, with a cure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from .grammar import suggestion
from .marks import Marks
from .operators import kind
from .problems import Path_, Problem, dotted
from .schema import Shapes, json_schema

_EXPECTED: Final = (
    ("string", "text"),
    ("int", "a whole number"),
    ("bool", "true or false"),
    ("float", "a number"),
    ("decimal", "a number"),
    ("list", "a list"),
    ("dict", "a mapping"),
    ("model", "a mapping"),
    ("path", "a path"),
)
_EXAMPLES: Final[Mapping[str, str]] = {
    "client_id": "client_id: {env: HR_CLIENT_ID}",
    "client_secret": "client_secret: {credential: hr-client-secret}",
    "connection": "connection: hr",
    "from": "from: record.email",
    "host": "host: https://hr.example.com/api",
    "key": "key: record.id",
    "name": "name: X-Api-Key",
    "password": "password: {env: HR_PASSWORD}",
    "read": "read: employees",
    "source": "source: {connection: hr, read: employees}",
    "target": "target: {connection: helpdesk, create: users, update: 'users/{{ target.id }}'}",
    "token": "token: {env: HR_TOKEN}",
    "type": "type: page",
    "uri": "uri: users",
    "url": "url: https://login.example.com/oauth/token",
    "username": "username: crudsd",
    "value": "value: {env: HR_API_KEY}",
    "version": "version: 1",
}
_NAME_RULE = "a name has lower-case letters, digits, and - _ . between them (example: people-to-helpdesk)"
_LIMITS: Final[Mapping[str, str]] = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_long": "may have at most {max_length} characters",
    "string_too_short": "must not be empty",
}


def problems_of(error: ValidationError, tree: Any, marks: Marks) -> list[Problem]:
    """Return the problems behind a validation error, each once, with their places in the files."""
    explain = _Explain(tree, marks)
    found = list(_one_branch(error.errors(include_url=False), tree))
    return [explain.problem(details, path) for details, path in found]


def _one_branch(errors: Iterable[ErrorDetails], tree: Any) -> Iterator[tuple[ErrorDetails, Path_]]:
    """Yield errors with their paths; of a choice between kinds only the kind that was probably meant."""
    located = [(details, *_located(details["loc"], tree)) for details in errors]
    kinds: dict[Path_, list[str]] = {}
    for details, path, labels in located:
        for depth, label in _choices(details, labels):
            kinds.setdefault(path[:depth], []).append(label)
    for details, path, labels in located:
        choices = _choices(details, labels)
        if all(label == _meant(kinds[path[:depth]], _look(tree, path[:depth])) for depth, label in choices):
            yield details, path


def _choices(details: ErrorDetails, labels: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the kinds an error speaks of, each with its depth; a missing key's own name is none."""
    return labels[:-1] if details["type"] == "missing" else [label for label in labels if label[1] != "[key]"]


def _meant(labels: list[str], value: Any) -> str:
    """Return the kind that fits a value best; the first if none does."""
    what = kind(value)
    for label in labels:
        fits = label.startswith("list") if what == "a list" else _is_text(label) if what == "text" else False
        if fits or (what == "a mapping" and not _is_text(label) and not label.startswith("list")):
            return label
    return labels[0]


def _is_text(label: str) -> bool:
    return "str" in label and not label.startswith("list")


def _located(loc: tuple[str | int, ...], tree: Any) -> tuple[Path_, list[tuple[int, str]]]:
    """Split pydantic's place into the path in the file and labels of its own, each with its depth in the path."""
    path: list[str | int] = []
    labels: list[tuple[int, str]] = []
    here = tree
    for step in loc:
        known = step in here if isinstance(here, Mapping) else isinstance(here, list) and isinstance(step, int)
        if known:
            path.append(step)
            here = here[step]
        else:
            labels.append((len(path), str(step)))
    return tuple(path), labels


def _look(tree: Any, path: Path_) -> Any:
    for step in path:
        tree = tree[step]
    return tree


class _Explain:
    def __init__(self, tree: Any, marks: Marks) -> None:
        self.tree = tree
        self.marks = marks
        self.shapes = Shapes(json_schema(), tree)

    def problem(self, details: ErrorDetails, path: Path_) -> Problem:
        name = details["type"]
        context = details.get("ctx", {})
        if name == "extra_forbidden":
            return self.marks.problem_at_key(path, "unknown key", self._known_key(path))
        if name == "missing":
            return self._absent(path, str(details["loc"][-1]))
        if details["loc"][-1:] == ("[key]",):
            return self.marks.problem_at_key(path, "not a name", _NAME_RULE)
        if name in {"enum", "literal_error"}:
            return self._choice(path, re.findall(r"'([^']*)'", context["expected"]), context["expected"])
        if name == "union_tag_invalid":
            return self._choice((*path, "type"), re.findall(r"'([^']*)'", context["expected_tags"]), "")
        if name == "union_tag_not_found":
            return self.marks.problem_at_key(path, "type is missing", "add what kind it is (example: type: bearer)")
        if name == "value_error":
            return self._own_words(path, str(context["error"]))
        return self.marks.problem_at_value(path, *self._plain(details, path))

    def _own_words(self, path: Path_, words: str) -> Problem:
        """Return a problem found by a validator of ours; those of whole blocks stand at the block's key."""
        whole = isinstance(_look(self.tree, path), (Mapping, list))
        place = self.marks.problem_at_key if whole else self.marks.problem_at_value
        message, _, cure = words.partition("; ")
        return place(path, message, cure or None)

    def _plain(self, details: ErrorDetails, path: Path_) -> tuple[str, str | None]:
        name, value = details["type"], _look(self.tree, path)
        if name in _LIMITS:
            return _LIMITS[name].format(**details.get("ctx", {})), None
        if name == "string_pattern_mismatch":
            return ("not a name", _NAME_RULE) if "connection" in path or "after" in path else ("not allowed here", None)
        if name == "model_type" and self.shapes.takes_text(path):
            return f"expected text or a mapping, found {kind(value)}", None
        for prefix, words in _EXPECTED:
            if name.startswith(prefix + "_"):
                return f"expected {words}, found {kind(value)}", _cure(words, value)
        return details["msg"], None

    def _absent(self, path: Path_, name: str) -> Problem:
        example = _EXAMPLES.get(name, f"{name}: …")
        if name == "type" and "auth" in path:
            example = "type: bearer"
        return self.marks.problem_at_key(path, f"{name} is missing", f"add `{example}`")

    def _choice(self, path: Path_, known: list[str], expected: str) -> Problem:
        value = _look(self.tree, path)
        shown = f"'{value}'" if isinstance(value, str) and len(value) < 40 else kind(value)
        meant = suggestion(value, known) if isinstance(value, str) else None
        message = f"{shown} is not one of {', '.join(known)}" if known else f"expected {expected}"
        return self.marks.problem_at_value(path, message, f"did you mean '{meant}'?" if meant else None)

    def _known_key(self, path: Path_) -> str | None:
        block, key = path[:-1], str(path[-1])
        known = self.shapes.keys(block)
        meant = suggestion(key, known)
        if meant is not None:
            return f"did you mean '{meant}'?"
        for place in self._elsewhere(block):
            if key in self.shapes.keys(place):
                return f"'{key}' belongs in {dotted(place)}"
        return f"known here: {', '.join(sorted(known))}" if known else None

    def _elsewhere(self, block: Path_) -> Iterator[Path_]:
        """Yield the blocks around and inside a block, nearest first, up to the job or connection."""
        for length in range(len(block), min(2, len(block)) - 1, -1):
            outer = block[:length]
            yield outer
            yield from ((*outer, name) for name in sorted(self.shapes.keys(outer)))


def _cure(expected: str, value: Any) -> str | None:
    if expected == "text" and kind(value) == "a number":
        return f'quote it: "{value}"'
    if expected == "true or false" and isinstance(value, str) and value.lower() in {"yes", "on", "no", "off"}:
        return f"write {'true' if value.lower() in {'yes', 'on'} else 'false'}"
    if expected == "a list" and isinstance(value, (str, int)):
        return "write [ ] around it"
    if isinstance(value, str) and value.strip().isdecimal():
        return f"write {value.strip()} without quotes"
    return None
