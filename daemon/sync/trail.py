"""Recognise records by their bytes alone, in the order in which their links came to be.

A source mostly shows what it showed last time, in the same order, and links were numbered in that order. So the raw
fingerprints of the next links are read ahead, and a record is found among them without being parsed, keyed, or looked
up by its key. What is not found there says nothing: it goes the whole way. Nothing is kept beside the links
themselves, so nothing can be out of date.
"""

from collections.abc import Sequence
from itertools import islice

from .ports import Links

STRIDE = 1_000
"""Links that are read at a time, or as many as the page has records."""
KEPT = 3
"""Strides of links that were passed and not met, for records that moved on or changed."""


class Trail:
    """The links of one job beside the records of one read. Not shared between threads."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._ahead: dict[bytes, tuple[int, bytes, str]] = {}
        """By raw fingerprint, in the order of the links; each is found once."""
        self._at = 0
        """The last link that was read."""
        self._is_over = False

    def find(self, raws: Sequence[bytes], part: str) -> list[int]:
        """Return the link of each raw fingerprint, 0 where none in this part is near; no link twice."""
        if len(self._ahead) < len(raws):
            self._read(len(raws))
        found = [self._ahead.pop(raw, None) for raw in raws]
        if None in found and not self._is_over:
            self._read(len(raws))
            found = [one or self._ahead.pop(raw, None) for one, raw in zip(found, raws, strict=True)]
        return [0 if one is None or one[2] != part else one[0] for one in found]

    def learn(self, ids: Sequence[int], *, of: int) -> None:
        """Go on behind these links, which were found otherwise, if they are the most of a page `of` so many records."""
        if len(ids) * 2 > of:
            self._ahead.clear()
            self._at, self._is_over = ids[-1], False

    def _read(self, number: int) -> None:
        """Read the next links, and forget what was passed long ago."""
        if self._is_over:
            return
        limit = max(number, STRIDE)
        rows = self._links.raws(self._at, limit)
        self._is_over = len(rows) < limit
        if rows:
            self._at = rows[-1][0]
        self._ahead.update((row[1], row) for row in rows)
        if len(self._ahead) > KEPT * limit:
            self._ahead = dict(islice(self._ahead.items(), len(self._ahead) - KEPT * limit, None))
