"""Templates: YAML values with `{{ … }}` in their texts, rendered to JSON values or to paths.

A text that is one single expression keeps the JSON type of its result. What has no braces is constant and costs
nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from glob import escape, has_magic
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from daemon.values import MISSING, Missing

from .closures import described
from .expressions import Expression, ExpressionError
from .grammar import parse_template
from .operators import UnfitError, text_of

_REMEMBERED: Final = 32_768
"""As in expressions.py: texts whose names are remembered while files are read."""
_Render: TypeAlias = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled YAML value. May be shared by threads."""

    names: frozenset[str]
    """The top-level names it reads; empty for a constant."""
    _render: _Render

    def render(self, scope: Mapping[str, Any]) -> Any | Missing:
        """Return the JSON value for this scope.

        A dictionary leaves out entries whose single expression is missing; a whole template that is one missing
        expression is MISSING. Missing or null inside text, or missing in a list, raises ExpressionError.
        """
        return self._render(scope)


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """A compiled path or address. May be shared by threads."""

    text: str
    names: frozenset[str]
    """The top-level names it reads; empty for a constant."""
    _render: _Render

    def render(self, scope: Mapping[str, Any]) -> str:
        """Return the path with each inserted value percent-encoded (RFC 3986), `/` included.

        Raises ExpressionError for values that would make another path: missing, null, empty, `.` and `..`.
        """
        path: str = self._render(scope)
        return path


def compile_template(tree: Any) -> Template:
    """Return the YAML value, ready to be rendered. Raises ValueError as `check_template` does."""
    names: set[str] = set()
    render = _compiled(tree, names)
    if render is None:
        return Template(frozenset(), lambda _: tree)
    return Template(frozenset(names), render)


def compile_path(text: str) -> PathTemplate:
    """Return the path, ready to be rendered. Raises ValueError as `check_template` does."""
    return _compiled_path(text, _segment)


def compile_file_path(text: str) -> PathTemplate:
    """Return the path of a file below a folder, ready to be rendered. Raises ValueError as `check_template` does.

    An inserted value is part of one name: no slash, no dots alone, nothing hidden; what a pattern would read as a
    wildcard stands for itself.
    """
    return _compiled_path(text, _file_name)


def is_file_pattern(text: str) -> bool:
    """Say whether a template of a path takes several files; what stands in its expressions does not matter."""
    return any(has_magic(part) for part in parse_template(text) if isinstance(part, str))


def _compiled_path(text: str, segment: Callable[[Expression, str, Mapping[str, Any]], str]) -> PathTemplate:
    parts = _parts(text)
    names: frozenset[str] = frozenset().union(*(part.names for part, _ in parts if isinstance(part, Expression)))
    if all(isinstance(part, str) for part, _ in parts):
        return PathTemplate(text, names, lambda _: text)
    return PathTemplate(
        text,
        names,
        lambda scope: "".join([part if isinstance(part, str) else segment(part, name, scope) for part, name in parts]),
    )


def check_template(value: Any) -> Any:
    """Return the value as it is if all its texts can be compiled; raises ValueError with what is wrong."""
    _check(value)
    return value


@lru_cache(maxsize=_REMEMBERED)
def template_names(text: str) -> frozenset[str]:
    """Return the top-level names that a text with templates reads. Raises ValueError as `check_template` does."""
    return compile_template(text).names


def _check(tree: Any) -> None:
    if isinstance(tree, str):
        template_names(tree)
    elif isinstance(tree, Mapping):
        for key, value in tree.items():
            _check_key(key)
            _check(value)
    elif isinstance(tree, list):
        for value in tree:
            _check(value)


def _check_key(key: Any) -> None:
    if isinstance(key, str) and "{{" in key:
        raise ValueError(f"a key cannot be a template: {key}")


def _compiled(tree: Any, names: set[str]) -> _Render | None:
    """Return how to render a tree, or None if it is constant; adds the names it reads."""
    if isinstance(tree, str):
        return _text(tree, names)
    if isinstance(tree, Mapping):
        return _mapping(tree, names)
    return _list(tree, names) if isinstance(tree, list) else None


def _mapping(tree: Mapping[Any, Any], names: set[str]) -> _Render | None:
    for key in tree:
        _check_key(key)
    entries = [(key, value, _compiled(value, names)) for key, value in tree.items()]
    if all(render is None for _, _, render in entries):
        return None

    def rendered(scope: Mapping[str, Any]) -> dict[str, Any]:
        made = {key: value if render is None else render(scope) for key, value, render in entries}
        return {key: value for key, value in made.items() if value is not MISSING}

    return rendered


def _list(tree: list[Any], names: set[str]) -> _Render | None:
    items = [(value, _compiled(value, names)) for value in tree]
    if all(render is None for _, render in items):
        return None

    def rendered(scope: Mapping[str, Any]) -> list[Any]:
        made = [value if render is None else render(scope) for value, render in items]
        for place, value in enumerate(made):
            if value is MISSING:
                raise ExpressionError(str(tree[place]), "is missing, and a list cannot leave an item out")
        return made

    return rendered


def _text(text: str, names: set[str]) -> _Render | None:
    parts = _parts(text)
    expressions = [part for part, _ in parts if isinstance(part, Expression)]
    for expression in expressions:
        names |= expression.names
    if not expressions:
        return None
    if len(parts) == 1:
        return expressions[0]

    def rendered(scope: Mapping[str, Any]) -> str:
        return "".join([part if isinstance(part, str) else _inserted(part, name, scope) for part, name in parts])

    return rendered


def _parts(text: str) -> list[tuple[str | Expression, str]]:
    """Return the constant texts and expressions of a template, each with how a message calls it."""
    return [
        (part, "") if isinstance(part, str) else (Expression(text, part), described(part))
        for part in parse_template(text)
    ]


def _inserted(expression: Expression, name: str, scope: Mapping[str, Any]) -> str:
    try:
        return text_of(expression(scope), name)
    except UnfitError as error:
        raise ExpressionError(expression.text, str(error)) from None


def _file_name(expression: Expression, name: str, scope: Mapping[str, Any]) -> str:
    _segment(expression, name, scope)
    text = _inserted(expression, name, scope)
    if text.startswith(".") or any(sign in text for sign in "/\\\0"):
        raise ExpressionError(expression.text, f"{name} is {text!r}, which is no part of a file's name")
    return escape(text)


def _segment(expression: Expression, name: str, scope: Mapping[str, Any]) -> str:
    value = expression(scope)
    text = "" if value is None or value is MISSING else _inserted(expression, name, scope)
    if text in {"", ".", ".."}:
        reason = (
            "is null" if value is None else "is missing" if value is MISSING else "is empty" if not text else "is dots"
        )
        raise ExpressionError(expression.text, f"{name} {reason}; in a path it would lead to another address")
    return quote(text, safe="")
