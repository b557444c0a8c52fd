"""Interfaces: classes for whole APIs, from a YAML file and a package of functions.

    for name, Interface in load_config("helpdesk.yaml"):
        globals()[name] = Interface

    helpdesk = Helpdesk(token="...")        # its own __init__, from the package, sets self.client
    helpdesk.ticket.get_list()              # a function of the package; its self has `_owner` and `_uri`

The form of the file is told in `cruds.interface_files`.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Mapping
from types import ModuleType
from typing import Any

from .interface_files import InterfaceEntry, InterfaceFileError, Problem, Report, Word, read_file

__all__ = ["InterfaceFileError", "ModelFactory", "Problem", "load_config"]


class ModelFactory:
    """A descriptor that gives each instance of an interface a model of its own.

    The model is made when it is first asked for and kept with the instance, so that two instances never share one:
    each has its own client and credentials. Its functions find the instance in `_owner` and the uri in `_uri`.
    Deleting the attribute makes the next access build a new model; setting it does nothing.
    """

    def __init__(self, docstring: str, uri: str, methods: dict[str, Any]) -> None:
        self.docstring, self.uri, self.methods = docstring, uri, methods
        self.name = "Model"
        self.model_class = type(self.name, (), {"__doc__": docstring, "_uri": uri, **methods})

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.model_class.__name__ = name
        self.model_class.__qualname__ = f"{owner.__qualname__}.{name}"
        self.model_class.__module__ = owner.__module__

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        model = instance.__dict__.get(self._slot)
        if model is None or model._owner is not instance:  # a copied instance brings the model of the other along
            made = self.model_class()
            made._owner = instance
            if model is not None:
                instance.__dict__.pop(self._slot, None)
            # Threads that meet here all get the model of the first.
            model = instance.__dict__.setdefault(self._slot, made)
        return model

    def __set__(self, instance: object, value: object) -> None:
        """Do nothing."""

    def __delete__(self, instance: Any) -> None:
        instance.__dict__.pop(self._slot, None)

    @property
    def _slot(self) -> str:
        return f"_{self.name}_model"


def load_config(file_name: str, *, allow_packages: Collection[str] | None = None) -> Iterator[tuple[str, type]]:
    """Yield the name and the class of each interface in a file, in the file's order.

    This imports the packages that the file names, and importing runs their code: a file from somebody else is a
    program from somebody else. `allow_packages` limits what may be imported to these very names; None allows all.
    The whole file is checked first, and nothing is imported from one with a mistake.

    Raises `InterfaceFileError` with every mistake and its line, OSError if the file cannot be read, and whatever a
    package raises when it is imported.
    """
    if isinstance(allow_packages, str):
        raise TypeError("allow_packages is a collection of names, not one text")
    entries = read_file(file_name)
    report = Report(file_name)
    for entry in entries:
        name = entry.package
        if allow_packages is not None and name.text not in allow_packages:
            report.add(name.line, f"package {name.text!r} is not among those that may be imported")
    report.raise_if_any()
    made = [(entry.name.text, _interface(entry, _imported(entry.package, report), report)) for entry in entries]
    report.raise_if_any()
    return iter(made)


def _imported(name: Word, report: Report) -> ModuleType | None:
    try:
        return importlib.import_module(name.text)
    except ImportError as error:
        report.add(name.line, f"package {name.text!r} cannot be imported: {error}")
        return None


def _interface(entry: InterfaceEntry, package: ModuleType | None, report: Report) -> type:
    if package is None:
        return object
    code = vars(package)
    models = {
        model.name.text.lower(): ModelFactory(
            docstring=model.docstring, uri=model.uri, methods=_methods(entry.methods_of(model), code, entry, report)
        )
        for model in entry.models
    }
    own = entry.methods or (Word("__init__", entry.package.line),)
    members = {"__doc__": entry.docstring, "__module__": package.__name__, **_methods(own, code, entry, report)}
    return type(entry.name.text, (), {**members, **models})


def _methods(names: tuple[Word, ...], code: Mapping[str, Any], entry: InterfaceEntry, report: Report) -> dict[str, Any]:
    """Return what the package calls by these names: functions, properties, static methods."""
    for name in names:
        value = code.get(name.text)
        if value is None:
            report.add(name.line, f"package {entry.package.text!r} has no {name.text!r}")
        elif not callable(value) and not hasattr(value, "__get__"):
            report.add(name.line, f"{name.text!r} of package {entry.package.text!r} is not a function")
    return {name.text: code.get(name.text) for name in names}
