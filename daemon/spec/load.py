"""Files in, one frozen spec out, or every problem in them at once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .auth import OAuth2Auth
from .crosschecks import cross_problems
from .explain import problems_of
from .marks import Marks
from .problems import Path_, Problem, SpecError
from .reading import Reading, read
from .spec import Spec

_SECTIONS = ("connections", "jobs")
_FILES = (("auth", "*", "file"), ("tls", "ca_file"), ("tls", "cert_file"), ("tls", "key_file"))
"""Where a connection names files; relative ones are meant from the folder of the file that names them."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A spec that can still say where each of its parts was written."""

    spec: Spec
    files: tuple[Path, ...]
    """In the order they were read: the main file, then jobs.d by name."""
    _marks: Marks

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and should not be so for long, each with its place and a cure."""
        return tuple(
            f"{self.place_of(('connections', name, 'auth', 'grant'))}: connection {name} uses the grant password, "
            "which is not to be used any more (RFC 9700 2.4): it hands out a person's password, and fails where a "
            "second factor is asked for; ask the system's owner for client_credentials, jwt_bearer or device_code"
            for name, connection in self.spec.rest_connections.items()
            if isinstance(connection.auth, OAuth2Auth) and connection.auth.grant == "password"
        )

    def place_of(self, path: Path_) -> str:
        """Return `file:line:column` of a key such as `("jobs", "people", "source")`, or of the nearest around it."""
        mark = self._marks.at_key(path)
        return str(mark) if mark is not None else str(self.files[0])

    def problem(self, path: Path_, message: str, cure: str | None = None) -> Problem:
        """Return a problem at the value of a path, for whoever finds one after loading."""
        return self._marks.problem_at_value(path, message, cure)


def load(path: Path) -> Loaded:
    """Read `path` (a file, or a folder with a crudsd.yaml) and the jobs.d beside it.

    Raises SpecError with all problems of all files. Secrets are not read: see `check_secrets`. Equal files give
    equal specs; paths of files in the spec are absolute.
    """
    main = path / "crudsd.yaml" if path.is_dir() else path
    files = (main, *sorted(_parts(main.parent / "jobs.d"), key=lambda part: part.name))
    merged = _Merged()
    for file in files:
        merged.add(read(file), file, main=file == main)
    spec = merged.spec()
    if merged.problems or spec is None:
        raise SpecError(_in_order(merged.problems, files))
    return Loaded(spec, files, merged.marks)


def _parts(folder: Path) -> list[Path]:
    hidden = (".", "#")
    return [file for file in folder.glob("*") if file.suffix in {".yaml", ".yml"} and not file.name.startswith(hidden)]


@dataclass(slots=True)
class _Merged:
    """All files as one tree. A name that stands in two of them is a problem, and the first one counts."""

    tree: dict[str, Any] = field(default_factory=dict)
    marks: Marks = field(default_factory=Marks)
    problems: list[Problem] = field(default_factory=list)
    broken: bool = False
    """True if a file could not be read, so that what is not found may be in it."""
    main_broken: bool = False

    def add(self, reading: Reading, file: Path, *, main: bool) -> None:
        self.problems += reading.problems
        self.broken |= reading.broken
        self.main_broken |= main and reading.broken
        tree = {} if reading.tree is None else reading.tree
        if not isinstance(tree, dict):
            self.problems.append(
                reading.marks.problem_at_value((), "expected `connections:` and `jobs:`", "begin with `version: 1`")
            )
            self.main_broken |= main
            return
        _make_files_absolute(tree, file.absolute().parent)
        if main:
            _copy(reading.marks, self.marks, (), only_this=True)
        for section, value in tree.items():
            if section in _SECTIONS and isinstance(value, dict):
                self._add_section(section, value, reading.marks)
            elif section in {"state", "retention"} and not main:
                self.problems.append(
                    reading.marks.problem_at_key((section,), "belongs in the main file", "move it there")
                )
            elif not section.startswith("x-") and (main or section not in self.tree or section == "version"):
                self._add_value(section, value, reading.marks, main=main)

    def _add_section(self, section: str, value: dict[str, Any], marks: Marks) -> None:
        known = self.tree.setdefault(section, {})
        if not isinstance(known, dict):
            return
        _copy(marks, self.marks, (section,), only_this=True)
        for name, inner in value.items():
            path = (section, name)
            if name in known:
                message = f"this name stands at {self.marks.keys[path]} already"
                self.problems.append(marks.problem_at_key(path, message, "rename one of the two"))
                continue
            known[name] = inner
            _copy(marks, self.marks, path)

    def _add_value(self, section: str, value: Any, marks: Marks, *, main: bool) -> None:
        if section == "version" and not main:
            if value != 1:
                self.problems.append(marks.problem_at_value(("version",), "expected 1"))
            return
        if value is None and section in _SECTIONS:  # `jobs:` with everything under it commented out
            return
        self.tree[section] = value
        _copy(marks, self.marks, (section,))

    def spec(self) -> Spec | None:
        """Validate; adds the problems found. What is wrong in two ways at one place is told once."""
        spec, found = None, []
        tree = {"version": 1, **self.tree} if self.main_broken else self.tree
        try:
            spec = Spec.model_validate(tree)
        except ValidationError as error:
            found = problems_of(error, tree, self.marks)
        for stage in (found, list(cross_problems(tree, self.marks, complete=not self.broken))):
            told = list(self.problems)
            self.problems += [problem for problem in stage if not any(_same_place(problem, other) for other in told)]
        return spec


def _same_place(problem: Problem, other: Problem) -> bool:
    return (problem.file, problem.line, problem.column) == (other.file, other.line, other.column) and bool(problem.line)


def _copy(source: Marks, target: Marks, path: Path_, *, only_this: bool = False) -> None:
    for old, new in ((source.keys, target.keys), (source.values, target.values)):
        for place, mark in old.items():
            if place == path or (not only_this and place[: len(path)] == path):
                new.setdefault(place, mark)


def _make_files_absolute(tree: dict[str, Any], folder: Path) -> None:
    _make_absolute(tree, ("state", "file"), folder)
    connections = tree.get("connections")
    for connection in connections.values() if isinstance(connections, dict) else ():
        for pattern in _FILES:
            _make_absolute(connection, pattern, folder)


def _make_absolute(block: Any, pattern: tuple[str, ...], folder: Path) -> None:
    if not isinstance(block, dict):
        return
    for name in list(block) if pattern[0] == "*" else [name for name in block if name == pattern[0]]:
        if len(pattern) > 1:
            _make_absolute(block[name], pattern[1:], folder)
        elif isinstance(block[name], str):
            block[name] = str(folder / block[name])


def _in_order(problems: list[Problem], files: tuple[Path, ...]) -> list[Problem]:
    order = {str(file): place for place, file in enumerate(files)}
    return sorted(problems, key=lambda problem: (order.get(problem.file, -1), problem.line, problem.column))
