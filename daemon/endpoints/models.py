"""An interface's models, over the client of a connection: methods that somebody wrote, called as a job declares.

The client is ours, so quota, stop, retries and credentials are as for every other connection. The interface gets it as
`client`: by its `__init__` where that takes one of this name, and else in place of calling it.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from cruds.exception import CrudsError
from cruds.interface import load_config
from cruds.interface_files import InterfaceEntry, InterfaceFileError, read_file
from daemon.errors import ConfigError, RefusedError
from daemon.spec import InterfaceConnection, MethodCall, compile_template
from daemon.sync.canonical import readable
from daemon.sync.change import Change
from daemon.sync.explanation import Sending
from daemon.values import MISSING

from .call import Call
from .envelope import Path as Where
from .envelope import encode
from .exchange import Exchange

T = TypeVar("T")


def open_interface(name: str, connection: InterfaceConnection, exchange: Exchange) -> Any:
    """Return the interface of a connection, over its client. Imports the interface's package.

    Raises ConfigError, with all that is wrong with the file.
    """
    where = f"connections.{name}.file"
    try:
        entry = chosen(read_file(str(connection.file)), connection.interface)
        made: Any = dict(load_config(str(connection.file)))[entry.name.text]
        if _takes_client(made):
            return made(client=exchange.client)
        bare = made.__new__(made)
        bare.client = exchange.client
    except (CrudsError, OSError, LookupError) as error:
        raise ConfigError(f"{where}: {error}") from error
    except Exception as error:  # importing a package runs it, and it may do whatever it likes
        said = exchange.blot(f"{where}: its package raised {type(error).__name__}: {error}")
        raise ConfigError(said) from error
    return bare


def chosen(entries: tuple[InterfaceEntry, ...], name: str | None) -> InterfaceEntry:
    """Return the interface of this name, or the only one. Raises LookupError."""
    names = [entry.name.text for entry in entries]
    if name is None and len(entries) != 1:
        example = names[0] if names else "NAME"
        raise LookupError(f"it has {len(entries)} interfaces; say which one (example: interface: {example})")
    if name is not None and name not in names:
        raise LookupError(f"it has no interface {name}; it has {', '.join(names) or 'none'}")
    return entries[0 if name is None else names.index(name)]


def file_problems(connection: InterfaceConnection) -> Iterator[str]:
    """Yield what is wrong with an interface file, as far as that can be told without importing its package."""
    try:
        chosen(read_file(str(connection.file)), connection.interface)
    except InterfaceFileError as error:
        yield from map(str, error.problems)
    except (OSError, LookupError) as error:
        yield f"{connection.file}: {getattr(error, 'strerror', None) or error}"


def method_problem(connection: InterfaceConnection, model: str, method: str) -> str:
    """Return why a file has no such model, or the model no such method; empty when it has, or cannot be read."""
    try:
        entry = chosen(read_file(str(connection.file)), connection.interface)
    except (InterfaceFileError, OSError, LookupError):
        return ""
    models = {one.name.text.lower(): one for one in entry.models}
    if model not in models:
        return f"{connection.file.name} has no model {model}; it has {', '.join(models) or 'none'}"
    methods = [word.text for word in entry.methods_of(models[model])]
    if method not in methods:
        return f"model {model} has no method {method}; it has {', '.join(methods) or 'none'}"
    return ""


def _takes_client(made: type) -> bool:
    own = vars(made).get("__init__")
    return own is not None and "client" in inspect.signature(own).parameters


class Model:
    """One model of a connection's interface. Threads may share it, as far as its methods let them."""

    def __init__(self, exchange: Exchange, interface: Any, name: str) -> None:
        self.exchange, self.name = exchange, name
        model = getattr(interface, name, None)
        if model is None:
            raise ConfigError(f"{exchange.name}: the interface has no model {name}")
        self._model = model

    def method(self, name: str) -> Callable[..., Any]:
        """Return a method. Raises ConfigError when there is none."""
        found = getattr(self._model, name, None)
        if not callable(found):
            raise ConfigError(f"{self.exchange.name}: model {self.name} has no method {name}")
        return found  # type: ignore[no-any-return]


class MethodTemplate:
    """One call of a job, compiled once. Threads may share it."""

    def __init__(
        self, model: Model, call: MethodCall, *, writes: bool = False, creates: bool = False, gets: bool = False
    ) -> None:
        self.model, self.call = model, call
        self.said = f"{model.name}.{call.call}"
        self._method = model.method(call.call)
        self._arguments = compile_template(call.arguments)
        self.names = self._arguments.names
        """The top-level names that its arguments read."""
        self.records = Where(call.records) if call.records else None
        self.id = Where(call.id) if call.id else None
        # By the key that it is given, a create is repeated as once; of an update or delete that is so anyhow.
        self._call = Call("CALL", self.said, repeatable=not creates, writes=writes, creates=creates, gets=gets)

    def arguments(self, scope: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the method is called with. Raises RefusedError when that cannot be made."""
        try:
            rendered: Any = self._arguments.render(scope) or {}
        except ValueError as error:
            raise RefusedError(f"the call {self.said} cannot be made: {error}") from error
        return {name: value for name, value in rendered.items() if value is not None and value is not MISSING}

    def make(self, arguments: Mapping[str, Any]) -> Any:
        """Call the method and return what it does. Raises as `Exchange.carry`."""
        return self.carry(lambda: self._method(**arguments))

    def carry(self, deed: Callable[[], T]) -> T:
        """Go on with what the method has begun, such as a generator."""
        return self.model.exchange.carry(self._call, deed)

    def shown(self, arguments: Mapping[str, Any]) -> Sending:
        """Return the call for people; nothing is called."""
        blot = self.model.exchange.blot
        return Sending(method="call", url=self.said, headers={}, body=blot(encode(arguments).decode()))


def scope_of(change: Change) -> Mapping[str, Any]:
    """Return what the arguments of a write may name."""
    return {
        "key": readable(change.key),
        "document": change.sent,
        "changed": change.changed,
        "target": {**(change.before or {}), "id": change.target_id},
        "idempotency_key": change.idempotency_key,
    }
