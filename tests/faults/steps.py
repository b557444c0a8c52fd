"""Inside a `crudsd` process: number every step of a run, and be killed, stopped or told to end at one of them.

What a step is comes from the program itself. Every port in `Ports` is found by its Protocol, and every call of one is
a step before and a step after; so is every public method of the runs, the leases and the token store, and every write
transaction, before its commit and after it. A method that is added tomorrow is a step tomorrow.

`python -m tests.faults.steps '{…}' run people` runs the `crudsd` script itself, on an interpreter of its own.
"""

import inspect
import json
import runpy
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, get_type_hints

SIGNALS = {"kill": signal.SIGKILL, "end": signal.SIGTERM, "pause": signal.SIGSTOP}


@dataclass(frozen=True, slots=True)
class Order:
    """What a process is to do besides its work. Everything is optional."""

    at: str = ""
    """The step at which it is struck, as the list of steps names it."""
    by: str = "kill"
    """A word of `SIGNALS`."""
    steps: str = ""
    """A file to write the name of every step to, a line each."""
    slice_changes: int = 0
    """Changes in a slice, in place of the program's own 50,000."""
    lease_s: float = 0
    """How long a lease lives, in place of the program's own half minute."""
    beat_s: float = 0
    """How often a lease is renewed, in place of the program's own ten seconds."""
    busy_s: float = 0
    """How long a write waits for a lock, in place of the program's own ten seconds."""


class Steps:
    """Counts the steps of this process. Threads may share it."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._file = Path(order.steps).open("w", encoding="utf-8") if order.steps else None  # noqa: SIM115

    def reach(self, what: str, moment: str) -> None:
        """Count a step, and be struck if this is the one."""
        with self._lock:
            self._counts[f"{what} {moment}"] += 1
            step = f"{what} {moment} #{self._counts[f'{what} {moment}']}"
            if self._file is not None:
                self._file.write(f"{step}\n")
                self._file.flush()
        if step == self._order.at:
            # To this thread, so that it does not take another step before the signal reaches it.
            signal.pthread_kill(threading.get_ident(), SIGNALS[self._order.by])

    def call(self, what: str, work: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Call something, a step before and a step after; so with each item, or each end of a block, it gives."""
        self.reach(what, "before")
        try:
            result = work(*arguments, **more)
        except Exception:
            self.reach(what, "failed")
            raise
        if isinstance(result, AbstractContextManager) and not isinstance(result, threading.Thread):
            return _Block(self, what, result)
        if isinstance(result, Iterator):
            return self._walk(what, result)
        self.reach(what, "after")
        return result

    def _walk(self, what: str, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self.reach(what, "gave")
            yield item
        self.reach(what, "after")


class _Block(AbstractContextManager[Any]):
    """A `with` block whose beginning and end are steps: for a transaction, before its commit and after it."""

    def __init__(self, steps: Steps, what: str, inner: AbstractContextManager[Any]) -> None:
        self._steps, self._what, self._inner = steps, what, inner

    def __enter__(self) -> Any:
        value = self._inner.__enter__()
        self._steps.reach(self._what, "entered")
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is None:
            self._steps.reach(self._what, "leaving")
        swallowed = self._inner.__exit__(kind, error, trace)
        if kind is None:
            self._steps.reach(self._what, "after")
        return swallowed


class _Port:
    """A port, each call of which is a step."""

    def __init__(self, steps: Steps, protocol: type, inner: Any) -> None:
        self._steps, self._protocol, self._inner = steps, protocol, inner

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return partial(self._steps.call, f"{self._protocol.__name__}.{name}", value) if callable(value) else value


def protocols() -> dict[str, type]:
    """The ports of a run that are Protocols, by their field in `Ports`."""
    from daemon.sync.ports import Ports

    return {name: hint for name, hint in get_type_hints(Ports).items() if getattr(hint, "_is_protocol", False)}


def methods(of: type) -> list[str]:
    """The public methods of a class, inherited ones too."""
    return [name for name, _ in inspect.getmembers(of, inspect.isfunction) if not name.startswith("_")]


def stores() -> list[tuple[type, list[str]]]:
    """The classes behind no port of the core whose calls are steps too."""
    from daemon.store.database import Database
    from daemon.store.leases import Leases
    from daemon.store.runs import RunStore
    from daemon.store.tokens import SqlTokenStore

    return [*((one, methods(one)) for one in (RunStore, Leases, SqlTokenStore)), (Database, ["write", "migrate"])]


def watch(order: Order) -> None:
    """Make the steps of this process count, from outside: nothing in the program knows of it."""
    from daemon import app
    from daemon.store import heartbeat, leases
    from daemon.sync import engine

    steps = Steps(order)
    if order.lease_s:
        _always(leases.Leases, "acquire", ttl_s=order.lease_s)
    if order.beat_s:
        _always(heartbeat.Heartbeat, "__init__", every_s=order.beat_s)
    if order.busy_s:
        _always(app, "open_database", busy_timeout_s=order.busy_s)
    for owner, names in stores():
        for name in names:
            setattr(owner, name, watched(steps, f"{owner.__name__}.{name}", getattr(owner, name)))
    # By its name, as from outside: the worker looks it up in the module each time.
    vars(engine)["run"] = _watched_run(steps, order, engine.run)


def _always(owner: Any, name: str, **more: float) -> None:
    """Let a function have these arguments, whatever it is given."""
    function = getattr(owner, name)

    @wraps(function)
    def call(*arguments: Any, **given: Any) -> Any:
        return function(*arguments, **{**given, **more})

    setattr(owner, name, call)


def watched(steps: Steps, what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **more: Any) -> Any:
        return steps.call(what, function, *arguments, **more)

    return call


def _watched_run(steps: Steps, order: Order, run: Callable[..., Any]) -> Callable[..., Any]:
    def call(job: Any, ports: Any, options: Any) -> Any:
        seen = {name: _Port(steps, protocol, getattr(ports, name)) for name, protocol in protocols().items()}
        observe = ports.observe

        def told(event: Any) -> None:
            steps.call(f"observe.{type(event).__name__}", observe, event)

        if order.slice_changes:
            options = replace(options, slice_changes=order.slice_changes)
        return run(job, replace(ports, **seen, observe=told), options)

    return call


def as_text(order: Order) -> str:
    """The order for a command line or a pipe."""
    return json.dumps(asdict(order))


def as_order(text: str) -> Order:
    """The order in such a text."""
    known = {field.name for field in fields(Order)}
    return Order(**{name: value for name, value in json.loads(text).items() if name in known})


if __name__ == "__main__":
    watch(as_order(sys.argv[1]))
    script = str(Path(sys.executable).with_name("crudsd"))
    sys.argv = [script, *sys.argv[2:]]
    runpy.run_path(script, run_name="__main__")
