"""Recognise records by their bytes alone, in the order in which their links came to be.

A source mostly shows what it showed last time, in the same order, and links were numbered in that order. So the raw
fingerprints of the next links are read ahead, and a record is found among them without being parsed, keyed, or looked
up by its key. What is not found there says nothing: it goes the whole way. Nothing is kept beside the links
themselves, so nothing can be out of date.
"""

from collections import deque
from collections.abc import Sequence
from itertools import takewhile

from .ports import Links

STRIDE = 1_000
"""Links that are read at a time, or as many as the page has records."""
AHEAD = 4
"""Strides that are read ahead of the records at most: links of changes that were under way together are numbered as
they were answered."""
BEHIND = 2
"""Strides that are kept of what was passed and not met, for records that moved on."""


class Trail:
    """The links of one job beside the records of one read. Not shared between threads."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._near: dict[bytes, tuple[int, bytes, str]] = {}
        """Links by raw fingerprint, in their order; each is found once."""
        self._at = 0
        """The last link that was read."""
        self._is_over = False
        self._strides: deque[int] = deque(maxlen=AHEAD + BEHIND)
        """Where the latest strides began."""

    def find(self, raws: Sequence[bytes], part: str) -> list[int]:
        """Return the link of each raw fingerprint, 0 where none in this part is near; no link twice."""
        stride = max(len(raws), STRIDE)
        if len(self._near) < len(raws):
            self._read(stride)
        found = [self._near.pop(raw, None) for raw in raws]
        while None in found and not self._is_over and len(self._near) < AHEAD * stride:
            self._read(stride)
            found = [one or self._near.pop(raw, None) for one, raw in zip(found, raws, strict=True)]
        return [0 if one is None or one[2] != part else one[0] for one in found]

    def learn(self, ids: Sequence[int], *, of: int) -> None:
        """Go on behind these links, which were found otherwise, if they are the most of a page `of` so many records."""
        if len(ids) * 2 > of:
            self._near.clear()
            self._strides.clear()
            self._at, self._is_over = ids[-1], False

    def _read(self, number: int) -> None:
        """Read the next links, and forget what was passed long ago."""
        if self._is_over:
            return
        if len(self._strides) == AHEAD + BEHIND:
            passed = takewhile(lambda row: row[0] <= self._strides[0], self._near.values())
            for row in list(passed):
                del self._near[row[1]]
        self._strides.append(self._at)
        rows = self._links.raws(self._at, number)
        self._is_over = len(rows) < number
        self._at = rows[-1][0] if rows else self._at
        self._near.update({row[1]: row for row in rows})
