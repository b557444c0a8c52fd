"""A set of names that costs sixteen bytes each and some room, for a hundred thousand of them and more."""

import hashlib
from array import array

_FIRST = 1 << 10
_FULL = 0.6


class Names:
    """Which names have come, and where. Two names are taken for one at odds of one to 2 to the 64."""

    def __init__(self) -> None:
        self._count = 0
        self._make(_FIRST)

    def add(self, name: str, place: int) -> int:
        """Note a name that comes at a place, counted from 1; return where it came first, 0 where it is new."""
        self._count += 1
        if self._count > len(self._marks) * _FULL:
            self._grow()
        mark = _mark(name)
        at = self._find(mark)
        if self._marks[at]:
            return self._places[at]
        self._marks[at], self._places[at] = mark, place
        return 0

    def __contains__(self, name: str) -> bool:
        return bool(self._marks[self._find(_mark(name))])

    def _find(self, mark: int) -> int:
        at = mark % len(self._marks)
        while self._marks[at] not in (0, mark):
            at = (at + 1) % len(self._marks)
        return at

    def _grow(self) -> None:
        marks, places = self._marks, self._places
        self._make(len(marks) * 2)
        for mark, place in zip(marks, places, strict=True):
            if mark:
                at = self._find(mark)
                self._marks[at], self._places[at] = mark, place

    def _make(self, room: int) -> None:
        self._marks, self._places = array("Q", bytes(8 * room)), array("Q", bytes(8 * room))


def _mark(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) or 1
