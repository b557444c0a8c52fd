"""The way to one destination: a bounded line of alerts, a thread while there are any, a few tries for each.

Each destination has its own, so that one that does not answer holds up no other, and no job.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from daemon.errors import CrudsdError, UnavailableError
from daemon.logs import Logger
from daemon.spec import AlertEvent

MOST = 200
"""So many alerts wait for a destination at most; then the oldest is dropped."""
WAITS_S = (1.0, 5.0, 30.0, 120.0)
"""Between the tries. All in all about as long as a service takes to be restarted."""


class Sender(Protocol):
    """Tells one destination. Used by one thread at a time, but for `close`."""

    @property
    def events(self) -> frozenset[AlertEvent]:
        """What it is told."""

    def send(self, event: AlertEvent, alert: Mapping[str, Any]) -> None:
        """Tell it once. Raises UnavailableError where another try may help, CrudsdError where none will."""

    def close(self) -> None:
        """Let go of what it holds, and end what is under way. May be repeated; it may be used again."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to tell one destination."""

    event: AlertEvent
    alert: Mapping[str, Any]
    done: Callable[[], None]
    """Called once it was told, or given up; not where the service ends before."""


class Countdown:
    """Calls something at the so-many-th call. Threads may share it."""

    def __init__(self, number: int, then: Callable[[], None]) -> None:
        self._left, self._then, self._lock = number, then, threading.Lock()

    def __call__(self) -> None:
        """Count one."""
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last:
            self._then()


class Channel:
    """Tells one destination what it is given, in order. Threads may share it."""

    def __init__(
        self,
        name: str,
        sender: Callable[[], Sender | None],
        log: Logger,
        *,
        waits_s: Sequence[float] = WAITS_S,
        most: int = MOST,
    ) -> None:
        """`sender` is asked anew for each try: a reload may have changed it; None: there is none any more."""
        self._name, self._sender, self._log = name, sender, log
        self._waits_s, self._most = waits_s, most
        self._line: deque[Notice] = deque()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()

    def put(self, notice: Notice) -> None:
        """Line it up. Never waits; a full line drops its oldest."""
        dropped = None
        with self._lock:
            if len(self._line) >= self._most:
                dropped = self._line.popleft()
            self._line.append(notice)
            if self._thread is None:
                self._thread = self._started()
        if dropped is not None:
            self._tell_end("alert.dropped", dropped, f"more than {self._most} alerts wait for {self._name}")
            dropped.done()

    def _started(self) -> threading.Thread | None:
        thread = threading.Thread(target=self._work, name=f"alert {self._name}", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the machine has no thread left; the next alert tries again
            self._log.warning("alert.delayed", alert=self._name, error=str(error))
            return None
        return thread

    def close(self) -> None:
        """Wait between no two tries any more: what is left is tried once, and stays owed where that fails."""
        self._closing.set()

    def join(self, within_s: float) -> bool:
        """Wait until nothing is in line any more; False where that took longer."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(within_s)
        return thread is None or not thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._line:
                    self._thread = None
                    return
                notice = self._line.popleft()
            try:
                is_done = self._tell(notice)
            except Exception as error:  # noqa: BLE001 - the last handler of this thread: no alert ends the service
                self._log.error("alert.crashed", alert=self._name, error=repr(error), exc_info=True)
                is_done = True
            if is_done:
                notice.done()

    def _tell(self, notice: Notice) -> bool:
        """Tell it, with a few tries. False where it is still owed."""
        waits = iter(self._waits_s if notice.event is not AlertEvent.START else ())
        while True:
            try:
                self._once(notice)
            except UnavailableError as error:
                wait_s = next(waits, None)
                if wait_s is None:
                    return self._tell_end("alert.failed", notice, f"{error}; given up")
                if self._closing.wait(wait_s):
                    self._tell_end("alert.failed", notice, f"{error}; told after the next start")
                    return False
            except CrudsdError as error:
                return self._tell_end("alert.failed", notice, str(error))
            else:
                return True

    def _once(self, notice: Notice) -> None:
        sender = self._sender()
        if sender is None:
            self._tell_end("alert.dropped", notice, "the configuration has this alert no more")
            return
        sender.send(notice.event, notice.alert)
        event, job = str(notice.event), notice.alert.get("job", "")
        tell = self._log.debug if event in {AlertEvent.GOOD, AlertEvent.START} else self._log.info
        tell("alert.sent", alert=self._name, told=event, job=job)

    def _tell_end(self, name: str, notice: Notice, error: str) -> bool:
        """Say that it was not told, as what stands in for it."""
        alert = notice.alert
        self._log.warning(
            name,
            alert=self._name,
            told=str(notice.event),
            job=alert.get("job", ""),
            error=error,
            cure=f"crudsd alerts test {self._name}",
        )
        return True
