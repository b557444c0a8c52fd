"""Tombstones beside records of the same key: what stands is not dead, and who died twice is dead once.

A record that was read after its tombstone was made anew, or stands in another part of the source by now. The other way
round nothing is decided here: then either may be the older one.
"""

from collections.abc import Mapping

from .change import Fate, Link
from .harvest import Harvest, Keyed
from .journal import Journal


class Tombs:
    """The tombstones of one read. Not shared between threads."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._buried: set[str] = set()
        """Keys of those that met a link on a page before, and of which no record was read since."""
        self._here: set[str] = set()
        """The same, of this page: what stands before them on it did not rise."""

    def sift(self, keyed: list[Keyed], links: Mapping[str, Link], harvest: Harvest, *, part: str | None) -> list[Keyed]:
        """Return the records without those tombstones that are out of date, which are counted as skipped.

        `part` is the one that is read; None where a record cannot stand in another one under the same key.
        """
        self._buried |= self._here
        latest = {one.key: place for place, one in enumerate(keyed)}
        left = []
        for place, one in enumerate(keyed):
            if one.is_gone and (
                place < latest[one.key] or one.key in self._buried or self._is_elsewhere(one.key, links, part)
            ):
                harvest.count(skipped=1)
            else:
                left.append(one)
        self._here = {one.key for one in left if one.is_gone and one.key in links}
        return left

    def _is_elsewhere(self, key: str, links: Mapping[str, Link], part: str | None) -> bool:
        """Say whether a record was met last in another part than the one that tells of its end."""
        link = links.get(key)
        if not part or link is None:
            return False
        return (self._journal.part_of(key) or link.part) not in ("", part)

    def rises(self, one: Keyed, fate: Fate | None, harvest: Harvest) -> bool:
        """Say whether a record stands although a tombstone told of its end; a delete that is planned is taken back."""
        if one.is_gone or one.key not in self._buried:
            return False
        self._buried.discard(one.key)
        if fate is Fate.PLANNED:
            harvest.count(deletes_pending=-1)
            self._journal.spoil(one.key, None, harvest.counts)
        return True
