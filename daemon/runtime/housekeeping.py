"""Forgets old history: on request, and by itself while the service runs."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

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
    """Prunes each time it is asked and `EVERY` has passed; the first time at once. For one thread."""

    def __init__(self, prune_all: Callable[[], Pruned], clock: Clock, log: Logger) -> None:
        self._prune_all = prune_all
        self._clock = clock
        self._log = log
        self._due = datetime.min.replace(tzinfo=clock().tzinfo)

    def __call__(self) -> None:
        """Prune if it is due. A state that cannot be written now is told, and tried again when it is due next."""
        now = self._clock()
        if timedelta(0) < self._due - now <= EVERY:  # further away, and the clock was set back
            return
        self._due = now + EVERY
        try:
            pruned = self._prune_all()
        except StateError as error:
            self._log.warning("prune.failed", error=str(error))
            return
        if pruned.runs or pruned.changes:
            self._log.info("history.pruned", runs=pruned.runs, changes=pruned.changes)
