"""A target in memory that keeps what it is sent in its own way, as real ones do."""

from collections.abc import Callable, Mapping
from typing import Any

from daemon.endpoints.memory import MemoryTarget
from daemon.sync.change import Change
from daemon.sync.ports import Written

Keep = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class NormalisingTarget(MemoryTarget):
    """Stores `keep(record)` in place of each record it is asked to hold."""

    def __init__(self, keep: Keep, *, match: str = "no") -> None:
        super().__init__(match=match)
        self.keep = keep

    def create(self, change: Change) -> Written:
        written = super().create(change)
        self._normalise(written.id or "")
        return written

    def update(self, change: Change) -> Written:
        written = super().update(change)
        self._normalise(change.target_id or "")
        return written

    def _normalise(self, target_id: str) -> None:
        self.records[target_id] = self.keep(self.records[target_id])


def keeping(**fields: Callable[[Any], Any]) -> Keep:
    """Return a way to keep records that changes these fields, where they are there."""

    def keep(record: Mapping[str, Any]) -> Mapping[str, Any]:
        return {name: fields[name](value) if name in fields else value for name, value in record.items()}

    return keep
