"""Which remembered records a read has met: one bit a link, so that ten million cost about a megabyte."""


class Seen:
    """A set of link ids from 1 to `highest`."""

    def __init__(self, highest: int) -> None:
        self.highest = highest
        self._bits = bytearray(highest // 8 + 1)

    def add(self, link_id: int) -> None:
        """Note that this link's record was met. Ids above `highest` belong to this run and are ignored."""
        if link_id <= self.highest:
            self._bits[link_id >> 3] |= 1 << (link_id & 7)

    def __contains__(self, link_id: int) -> bool:
        return link_id <= self.highest and bool(self._bits[link_id >> 3] & 1 << (link_id & 7))
