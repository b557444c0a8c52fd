"""What servers say of our budget, in their dialects; and that nothing they say breaks us or stops us for ever."""

from datetime import UTC, datetime
from math import isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.endpoints.rate_headers import LONGEST_S, Stated, asked_wait, stated_budgets

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
DATE = "Mon, 23 Nov 2026 12:00:00 GMT"


def now() -> datetime:
    return NOW


@pytest.mark.edge(50)
@pytest.mark.parametrize(
    ("headers", "stated"),
    [
        ({"ratelimit": '"default";r=50;t=30'}, [Stated("default", 50, 30)]),
        (
            {"ratelimit": '"default";r=0;t=7', "ratelimit-policy": '"default";q=100;w=60'},
            [Stated("default", 0, 7, 100)],
        ),
        (
            {
                "ratelimit": '"burst";r=1;t=5, "day";r=900;t=3600',
                "ratelimit-policy": '"burst";q=10;w=10,"day";q=1000;w=86400',
            },
            [Stated("burst", 1, 5, 10), Stated("day", 900, 3600, 1000)],
        ),
        ({"ratelimit": '"a, b;c";r=3;t=4'}, [Stated("a, b;c", 3, 4)]),
        ({"ratelimit": "default;r=3;t=4"}, [Stated("default", 3, 4)]),
        ({"ratelimit": '"p";r=3;t=4;pk=:YWJj:'}, [Stated("p;:YWJj:", 3, 4)]),
        ({"ratelimit": '"p";r=0', "ratelimit-policy": '"p";q=9;w=60'}, [Stated("p", 0, 60, 9)]),
        ({"ratelimit": '"p";r=0'}, [Stated("p", 0, None)]),
        ({"ratelimit": "limit=100, remaining=50, reset=5", "ratelimit-policy": "100;w=60"}, [Stated("", 50, 5, 100)]),
        (
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "0", "ratelimit-reset": "50"},
            [Stated("", 0, 50, 100)],
        ),
        ({"x-ratelimit-remaining": "7", "x-ratelimit-limit": "10"}, [Stated("", 7, None, 10)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "90"}, [Stated("", 0, 90)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1.5"}, [Stated("", 0, 1.5)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW_S + 90)}, [Stated("", 0, 90)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW_S + 90}.25"}, [Stated("", 0, 90.25)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str((NOW_S + 90) * 1000)}, [Stated("", 0, 90)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(NOW_S - 90)}, [Stated("", 0, 0)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "Mon, 23 Nov 2026 12:01:30 GMT"}, [Stated("", 0, 90)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2026-11-23T12:01:30Z"}, [Stated("", 0, 90)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2026-11-23T12:01:30"}, [Stated("", 0, 90)]),
        ({"x-rate-limit-remaining": "1", "x-rate-limit-reset": str(NOW_S + 5)}, [Stated("", 1, 5)]),
        (
            {"x-ratelimit-remaining": "1", "x-ratelimit-reset-after": "0.65", "x-ratelimit-bucket": "abcd"},
            [Stated("abcd", 1, 0.65)],
        ),
        (
            {"x-ratelimit-remaining": "1", "x-ratelimit-reset": str(NOW_S + 5), "x-ratelimit-resource": "search"},
            [Stated("search", 1, 5)],
        ),
        # The server's clock is an hour ahead, and so is its reset.
        (
            {
                "date": "Mon, 23 Nov 2026 13:00:00 GMT",
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": str(NOW_S + 3690),
            },
            [Stated("", 0, 90)],
        ),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999"}, [Stated("", 0, LONGEST_S)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 17}, [Stated("", 0, LONGEST_S)]),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}, [Stated("", 0, None)]),
        ({"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "5"}, []),
        ({"x-ratelimit-remaining": "unlimited"}, []),
        ({"x-ratelimit-reset": "5"}, []),
        ({"ratelimit": "what is this;;;=,,"}, []),
        ({"ratelimit": ""}, []),
        ({}, []),
    ],
)
def test_every_dialect_is_read_and_nonsense_is_not(headers: dict[str, str], stated: list[Stated]) -> None:
    assert list(stated_budgets(headers, now)) == stated


@pytest.mark.edge(49)
@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("120", 120),
        ("36000", 36_000),
        ("Mon, 23 Nov 2026 22:00:00 GMT", 36_000),
        ("Mon, 23 Nov 2020 22:00:00 GMT", 0),
        ("9" * 400, LONGEST_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_S),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_and_bounded(text: str, wait_s: float | None) -> None:
    assert asked_wait({"retry-after": text, "date": DATE}, now) == wait_s


PIECES = st.sampled_from(
    ['"', ";", ",", "=", "r", "t", "q", "w", "0", "9", "99999999999", ".", "-", "limit", "remaining", "reset", ":", " "]
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.lists(PIECES, max_size=20).map("".join),
    st.integers().map(str),
    st.floats().map(str),
    st.datetimes().map(str),
    st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT")),
)
NAMES = [
    f"{prefix}-{word}"
    for prefix in ("ratelimit", "x-ratelimit", "x-rate-limit")
    for word in ("limit", "remaining", "reset", "reset-after", "resource", "bucket", "policy")
]


@given(st.dictionaries(st.sampled_from([*NAMES, "ratelimit", "retry-after", "date"]), TEXTS))
def test_whatever_the_headers_say_a_wait_is_bounded(headers: dict[str, str]) -> None:
    wait_s = asked_wait(headers, now)
    assert wait_s is None or 0 <= wait_s <= LONGEST_S

    for one in stated_budgets(headers, now):
        assert one.remaining >= 0
        assert isfinite(one.remaining)
        assert one.reset_s is None or 0 <= one.reset_s <= LONGEST_S


def test_a_huge_header_is_read_in_no_time() -> None:
    assert stated_budgets({"ratelimit": '"a";r=1;t=2,' + '"' * 1_000_000}, now)[0] == Stated("a", 1, 2)
