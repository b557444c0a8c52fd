"""A match that can never equal the key is refused: nothing would be adopted, and a lost create would be made again."""

from pathlib import Path

import pytest

from tests.unit.spec.test_answers import accepts, problems

KEY = "    key: record.id\n"
TWO = "    key: [record.region, record.id]\n"
TARGET = 'target: {connection: hr, create: users, update: "users/{{ target.id }}"}'


def matching(match: str, key: str = TWO) -> tuple[tuple[str, str], ...]:
    return (KEY, key), (TARGET, TARGET.replace("create:", f"match: {match}, list: users, create:"))


@pytest.mark.parametrize("match", ["ref", "fields.ref"])
def test_one_field_is_no_match_for_a_key_of_two_parts(match: str, tmp_path: Path) -> None:
    assert problems(tmp_path, *matching(match)) == [
        (
            "jobs.people.target.match",
            "the key has 2 parts, and one field never equals them all",
            'name a field for each (example: match: "[region, id]")',
        )
    ]


@pytest.mark.parametrize(
    ("match", "key"), [('"[region, id]"', TWO), ("ref", KEY), ("ref", "    key: [record.id]\n"), ('"ref[:]"', TWO)]
)
def test_as_many_fields_as_the_key_has_parts_are_one(match: str, key: str, tmp_path: Path) -> None:
    accepts(tmp_path, *matching(match, key))
