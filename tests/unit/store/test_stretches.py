"""Changes that follow one another are one stretch."""

import pytest

from daemon.errors import StateError
from daemon.store.stretches import check, stretches
from daemon.sync.change import Fate


@pytest.mark.parametrize(
    ("seqs", "found"),
    [
        ([], []),
        ([7], [(7, 7)]),
        ([3, 1, 2], [(1, 3)]),
        ([1, 2, 5, 6, 9], [(1, 2), (5, 6), (9, 9)]),
        ([1, 1, 3], [(1, 1), (1, 1), (3, 3)]),
    ],
)
def test_numbers_are_put_together_only_where_none_is_between_them(
    seqs: list[int], found: list[tuple[int, int]]
) -> None:
    assert stretches(seqs) == found


def test_a_statement_that_met_fewer_rows_than_changes_is_an_error() -> None:
    check(2, 2, Fate.SENT)
    with pytest.raises(StateError, match="1 of 2 changes are not where they may become sent"):
        check(1, 2, Fate.SENT)
