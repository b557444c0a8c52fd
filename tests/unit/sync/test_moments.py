"""Moments as exact numbers, and back into the form in which the source writes them, never later than meant."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sync.moments import Reckoner, UnfitValueError, number, number_text

FORMS = st.sampled_from(
    [
        "{:%Y-%m-%dT%H:%M:%S}Z",
        "{:%Y-%m-%d %H:%M:%S}+05:30",
        "{:%Y-%m-%dT%H:%M:%S}.{}Z",
        "{:%Y-%m-%d %H:%M:%S}.{}",
        "{:%Y-%m-%dT%H:%M:%S},{}-0800",
        "{:%Y-%m-%dT%H:%M}",
        "{:%Y-%m-%d}",
    ]
)
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 - of no zone yet
FRACTIONS = st.text("0123456789", min_size=1, max_size=12)


@given(FORMS, MOMENTS, FRACTIONS)
def test_a_moment_comes_back_as_it_was_written(form: str, moment: datetime, fraction: str) -> None:
    text = form.format(moment, fraction)
    reckoner = Reckoner("UTC")

    assert reckoner.text(reckoner.position(text), text) == text


@given(FORMS, MOMENTS, FRACTIONS, st.integers(0, 10**12))
@pytest.mark.edge(3)
def test_what_is_written_is_never_later_than_meant_and_less_than_a_unit_earlier(
    form: str, moment: datetime, fraction: str, back: int
) -> None:
    like = form.format(moment, fraction)
    reckoner = Reckoner("UTC")
    meant = reckoner.position(like) - Decimal(back).scaleb(-9)

    written = reckoner.position(reckoner.text(meant, like))

    unit = 86400 if form.endswith("%d}") else 60 if form.endswith("%M}") else 1
    assert meant - unit < written <= meant


@given(st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]), MOMENTS)
@pytest.mark.edge(4)
def test_a_bound_in_local_time_never_lies_behind_what_was_meant_whichever_way_it_is_read(
    zone: str, moment: datetime
) -> None:
    reckoner = Reckoner(zone)
    meant = reckoner.position(moment.replace(microsecond=0, tzinfo=UTC).isoformat())

    text = str(reckoner.text(meant, "2026-01-01 00:00:00"))

    for fold in (0, 1):
        read = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
        assert Decimal(int(read.timestamp())) <= meant
        assert read.astimezone(UTC) > moment.replace(tzinfo=UTC) - timedelta(hours=2, seconds=2)


@pytest.mark.edge(4)
def test_of_a_time_that_comes_twice_the_earlier_counts_and_one_that_never_comes_is_later() -> None:
    berlin = Reckoner("Europe/Berlin")

    assert berlin.position("2026-10-25 02:30:00") == Reckoner().position("2026-10-25T00:30:00Z")
    assert berlin.position("2026-03-29 02:30:00") == Reckoner().position("2026-03-29T01:30:00Z")


@pytest.mark.parametrize(
    ("unit", "value", "seconds"),
    [("s", 1767225600, "1767225600"), ("ms", 1767225600123, "1767225600.123"), ("ns", 1, "0.000000001")],
)
def test_numbers_count_from_1970_in_their_unit(unit: str, value: int, seconds: str) -> None:
    reckoner = Reckoner(unit=unit)

    assert reckoner.position(value) == Decimal(seconds)
    assert reckoner.text(Decimal(seconds), value) == value


@pytest.mark.parametrize(
    "value", [None, True, "", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00+99:00"]
)
def test_what_is_no_moment_is_refused_with_a_reason(value: object) -> None:
    with pytest.raises(UnfitValueError):
        Reckoner().position(value)


def test_a_leap_second_is_the_first_of_the_next_minute() -> None:
    assert Reckoner().position("2016-12-31T23:59:60Z") == Reckoner().position("2017-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("value", "less"), [(9007199254740993, 9007199254740992), ("42", "41"), (Decimal("1.5"), Decimal("0.5"))]
)
def test_a_number_keeps_its_digits_and_its_form(value: object, less: object) -> None:
    assert number_text(number(value) - 1, value) == less


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("0001-01-01T00:00:00", "Europe/Berlin"),
        ("0001-01-01T00:00:00+02:00", None),
        ("9999-12-31T23:59:59", "America/New_York"),
        ("9999-12-31T23:59:60Z", None),
    ],
)
def test_a_moment_that_no_calendar_has_in_utc_is_no_cursor_and_no_crash(text: str, zone: str | None) -> None:
    with pytest.raises(UnfitValueError):
        Reckoner(zone).position(text)


def test_nothing_is_taken_off_the_first_moment_that_there_is() -> None:
    reckoner = Reckoner()
    first, later = "0001-01-01T00:00:00Z", "0001-01-01T00:10:00Z"

    assert reckoner.text(reckoner.position(first) - 300, first) == first
    assert reckoner.text(reckoner.position(later) - 300, later) == "0001-01-01T00:05:00Z"
