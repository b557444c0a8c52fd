"""One YAML file in, plain values and their marks out. Nothing in YAML 1.1's bag of surprises gets through.

Only `true` and `false` are booleans, only what looks like a number is one, and it keeps its digits; `no`, `on`,
dates and `1:30` are the texts they look like. Tags, duplicate keys and `012` are refused.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from .marks import Mark, Marks, Source
from .nodes import composed
from .problems import Path_, Problem, dotted
from .quick import DEEPEST, NotPlainError, quick_tree
from .scalars import OCTAL, plain
from .yaml_errors import syntax_problem, unquoted, unreadable_character

_LARGEST_BYTES = 5_000_000
"""A job file is written by people; more than this is the wrong file."""
_NO_FILE = "name the file with --config FILE; the README has one to begin with"
_MOST_VALUES = 200_000
"""Values after aliases are followed, so that nine aliases of nine aliases of … end here and not in memory."""
_HARMLESS = frozenset(
    {
        "assertion_audience",
        "audience",
        "authorization_url",
        "client_auth",
        "client_id",
        "default_expires_in",
        "device_authorization_url",
        "grant",
        "issuer",
        "name",
        "private_key_id",
        "redirect_uri",
        "resource",
        "revocation_url",
        "scope",
        "subject",
        "type",
        "url",
        "username",
    }
    | {"env", "file", "credential", "vault"}
)
"""Keys inside `auth` whose values may be shown in a problem's source line."""


@dataclass(slots=True)
class Reading:
    """What was found in one file. `tree` is None when the file could not be read as YAML or is empty."""

    tree: Any = None
    marks: Marks = field(default_factory=Marks)
    problems: list[Problem] = field(default_factory=list)
    broken: bool = False
    """True if the file is not YAML, so that nothing is known of what it holds."""


def read(path: Path, *, marked: bool = True) -> Reading:
    """Read one file. Problems are collected, not raised. Not `marked`: the marks may be left out."""
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return _broken(Problem(str(path), 0, 0, "", f"larger than {_LARGEST_BYTES:,} bytes; this is no job file"))
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        cure = _NO_FILE if isinstance(error, FileNotFoundError) else None
        return _broken(Problem(str(path), 0, 0, "", f"cannot be read: {error.strerror or error}", cure))
    except UnicodeDecodeError as error:
        return _broken(Problem(str(path), 0, 0, "", f"not UTF-8 (byte {error.start + 1})", "save the file as UTF-8"))
    if not marked:
        with suppress(NotPlainError):
            return Reading(quick_tree(text))
    return parse(text, str(path))


def parse(text: str, file: str) -> Reading:
    """Read YAML text that came from `file`. Problems are collected, not raised."""
    source = Source(file, text)
    try:
        node, tagged = composed(text)
    except yaml.reader.ReaderError as error:
        return _broken(unreadable_character(error, text, source))
    except yaml.YAMLError as error:
        return _broken(syntax_problem(error, source))
    except RecursionError:
        return _broken(Problem(file, 0, 0, "", f"nested more than {DEEPEST} levels deep"))
    walk = _Walk(source)
    walk.reading.marks.values[()] = Mark(source, 1, 1, 1)
    if node is not None:
        _hide(node, source, set())
        walk.reading.problems += [_tag_problem(source, event) for event in tagged]
        walk.reading.tree = walk.value(node, ())
    return walk.reading


def _broken(problem: Problem) -> Reading:
    return Reading(problems=[problem], broken=True)


def _tag_problem(source: Source, event: Any) -> Problem:
    mark = Mark(source, event.start_mark.line + 1, event.start_mark.column + 1, 1)
    return source.problem(mark, (), f"the tag {event.tag!r} is not allowed", "remove it; quote the value if it is text")


class _Walk:
    """Turns nodes into values; collects marks and problems on its way."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.reading = Reading()
        self.count = 0
        self.above: list[yaml.Node] = []

    def value(self, node: yaml.Node, path: Path_) -> Any:
        mark = _mark(self.source, node)
        self.reading.marks.values[path] = mark
        self.count += 1
        if self.count > _MOST_VALUES:
            if self.count == _MOST_VALUES + 1:
                self._complain(mark, path, f"more than {_MOST_VALUES:,} values", "use fewer aliases")
            return None
        if any(node is outer for outer in self.above):
            self._complain(mark, path, "this alias holds itself", "write the value out")
            return None
        if len(self.above) >= DEEPEST:
            self._complain(mark, path, f"nested more than {DEEPEST} levels deep", None)
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, mark, path)
        self.above.append(node)
        try:
            return self._mapping(node, path) if isinstance(node, yaml.MappingNode) else self._list(node, path)
        finally:
            self.above.pop()

    def _scalar(self, node: yaml.ScalarNode, mark: Mark, path: Path_) -> Any:
        text: str = node.value
        if node.style:
            return text
        if OCTAL.fullmatch(text):
            self._complain(mark, path, f"{text} is a number in one YAML and text in another", f'quote it: "{text}"')
            return text
        return plain(text)

    def _list(self, node: yaml.Node, path: Path_) -> list[Any]:
        return [self.value(item, (*path, place)) for place, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, path: Path_) -> Any:
        if any(isinstance(key, yaml.MappingNode) for key, _ in node.value):
            problem = unquoted(self.source, node.start_mark.line, node.start_mark.column)
            if problem is not None:
                self.reading.problems.append(replace(problem, path=dotted(path)))
                return (problem.cure or "").removeprefix("quote it: ")[1:-1]
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = self._key(key, path)
            if name is None:
                continue
            inner = (*path, name)
            if name in found:
                first = self.reading.marks.keys[inner].line
                message = f"this key stands on line {first} already"
                self._complain(_mark(self.source, key), inner, message, "keep one of the two")
                continue
            self.reading.marks.keys[inner] = _mark(self.source, key)
            found[name] = self.value(value, inner)
        for name, key, value in self._merged(node, path):
            if name not in found:
                self.reading.marks.keys[(*path, name)] = _mark(self.source, key)
                found[name] = self.value(value, (*path, name))
        return found

    def _key(self, key: yaml.Node, path: Path_) -> str | None:
        """Return the text of a key; None for `<<` and for what cannot be a key."""
        if not isinstance(key, yaml.ScalarNode):
            self._complain(_mark(self.source, key), path, "a key must be text", "quote it if it is a template")
            return None
        return None if _is_merge(key) else str(key.value)

    def _merged(self, node: yaml.MappingNode, path: Path_) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        for key, value in node.value:
            self.count += 1
            if not _is_merge(key) or self.count > _MOST_VALUES:
                continue
            for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if not isinstance(merged, yaml.MappingNode) or any(merged is outer for outer in self.above):
                    self._complain(_mark(self.source, value), path, "'<<' takes a mapping", "write: <<: *name")
                    continue
                yield from ((inner.value, inner, item) for inner, item in merged.value if _is_key(inner))
                yield from self._merged(merged, path)

    def _complain(self, mark: Mark, path: Path_, message: str, cure: str | None) -> None:
        self.reading.problems.append(self.source.problem(mark, path, message, cure))


def _is_merge(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and key.value == "<<" and not key.style


def _is_key(key: yaml.Node) -> bool:
    return isinstance(key, yaml.ScalarNode) and not _is_merge(key)


def _mark(source: Source, node: yaml.Node) -> Mark:
    start, end = node.start_mark, node.end_mark
    if end.line == start.line:
        width = end.column - start.column
    else:  # a block: its first line, and of a mapping its first key
        first = node.value[0] if node.value and not isinstance(node, yaml.ScalarNode) else None
        first = first[0] if isinstance(first, tuple) else first
        end = first.end_mark if first is not None and first.end_mark.line == start.line else start
        width = end.column - start.column
    return Mark(source, start.line + 1, start.column + 1, max(1, width))


def _hide(node: yaml.Node, source: Source, seen: set[tuple[int, bool]], *, inside_auth: bool = False) -> None:
    """Star out everything inside `auth` that may be a secret written where a reference belongs."""
    if (id(node), inside_auth) in seen or not isinstance(node, (yaml.MappingNode, yaml.SequenceNode)):
        return
    seen.add((id(node), inside_auth))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            if inside_auth and isinstance(item, yaml.ScalarNode):
                _hide_text(item, source)
            _hide(item, source, seen, inside_auth=inside_auth)
        return
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else ""
        is_auth = inside_auth or name == "auth"
        if is_auth and name not in _HARMLESS and isinstance(value, yaml.ScalarNode):
            _hide_text(value, source)
        _hide(value, source, seen, inside_auth=is_auth)


def _hide_text(node: yaml.ScalarNode, source: Source) -> None:
    start, end = node.start_mark, node.end_mark
    for line in range(start.line, end.line + 1):
        source.hide(line, start.column if line == start.line else 0, end.column if line == end.line else None)
