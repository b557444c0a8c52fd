"""Undo gzip (RFC 1952) in one piece: by isal where that is installed, which takes a third of zlib's time."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

_BROKEN: tuple[type[Exception], ...] = (zlib.error,)
_decompressobj: Callable[..., Any] = zlib.decompressobj
try:
    from isal import isal_zlib

    _BROKEN = (zlib.error, isal_zlib.error)  # type: ignore[assignment]  # its stub takes the class for an object
    _decompressobj = isal_zlib.decompressobj
except ImportError:
    pass
_GZIP = 31
"""What zlib calls a window with gzip's head and tail around it."""
_MAGIC = b"\x1f\x8b"


def longest(most: int) -> int:
    """Return how long so many bytes may be when they are packed: what is incompressible grows by five bytes a block."""
    return most + most // 1_000 + 1_024


def inflate(packed: bytes, *, most: int | None, decompressobj: Callable[..., Any] = _decompressobj) -> bytes:
    """Return what was packed: all members one after the other. What is none is left out after the first: servers pad.

    Of more than `most` bytes no more than one is returned in addition. Raises ValueError when it is no gzip, and
    EOFError when it breaks off.
    """
    if not packed.startswith(_MAGIC[: len(packed)]):
        raise ValueError("it does not begin as gzip does")
    parts: list[bytes] = []
    left, rest = most, packed
    while rest:
        member = decompressobj(wbits=_GZIP)
        try:
            parts.append(member.decompress(rest, 0 if left is None else left + 1))
        except _BROKEN as error:
            raise ValueError(str(error)) from error
        if left is not None:
            left -= len(parts[-1])
            if left < 0:
                break
        if not member.eof:
            raise EOFError("what is packed breaks off")
        rest = member.unused_data if member.unused_data.startswith(_MAGIC) else b""
    return b"".join(parts)
