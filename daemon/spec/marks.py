"""Where every key and value of the job files stands, so that a problem found later still has its place."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from .problems import Path_, Problem, dotted

_SECRET = re.compile(
    r"""(?ix)
    ((?:password|passwd|passphrase|secret|token|api[-_]?key|authorization|cookie)["']?\s*:\s+)  # what such keys end in
    (?!["']?\{|[&*|>])        # a reference, an alias or a block is no secret
    ([^\s,}\#][^,}\#]*)
    """
)
_USERINFO = re.compile(r"(://)([^/@\"'<>]+)(?=@)")
_PASSWORD = re.compile(r"(://[^:/\s@]*:)([^\s@]+)(?=@)")
"""Between name and host of an address; people write one that is not percent-encoded, too."""
_PARAMETER = re.compile(r"""(?i)(password=)(?!=)([^&\s"'}]+)""")


class Source:
    """The lines of one file as they may be shown: what looks like a secret is starred out, its length kept."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.lines = [_starred(line) for line in text.splitlines()]

    def hide(self, line: int, start: int, end: int | None) -> None:
        """Star out a stretch of a line; places are counted from 0, no end means to the end of the line."""
        if line < len(self.lines):
            whole = self.lines[line]
            stop = len(whole) if end is None else end
            self.lines[line] = whole[:start] + "*" * (stop - start) + whole[stop:]

    def problem(self, mark: "Mark", path: Path_, message: str, cure: str | None = None) -> Problem:
        """Return a problem of this file at a mark."""
        line = self.lines[mark.line - 1] if 0 < mark.line <= len(self.lines) else ""
        return Problem(self.file, mark.line, mark.column, dotted(path), message, cure, line, mark.width)


def _starred(line: str) -> str:
    for pattern in (_SECRET, _USERINFO, _PASSWORD, _PARAMETER):
        line = pattern.sub(lambda found: found[1] + "*" * len(found[2]), line)
    return line


@dataclass(frozen=True, slots=True)
class Mark:
    """A stretch of one line. Lines and columns are counted from 1."""

    source: Source
    line: int
    column: int
    width: int

    def __str__(self) -> str:
        return f"{self.source.file}:{self.line}:{self.column}"


@dataclass(slots=True)
class Marks:
    """The marks of keys and values by their path, over all files."""

    keys: dict[Path_, Mark] = field(default_factory=dict)
    values: dict[Path_, Mark] = field(default_factory=dict)

    def at_value(self, path: Path_) -> Mark | None:
        """Return the mark of a value, or of the nearest thing around it; None if nothing around it has one."""
        return _nearest(path, (self.values, self.keys))

    def at_key(self, path: Path_) -> Mark | None:
        """Return the mark of a key, or of the nearest key around it; a list's items have the marks of their values."""
        return _nearest(path, (self.keys, self.values))

    def problem_at_key(self, path: Path_, message: str, cure: str | None = None) -> Problem:
        """Return a problem whose caret stands under the key."""
        return _problem(self.at_key(path), path, message, cure)

    def problem_at_value(self, path: Path_, message: str, cure: str | None = None) -> Problem:
        """Return a problem whose caret stands under the value."""
        return _problem(self.at_value(path), path, message, cure)


def _problem(mark: Mark | None, path: Path_, message: str, cure: str | None) -> Problem:
    if mark is None:
        return Problem("", 0, 0, dotted(path), message, cure)
    return mark.source.problem(mark, path, message, cure)


def _nearest(path: Path_, tables: Iterable[dict[Path_, Mark]]) -> Mark | None:
    for length in range(len(path), -1, -1):
        for table in tables:
            if path[:length] in table:
                return table[path[:length]]
    return None
