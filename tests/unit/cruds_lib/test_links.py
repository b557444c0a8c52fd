"""RFC 8288, the part that pages need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds.links import links, next_link


@pytest.mark.parametrize(
    ("header", "target"),
    [
        (
            '<https://h.example/?page=2>; rel="next", <https://h.example/?page=9>; rel="last"',
            "https://h.example/?page=2",
        ),
        ("</a>; rel=prev, </b>; REL=NEXT", "/b"),
        ('</a>; title="a, b; rel=\\"next\\""; rel="last", </b>; rel="first next"', "/b"),
        ('</a,b;c>; rel="next"', "/a,b;c"),
        ('</a> ; rel = "next" ;x', "/a"),
        ('</a>; rel="prev"; rel="next"', None),
        ('</a>; rel="nextish"', None),
        ('</a>; rel="next"; anchor="/other"', None),
        ("garbage, </a>; rel=next", None),
        ("<unclosed; rel=next", None),
        ("", None),
        (None, None),
    ],
)
def test_the_next_link_is_the_one_that_says_next(header: str | None, target: str | None) -> None:
    assert next_link(header) == target


_TARGETS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="<>"), min_size=1)
_TITLES = st.text(st.characters(min_codepoint=32, max_codepoint=126))


@given(st.lists(st.tuples(_TARGETS, st.sampled_from(["next", "prev", "last"]), _TITLES), max_size=4))
def test_what_is_written_is_read_back(given_links: list[tuple[str, str, str]]) -> None:
    """Whatever stands in a quoted string changes nothing outside it."""

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    header = ", ".join(f"<{target}>; title={quoted(title)}; rel={quoted(rel)}" for target, rel, title in given_links)
    assert [(t, p["rel"], p["title"]) for t, p in links(header)] == given_links


@given(st.text())
def test_no_header_breaks_the_reader(header: str) -> None:
    next_link(header)
