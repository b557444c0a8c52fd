"""Interface files: YAML into values, every mistake at once with its file and line.

    version: 1
    api:
      - name: Helpdesk                      # the class
        package: acme.helpdesk.logic        # where its functions are
        docstring: Tickets and people.
        methods: [__init__]                 # of the class; this is what it gets if nothing is said
        default_model_methods: [get_list, create]
        required_model_methods: [_page]     # every model has them
        models:
          - name: Ticket                    # becomes the attribute `ticket`
            uri: tickets
            docstring: What people ask for.
            methods: [get_list]             # instead of the default ones

Nothing is imported here. Only plain YAML is read: no tags, no Python objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from keyword import iskeyword
from pathlib import Path

import yaml

from .exception import CrudsError

_FILE_KEYS = frozenset({"version", "api"})
_MODEL_KEYS = frozenset({"name", "docstring", "uri", "methods"})
_API_KEYS = frozenset(
    {"name", "docstring", "package", "methods", "default_model_methods", "required_model_methods", "models"}
)
_TEXT = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_WHOLE_NUMBER = "tag:yaml.org,2002:int"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that must be changed in an interface file."""

    place: str
    """`file:line`, lines counted from 1."""
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class InterfaceFileError(CrudsError, ValueError):
    """An interface file cannot be used. Holds every problem found, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Word:
    """A text of the file, and where it stands."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model of an interface."""

    name: Word
    uri: str
    docstring: str
    methods: tuple[Word, ...]
    """Its own; empty: the interface's default ones."""


@dataclass(frozen=True, slots=True)
class InterfaceEntry:
    """One interface of a file."""

    name: Word
    package: Word
    docstring: str
    methods: tuple[Word, ...]
    default_model_methods: tuple[Word, ...]
    required_model_methods: tuple[Word, ...]
    models: tuple[ModelEntry, ...]

    def methods_of(self, model: ModelEntry) -> tuple[Word, ...]:
        """Return the methods of a model: the required ones, then its own or the default ones."""
        return self.required_model_methods + (model.methods or self.default_model_methods)


class Report:
    """Collects problems of one file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, message: str) -> None:
        """Note a problem."""
        self._found.append((line, message))

    def raise_if_any(self) -> None:
        """Raise `InterfaceFileError` with all that was noted."""
        if self._found:
            raise InterfaceFileError(
                tuple(Problem(f"{self._file}:{line}", message) for line, message in sorted(set(self._found)))
            )


def read_file(file_name: str) -> tuple[InterfaceEntry, ...]:
    """Return the interfaces that a file describes. Raises `InterfaceFileError`, or OSError if it cannot be read."""
    report = Report(file_name)
    try:
        root = yaml.compose(Path(file_name).read_bytes(), Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        report.add(1 if mark is None else mark.line + 1, f"not YAML: {getattr(error, 'problem', None) or 'unreadable'}")
        report.raise_if_any()
    except RecursionError:
        report.add(1, "not an interface file: nested too deeply")
        report.raise_if_any()
    reader = _Reader(report)
    found = reader.file(root)
    report.raise_if_any()
    return found


class _Reader:
    """Turns nodes into values. A mistake is reported, and reading goes on with something harmless in its place."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def file(self, root: yaml.Node | None) -> tuple[InterfaceEntry, ...]:
        if root is None:
            self._report.add(1, "the file is empty; it begins with `version: 1`")
            return ()
        fields = self._fields(root, "the file", _FILE_KEYS, required=("version",))
        version = fields.get("version")
        if version is not None and (version.tag != _WHOLE_NUMBER or version.value != "1"):
            self._report.add(_line(version), "version: only 1 is known; write `version: 1`")
        found = tuple(self._interface(item) for item in self._items(fields.get("api"), "api"))
        self._refuse_twins((one.name for one in found), "interface")
        return found

    def _interface(self, node: yaml.Node) -> InterfaceEntry:
        fields = self._fields(node, "an interface", _API_KEYS, required=("name", "package"))
        models = tuple(self._model(item) for item in self._items(fields.get("models"), "models"))
        self._refuse_twins((one.name for one in models), "model")
        package = self._text(fields.get("package"), "package", node)
        if package.text and not all(map(str.isidentifier, package.text.split("."))):
            self._report.add(package.line, f"package: {package.text!r} is not a module's name, such as acme.logic")
        entry = InterfaceEntry(
            name=self._name(fields.get("name"), node),
            package=package,
            docstring=self._text(fields.get("docstring"), "docstring", node).text,
            methods=self._words(fields.get("methods"), "methods"),
            default_model_methods=self._words(fields.get("default_model_methods"), "default_model_methods"),
            required_model_methods=self._words(fields.get("required_model_methods"), "required_model_methods"),
            models=models,
        )
        methods = {word.text for word in entry.methods}
        for model in models:
            if model.name.text.lower() in methods:
                self._report.add(model.name.line, f"model {model.name.text!r} hides the method of that name")
        return entry

    def _model(self, node: yaml.Node) -> ModelEntry:
        fields = self._fields(node, "a model", _MODEL_KEYS, required=("name", "uri"))
        return ModelEntry(
            name=self._name(fields.get("name"), node),
            uri=self._text(fields.get("uri"), "uri", node).text,
            docstring=self._text(fields.get("docstring"), "docstring", node).text,
            methods=self._words(fields.get("methods"), "methods"),
        )

    def _fields(
        self, node: yaml.Node, what: str, known: frozenset[str], required: tuple[str, ...]
    ) -> Mapping[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            self._report.add(_line(node), f"{what} is a mapping of {', '.join(sorted(known))}")
            return {}
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else "?"
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"{what} has {', '.join(sorted(known))}"
                self._report.add(_line(key), f"unknown key {name!r}; {hint}")
            elif name in found:
                self._report.add(_line(key), f"{name} stands here twice")
            found[name] = value
        for name in required:
            if name not in found:
                self._report.add(_line(node), f"{what} needs {name!r}")
        return found

    def _items(self, node: yaml.Node | None, what: str) -> list[yaml.Node]:
        if node is None or node.tag == _NULL:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._report.add(_line(node), f"{what} is a list")
            return []
        return list(node.value)

    def _words(self, node: yaml.Node | None, what: str) -> tuple[Word, ...]:
        return tuple(self._text(item, what, item) for item in self._items(node, what))

    def _text(self, node: yaml.Node | None, what: str, around: yaml.Node) -> Word:
        if node is None:
            return Word("", _line(around))
        if not isinstance(node, yaml.ScalarNode) or node.tag != _TEXT:
            self._report.add(_line(node), f"{what} is a text; quote it if it is one")
            return Word("", _line(node))
        return Word(node.value, _line(node))

    def _name(self, node: yaml.Node | None, around: yaml.Node) -> Word:
        word = self._text(node, "name", around)
        if word.text and (not word.text.isidentifier() or iskeyword(word.text.lower()) or iskeyword(word.text)):
            self._report.add(
                word.line, f"name: {word.text!r} cannot be written in Python; use a name such as Line_Item"
            )
        return word

    def _refuse_twins(self, names: Iterable[Word], what: str) -> None:
        seen: set[str] = set()
        for name in names:
            # A model's attribute is its name in small letters.
            text = name.text.lower() if what == "model" else name.text
            if text and text in seen:
                self._report.add(name.line, f"a second {what} {text!r}")
            seen.add(text)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
