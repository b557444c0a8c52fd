"""Which remembered records a read has met: one bit a link, so that ten million cost about a megabyte."""

from collections.abc import Iterator, Sequence

BLOCK = 1_024
"""Bytes that are searched at once for links that were not met."""


class Seen:
    """A set of link ids from 1 to `highest`.

    `judged` is the highest link that was there when the read began: only of these may absence be concluded. In a run
    that takes up a read, links between the two were made since then by the run that was cut off.
    """

    def __init__(self, highest: int, *, judged: int | None = None, bits: bytes = b"") -> None:
        self.highest = highest
        self.judged = highest if judged is None else judged
        self._bits = bytearray(highest // 8 + 1)
        self._bits[: len(bits)] = bits

    def add(self, link_id: int) -> None:
        """Note that this link's record was met. Ids above `highest` belong to this run and are ignored."""
        if link_id <= self.highest:
            self._bits[link_id >> 3] |= 1 << (link_id & 7)

    def add_new(self, ids: Sequence[int]) -> bool:
        """Note that the records of these links, all different, were met. False, and none is noted, if one was before.

        Links that follow each other are noted at once.
        """
        first, last = min(ids, default=0), max(ids, default=0)
        if last > self.highest:
            return False
        if last - first > 2 * len(ids):
            is_new = not any(one in self for one in ids)
            for one in ids if is_new else ():
                self.add(one)
            return is_new
        place = slice(first >> 3, (last >> 3) + 1)
        wanted = (1 << last - first + 1) - 1
        for gap in set(range(first, last + 1)).difference(ids):
            wanted ^= 1 << gap - first
        wanted <<= first & 7
        bits = int.from_bytes(self._bits[place], "little")
        if bits & wanted:
            return False
        self._bits[place] = (bits | wanted).to_bytes(place.stop - place.start, "little")
        return True

    def add_all(self, other: "Seen") -> None:
        """Note all that another one met, as far as it concerns this one."""
        for at, bits in enumerate(other._bits[: len(self._bits)]):
            self._bits[at] |= bits

    def __contains__(self, link_id: int) -> bool:
        return link_id <= self.highest and bool(self._bits[link_id >> 3] & 1 << (link_id & 7))

    def unmet(self) -> Iterator[list[int]]:
        """Yield the ids from 1 to `judged` that were not met, in order: none twice, and some at a time.

        Among them are ids of other jobs' links, and of links that are no more.
        """
        met = b"\xff" * BLOCK
        for start in range(0, self.judged // 8 + 1, BLOCK):
            block = bytes(self._bits[start : start + BLOCK])
            if block == met:
                continue
            ids = [
                (start + at) * 8 + bit
                for at, bits in enumerate(block)
                if bits != 0xFF
                for bit in range(8)
                if not bits >> bit & 1
            ]
            some = [one for one in ids if 0 < one <= self.judged]
            if some:
                yield some

    def bits(self, upto: int) -> bytes:
        """Return the set as bytes, with the links of this run's own making, up to `upto`, in it: it met them all."""
        grown = bytearray(self._bits)
        grown.extend(bytes(max(upto // 8 + 1 - len(grown), 0)))
        begin, end = self.highest + 1, upto + 1
        whole = range(-(-begin // 8), end // 8)
        grown[whole.start : whole.stop] = b"\xff" * len(whole)
        for link_id in (*range(begin, min(whole.start * 8, end)), *range(max(whole.stop * 8, begin), end)):
            grown[link_id >> 3] |= 1 << (link_id & 7)
        return bytes(grown)
