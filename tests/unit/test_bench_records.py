"""The benchmarks' data: the same on every machine, and a checksum that finds every difference."""

import random
from pathlib import Path

import pytest

from bench.records import COLUMNS, edition, record, row_of, tally

ROWS = [row_of(record(number, changed=False)) for number in range(1, 2_001)]


def test_every_machine_makes_the_same_records() -> None:
    assert tally(ROWS) == (2_000, 13094668179600308429)


def test_the_changed_edition_has_about_one_other_record_in_a_hundred() -> None:
    others = [number for number in range(1, 2_001) if record(number, changed=True) != record(number, changed=False)]

    assert len(others) == 19


def test_the_checksum_does_not_depend_on_the_order() -> None:
    mixed = random.Random(1).sample(ROWS, len(ROWS))

    assert tally(mixed) == tally(ROWS)


@pytest.mark.parametrize("column", range(len(COLUMNS)), ids=COLUMNS)
def test_one_value_that_differs_makes_another_checksum(column: int) -> None:
    row = list(ROWS[7])
    row[column] = not row[column] if isinstance(row[column], bool) else row[column] * 2

    assert tally([*ROWS[:7], row, *ROWS[8:]]) != tally(ROWS)


def test_an_edition_in_files_comes_to_what_it_says(tmp_path: Path) -> None:
    made = edition(tmp_path, 1_500)

    again = edition(tmp_path, 1_500)

    assert made == again
    assert (made.pages, made.checksum) == (2, tally(ROWS[:1_500])[1])
    assert len(list((tmp_path / made.name).iterdir())) == 2
