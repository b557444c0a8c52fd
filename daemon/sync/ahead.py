"""Reading ahead: the next parts, and the next pages of a source that is waited for, are read by the threads of a pool.

Each part's pages wait in a buffer that is bounded, and come to the run on its own thread, in the order of the parts;
an error comes in its place. No thread ever waits for the run: a task fills the buffer of its part and is over.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from daemon.errors import CrudsdError

from .certificate import End
from .parts import Part
from .ports import Page, Ports

BUFFERED = 2
"""Pages of one part that wait to be taken in, while as many are read."""
WAITED_S = 0.01
"""A page that takes so long is worth another thread: one that comes at once is dearer by it."""

Step: TypeAlias = Page | End


@dataclass(slots=True)
class _Batch:
    """Some steps of one part, and what went wrong after them."""

    steps: list[Step] = field(default_factory=list)
    error: CrudsdError | None = None
    is_last: bool = False


class _Channel:
    """The pages of one part, on their way. Begun and taken from on the run's thread."""

    def __init__(
        self, ports: Ports, scope: Mapping[str, Any], steps: Iterator[Step], is_over: Callable[[], bool]
    ) -> None:
        self.scope = scope
        self._pool = ports.pool
        self._steps = steps
        self._is_over = is_over
        self._coming: Future[_Batch] = self._pool.submit(self._fill)

    def _fill(self) -> _Batch:
        """Read a few steps, on a thread of the pool; one such task of a channel runs at a time."""
        batch = _Batch()
        try:
            while len(batch.steps) < BUFFERED and not self._is_over():
                step = next(self._steps, None)
                if step is None:
                    batch.is_last = True
                    break
                batch.steps.append(step)
        except CrudsdError as error:  # raised again where the run comes to it
            batch.error = error
        return batch

    def __iter__(self) -> Iterator[Step]:
        while True:
            batch = self._coming.result()
            is_last = batch.is_last or batch.error is not None or self._is_over()
            if not is_last:
                self._coming = self._pool.submit(self._fill)
            yield from batch.steps
            if batch.error is not None:
                raise batch.error
            if is_last:
                return

    def stop(self) -> None:
        self._coming.cancel()


class Ahead:
    """The read-ahead of one run, on its thread."""

    def __init__(self, ports: Ports, scope_of: Callable[[Part], Mapping[str, Any]]) -> None:
        """`scope_of` tells what the templates know in a part, before it is its turn."""
        self._ports = ports
        self._scope_of = scope_of
        self._channels: dict[str, _Channel] = {}
        self._read: _Channel | None = None
        """Of the part that is taken in, where its pages are waited for."""
        self._is_over = False

    def over(self, parts: Iterator[Part | End]) -> Iterator[Part | End]:
        """Yield the parts and their End, in order, while those behind are read. Raises as the list does, in place."""
        if self._ports.ahead <= 1:
            yield from parts
            return
        coming: deque[Part | End] = deque()
        error: CrudsdError | None = None
        is_open = True
        while is_open or coming:
            while is_open and len(coming) < self._ports.ahead:
                try:
                    step = next(parts, None)
                except CrudsdError as caught:  # raised again in its place
                    error, step = caught, None
                is_open = step is not None
                if step is not None:
                    coming.append(step)
                    self._begin(step)
            if coming:
                yield coming.popleft()
        if error is not None:
            raise error

    def _begin(self, step: Part | End) -> None:
        if isinstance(step, Part) and step.name and not step.trouble:
            scope = self._scope_of(step)
            self._channels[step.name] = self._channel(scope, self._ports.source.read(scope=scope))

    def _channel(self, scope: Mapping[str, Any], steps: Iterator[Step]) -> _Channel:
        return _Channel(self._ports, scope, steps, lambda: self._is_over)

    def read(self, part: Part, scope: Mapping[str, Any]) -> Iterator[Step]:
        """Return the pages of a part: those that are on their way, or those of a read that begins now."""
        channel = self._channels.pop(part.name, None)
        return self._pages(scope) if channel is None or channel.scope != scope else iter(channel)

    def _pages(self, scope: Mapping[str, Any]) -> Iterator[Step]:
        """Yield the pages of a read, and leave those behind one that was waited for to another thread."""
        steps = self._ports.source.read(scope=scope)
        for step in steps:
            if isinstance(step, Page) and step.took_s >= WAITED_S:
                self._read = channel = self._channel(scope, steps)
                yield step
                yield from channel
                return
            yield step

    def stop(self) -> None:
        """Let no task read on, and forget what was read. A task that waits for an answer ends with it."""
        self._is_over = True
        for channel in (*self._channels.values(), *([self._read] if self._read is not None else [])):
            channel.stop()
        self._channels.clear()
        self._read = None
