"""What one page comes to on its way through the planner, until it is journalled."""

from dataclasses import dataclass, field
from decimal import Decimal

from daemon.errors import RefusedError
from daemon.values import Document, Record

from .change import Change, Link, Reject
from .counts import Counts, Tally


@dataclass(frozen=True, slots=True)
class Keyed:
    """A record that takes part, with its key."""

    key: str
    record: Record
    raw: bytes
    """The raw fingerprint."""
    place: str = ""
    """Where it stands, as a message begins (`people.csv:17: `); empty where there is nothing to say."""
    at: Decimal | None = None
    """Where it stands by its cursor field; None where it has none."""
    is_gone: bool = False
    """Whether it is a tombstone."""


@dataclass(slots=True)
class Harvest:
    """What one page comes to, until it is journalled."""

    before: Counts
    """Of the run, before this page."""
    changes: list[Change] = field(default_factory=list)
    links: list[tuple[Link, Document | None]] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    rests: list[str] = field(default_factory=list)
    """Keys whose reject of an earlier run stands as it is."""
    _more: Tally = field(default_factory=Tally)

    @property
    def is_empty(self) -> bool:
        """Whether nothing but the counts is to be kept."""
        return not (self.changes or self.links or self.rejects or self.rests)

    @property
    def counts(self) -> Counts:
        """Of the run, with what this page came to so far."""
        return self._more.on(self.before)

    def reject(self, key: str, reason: str, *, error: RefusedError | None = None) -> None:
        """Turn a record away, counted; `error` is what the target said, where it was asked."""
        status, excerpt = (error.status, error.excerpt) if error else (None, "")
        self.rejects.append(Reject(key, reason, status=status, excerpt=excerpt))
        self._more.add("rejected")

    def rest(self, key: str) -> None:
        """Leave a record alone that was rejected before, counted."""
        self.rests.append(key)
        self._more.add("rejected")
        self._more.add("resting")

    def count(self, **more: int) -> None:
        """Raise the named figures."""
        for name, value in more.items():
            self._more.add(name, value)
