"""A changed key shown as what it looks like: one record to delete, one to create, the same in everything but the key.

This is a remark for whoever reads the plan. Nothing is planned or guarded otherwise for it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from daemon.values import Document

from .canonical import fingerprint
from .change import Kind, Link
from .mapping import JobMapping

CREATES_KEPT = 10_000
"""Creates that are kept in mind, some two megabytes. A run with more of them tells of no key change: it is a first
load, or something else than people who got new numbers."""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A create and a delete that look like one record whose key has changed."""

    before: str
    """The key that is gone from the source."""
    after: str
    """The key that is new."""


def by_change(changes: Sequence[KeyChange]) -> Mapping[tuple[Kind, str], KeyChange]:
    """Return the key changes by kind and key of both changes that each is made of."""
    both = [((Kind.DELETE, one.before), one) for one in changes] + [((Kind.CREATE, one.after), one) for one in changes]
    return dict(both)


class KeyChanges:
    """Finds the key changes of one run, on its thread. Two candidates on either side are none: that would be a guess.

    `look` is called after the last `created`.
    """

    def __init__(self, mapping: JobMapping) -> None:
        self._key_fields = mapping.key_fields
        self.expected = False
        """Whether the run may delete anything at all; without that nothing is kept in mind."""
        self._creates = 0
        self._created: dict[bytes, str | None] = {}
        self._gone: dict[bytes, str | None] = {}

    @property
    def found(self) -> tuple[KeyChange, ...]:
        """The key changes so far, in the order in which the old keys were met."""
        return tuple(
            KeyChange(before, after)
            for mark, before in self._gone.items()
            if before is not None and (after := self._created[mark]) is not None
        )

    def created(self, key: str, document: Document) -> None:
        """Keep a planned create in mind."""
        if not self.expected:
            return
        self._creates += 1
        if self._creates > CREATES_KEPT:
            self.expected = False
            self._created.clear()
        elif (mark := self._mark(document)) is not None:
            self._created[mark] = None if mark in self._created else key

    def look(self, gone: Sequence[Link], documents: Callable[[Sequence[int]], Mapping[int, Document]]) -> None:
        """Compare records that are to be deleted with what is created, as far as their `documents` are remembered."""
        if not self._created:
            return
        remembered = documents([link.id for link in gone])
        for link in gone:
            mark = self._mark(remembered[link.id]) if link.id in remembered else None
            if mark is not None and mark in self._created:
                self._gone[mark] = None if mark in self._gone else link.key

    def _mark(self, document: Document) -> bytes | None:
        """Return what tells documents apart but for their keys; None where nothing is left to compare."""
        rest = {name: value for name, value in document.items() if name not in self._key_fields}
        return fingerprint(rest) if rest else None
