"""What was packed comes out, by either library, and nothing else does."""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from isal import isal_zlib

from cruds.inflate import inflate

Make = Callable[..., Any]
LIBRARIES: dict[str, Make] = {"isal": isal_zlib.decompressobj, "zlib": zlib.decompressobj}
by_each = pytest.mark.parametrize("make", LIBRARIES.values(), ids=list(LIBRARIES))


@given(bodies=st.lists(st.binary(max_size=300), max_size=3), behind=st.sampled_from([b"", b"\x00" * 9, b"more"]))
@by_each
def test_members_come_out_one_after_the_other_without_what_is_behind_them(
    make: Make, bodies: list[bytes], behind: bytes
) -> None:
    packed = b"".join(map(gzip.compress, bodies)) + (behind if bodies else b"")

    assert inflate(packed, most=None, decompressobj=make) == b"".join(bodies)


@by_each
@pytest.mark.parametrize("cut", [1, 5, 12])
def test_what_breaks_off_is_no_answer(make: Make, cut: int) -> None:
    with pytest.raises(EOFError, match=r"breaks off"):
        inflate(gzip.compress(b"people" * 100)[:-cut], most=None, decompressobj=make)


@by_each
@pytest.mark.parametrize("packed", [b"{}", b"\x1f\x8bnothing of the kind", zlib.compress(b"people")])
def test_what_is_no_gzip_is_refused(make: Make, packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        inflate(packed, most=None, decompressobj=make)


@by_each
def test_a_bomb_is_not_unpacked_beyond_the_limit(make: Make) -> None:
    bomb = gzip.compress(b"\x00" * 10_000_000) * 2

    assert len(inflate(bomb, most=1_000, decompressobj=make)) == 1_001
    assert len(inflate(gzip.compress(b"x" * 1_000), most=1_000, decompressobj=make)) == 1_000
