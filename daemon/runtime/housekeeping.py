"""Forgets old history: on request, and by itself while the service runs."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Self

from daemon.clock import Clock
from daemon.errors import StateError
from daemon.logs import Logger
from daemon.spec.retention import Retention
from daemon.store.database import Database
from daemon.store.retention import Pruned, prune

EVERY = timedelta(hours=6)
"""Often enough that there is never much to forget at once."""


def prune_now(database: Database, retention: Retention, clock: Clock, *, stop: threading.Event | None = None) -> Pruned:
    """Forget what is older than it has to be kept. Repeating it finds nothing more; `stop` ends it early."""
    now = clock()
    runs_before, changes_before = now - retention.runs, now - retention.changes
    return prune(database, runs_before=runs_before, changes_before=changes_before, stop=stop)


class Housekeeper:
    """Prunes each time it is asked and `EVERY` has passed; the first time at once. For one thread.

    On a thread of its own: years of history take longer to forget than the watchdog waits. The end of the block waits
    for it, so `prune_all` has to end early when the service does.
    """

    def __init__(self, prune_all: Callable[[], Pruned], clock: Clock, log: Logger) -> None:
        self._prune_all = prune_all
        self._clock = clock
        self._log = log
        self._due = datetime.min.replace(tzinfo=clock().tzinfo)
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.join()

    def __call__(self) -> None:
        """Begin to prune if it is due. A state that cannot be written is told, and tried again when it is due next."""
        now = self._clock()
        if timedelta(0) < self._due - now <= EVERY:  # further away, and the clock was set back
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._due = now + EVERY
        self._thread = threading.Thread(target=self._prune, name="housekeeping", daemon=True)
        self._thread.start()

    def _prune(self) -> None:
        try:
            pruned = self._prune_all()
        except StateError as error:
            self._log.warning("prune.failed", error=str(error))
            return
        except Exception as error:  # noqa: BLE001 - the last handler of this thread: old history ends no service
            self._log.error("prune.crashed", error=repr(error), exc_info=True)
            return
        if pruned.runs or pruned.changes:
            self._log.info("history.pruned", runs=pruned.runs, changes=pruned.changes)
