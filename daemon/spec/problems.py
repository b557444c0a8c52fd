"""What an operator must change in a file: said with its place, a caret and a cure, all of it at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from daemon.errors import ConfigError

Path_: TypeAlias = tuple[str | int, ...]
"""Keys and list places from the top of a file down to a value."""

_EXCERPT = 160
"""Characters of a source line that are shown; a longer one is cut around the caret."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something the operator must change."""

    file: str
    """As the operator named it."""
    line: int
    """Counted from 1; 0 where the problem is the whole file."""
    column: int
    """Counted from 1; 0 where the problem is the whole file."""
    path: str
    """Keys joined by dots, as in `jobs.people.target.update`; empty at the top."""
    message: str
    cure: str | None = None
    """What to do, if we can tell."""
    source_line: str = ""
    """The line, with what looks like a secret starred out."""
    width: int = 1
    """Characters under which the caret runs."""

    def __str__(self) -> str:
        what = f"{self.path}: {self.message}" if self.path else self.message
        if not self.line:
            return "\n".join([f"{self.file}: error: {what}", *self._help()])
        source, start = self._excerpt()
        width = max(1, min(self.width, len(source) - start + 1))
        return "\n".join(
            [
                f"{self.file}:{self.line}:{self.column}: error: {what}",
                f"{self.line:5} | {source}".rstrip(),
                f"      | {' ' * (start - 1)}{'^' * width}",
                *self._help(),
            ]
        )

    def _help(self) -> list[str]:
        return [] if self.cure is None else [f"      = help: {self.cure}"]

    def _excerpt(self) -> tuple[str, int]:
        """Return the part of the source line to show and the caret's column in it."""
        line = self.source_line.replace("\t", " ")
        if len(line) <= _EXCERPT:
            return line, self.column
        start = max(0, min(self.column - 1 - _EXCERPT // 2, len(line) - _EXCERPT))
        return line[start : start + _EXCERPT], self.column - start

    def as_dict(self) -> dict[str, str | int | None]:
        """Return the facts for JSON."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "path": self.path,
            "message": self.message,
            "cure": self.cure,
        }


class SpecError(ConfigError):
    """The job files are not usable. Holds every problem found, file by file, from top to bottom."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join([*map(str, self.problems), self.summary]))

    @property
    def summary(self) -> str:
        """How many problems there are, and in how many files."""
        files = len({problem.file for problem in self.problems})
        return f"{_counted(len(self.problems), 'problem')} in {_counted(files, 'file')}"


def dotted(path: Path_) -> str:
    """Return a path as it is shown: `jobs.people.key[1]`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
