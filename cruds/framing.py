"""Bodies as they come over a connection: chunks put together. Pure.

Only what is usual is done here; of anything else it is said that it is not.
"""

import re

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_LONGEST_LINE = 300


class OddError(ValueError):
    """It is not as usual, and may be right all the same."""


def unchunked(raw: bytes, at: int) -> tuple[bytes, int] | None:
    """Return the body that begins here in chunks (RFC 9112 section 7.1), and where it ends; None when it is not whole.

    Raises OddError for trailers, and what is no chunk.
    """
    parts: list[bytes] = []
    while True:
        line = _SIZE.match(raw, at)
        if line is None:
            rest = raw[at : at + _LONGEST_LINE]
            if b"\n" in rest or len(rest) == _LONGEST_LINE:
                raise OddError("no size of a chunk")
            return None
        begin, size = line.end(), int(line[1], 16)
        end = begin + size
        if len(raw) < end + 2:
            return None
        if raw[end : end + 2] != b"\r\n":
            raise OddError("trailers, or a chunk that goes on")
        if not size:
            return b"".join(parts), end + 2
        parts.append(raw[begin:end])
        at = end + 2
