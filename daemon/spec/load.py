"""Files in, one frozen spec out, or every problem in them at once."""

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from .alert_rules import program_trouble
from .alerts import CommandAlert, Tells
from .auth import OAuth2Auth
from .crosschecks import cross_problems
from .explain import problems_of
from .expressions import expression_names
from .marks import Marks
from .problems import Path_, Problem, SpecError
from .reading import Reading, read
from .spec import Spec
from .templates import template_names

_SECTIONS = ("alerts", "connections", "jobs")
_MAIN_ONLY = {"state", "retention", "service", *Tells.model_fields}
_FILES = (
    ("file",),
    ("url", "file"),
    ("options", "*", "file"),
    ("auth", "*", "file"),
    ("tls", "ca_file"),
    ("tls", "cert_file"),
    ("tls", "key_file"),
)
_ALERT_FILES = (
    ("url", "file"),
    ("headers", "*", "file"),
    ("tls", "ca_file"),
    ("tls", "cert_file"),
    ("tls", "key_file"),
)
"""Where connections and alerts name files; relative ones are meant from the folder of the file that names them."""


@dataclass(frozen=True)
class Loaded:
    """A spec that can still say where each of its parts was written."""

    spec: Spec
    files: tuple[Path, ...]
    """In the order they were read: the main file, then jobs.d by name."""

    @cached_property
    def _marks(self) -> Marks:
        """Read once more when somebody asks: most who load a spec have nothing to say of it."""
        return _merge(self.files, marked=True).marks

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and should not be so for long, each with its place and a cure."""
        return (*self._passwords_handed_out(), *self._programs_not_there())

    def _passwords_handed_out(self) -> tuple[str, ...]:
        return tuple(
            f"{self.place_of(('connections', name, 'auth', 'grant'))}: connection {name} uses the grant password, "
            "which is not to be used any more (RFC 9700 2.4): it hands out a person's password, and fails where a "
            "second factor is asked for; ask the system's owner for client_credentials, jwt_bearer or device_code"
            for name, connection in self.spec.http_connections.items()
            if isinstance(connection.auth, OAuth2Auth) and connection.auth.grant == "password"
        )

    def _programs_not_there(self) -> tuple[str, ...]:
        commands = {name: one.command[0] for name, one in self.spec.alerts.items() if isinstance(one, CommandAlert)}
        found = {name: trouble for name, program in commands.items() if (trouble := program_trouble(program))}
        return tuple(
            f"{self.place_of(('alerts', name, 'command'))}: alert {name} starts {commands[name]}, which {trouble}; "
            "install it where crudsd serve runs, with mode 0755"
            for name, trouble in found.items()
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
    with _without_collections():
        for marked in (False, True):
            merged = _merge(files, marked=marked)
            spec = merged.spec()
            if spec is not None and not merged.problems:
                return Loaded(spec, files)
    raise SpecError(_in_order(merged.problems, files))


@contextmanager
def _without_collections() -> Iterator[None]:
    """Look for no garbage meanwhile: there are many new values, and none of them is any."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        expression_names.cache_clear()
        template_names.cache_clear()
        if was_on:
            gc.enable()


def _merge(files: Iterable[Path], *, marked: bool) -> "_Merged":
    merged = _Merged()
    for number, file in enumerate(files):
        merged.add(read(file, marked=marked), file, main=number == 0)
    return merged


def _parts(folder: Path) -> list[Path]:
    hidden = (".", "#")
    return [file for file in folder.glob("*") if file.suffix in {".yaml", ".yml"} and not file.name.startswith(hidden)]


class _Marked:
    """The marks of one file by the first steps of their paths: a look at all of them for each job is too slow."""

    def __init__(self, marks: Marks) -> None:
        self.whole = marks
        self._below: dict[Path_, list[Path_]] = {}
        for place in marks.values.keys() | marks.keys.keys():
            for length in range(1, min(len(place), 2) + 1):
                self._below.setdefault(place[:length], []).append(place)

    def copy(self, target: Marks, path: Path_, *, only_this: bool = False) -> None:
        """Copy the marks of a path of one or two steps, and of what is below it."""
        for place in [path] if only_this else self._below.get(path, ()):
            for old, new in ((self.whole.keys, target.keys), (self.whole.values, target.values)):
                if place in old:
                    new.setdefault(place, old[place])


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
        marked = _Marked(reading.marks)
        if main:
            marked.copy(self.marks, (), only_this=True)
        for section, value in tree.items():
            if section in _SECTIONS and isinstance(value, dict):
                if section == "alerts" and not main:
                    self._refuse_programs(value, reading.marks)
                self._add_section(section, value, marked)
            elif section in _MAIN_ONLY and not main:
                self.problems.append(
                    reading.marks.problem_at_key((section,), "belongs in the main file", "move it there")
                )
            elif not section.startswith("x-") and (main or section not in self.tree or section == "version"):
                self._add_value(section, value, marked, main=main)

    def _refuse_programs(self, alerts: dict[str, Any], marks: Marks) -> None:
        """Let nobody have programs started who may only add jobs: jobs.d may have writers of its own."""
        for name, alert in alerts.items():
            if isinstance(alert, dict) and alert.get("type") == "command":
                message = "a program that is started belongs in the main file"
                self.problems.append(marks.problem_at_key(("alerts", name), message, "move it there"))

    def _add_section(self, section: str, value: dict[str, Any], marks: _Marked) -> None:
        known = self.tree.setdefault(section, {})
        if not isinstance(known, dict):
            return
        marks.copy(self.marks, (section,), only_this=True)
        for name, inner in value.items():
            path = (section, name)
            if name in known:
                message = f"this name stands at {self.marks.at_key(path)} already"
                self.problems.append(marks.whole.problem_at_key(path, message, "rename one of the two"))
                continue
            known[name] = inner
            marks.copy(self.marks, path)

    def _add_value(self, section: str, value: Any, marks: _Marked, *, main: bool) -> None:
        if section == "version" and not main:
            if value != 1:
                self.problems.append(marks.whole.problem_at_value(("version",), "expected 1"))
            return
        if value is None and section in _SECTIONS:  # `jobs:` with everything under it commented out
            return
        self.tree[section] = value
        marks.copy(self.marks, (section,))

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


def _make_files_absolute(tree: dict[str, Any], folder: Path) -> None:
    _make_absolute(tree, ("state", "file"), folder)
    for section, patterns in (("connections", _FILES), ("alerts", _ALERT_FILES)):
        blocks = tree.get(section)
        for block in blocks.values() if isinstance(blocks, dict) else ():
            for pattern in patterns:
                _make_absolute(block, pattern, folder)
            is_folder = isinstance(block, dict) and section == "connections" and block.get("type") == "files"
            if is_folder and "://" not in str(block.get("url")):
                _make_absolute(block, ("url",), folder)


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
