"""A query value that `paginate` and `params` both give: paginate's would win, so one of the two has to go."""

from pathlib import Path

import pytest

from daemon.spec import SpecError, load
from tests.unit.spec.files import good_but, write

SOURCE = "source: {connection: hr, read: employees}"
TARGET = 'target: {connection: hr, create: users, update: "users/{{ target.id }}"}'


def problems(folder: Path, *changes: tuple[str, str]) -> list[tuple[str, str | None]]:
    write(folder, good_but(*changes))
    try:
        load(folder)
    except SpecError as error:
        return [(f"{one.path}: {one.message}", one.cure) for one in error.problems]
    return []


@pytest.mark.parametrize(
    ("inside", "where", "param", "setting"),
    [
        ("read: employees, params: {p: 3}, paginate: {type: page, param: p}", "source.params.p", "p", "param"),
        (
            "read: {uri: employees, params: {after: x}}, paginate: {type: cursor, param: after, next: n}",
            "source.read.params.after",
            "after",
            "param",
        ),
        (
            "read: employees, params: {n: 5}, paginate: {type: link, size: 9, size_param: n}",
            "source.params.n",
            "n",
            "size_param",
        ),
    ],
)
def test_a_query_value_that_a_list_names_twice_is_refused(
    inside: str, where: str, param: str, setting: str, tmp_path: Path
) -> None:
    assert problems(tmp_path, (SOURCE, f"source: {{connection: hr, {inside}}}")) == [
        (
            f"jobs.people.{where}: paginate gives '{param}' too, and its value would win",
            f"say it in one place: take it out of params, or out of paginate (its {setting})",
        )
    ]


def test_so_it_is_in_the_lists_of_the_target(tmp_path: Path) -> None:
    twice = "{uri: users, params: {filter: a}, paginate: {type: page, param: filter}}"
    target = f"target: {{connection: hr, match: no, list: {twice}, create: users, update: u}}"
    assert [one for one, _ in problems(tmp_path, (TARGET, target))] == [
        "jobs.people.target.list.params.filter: paginate gives 'filter' too, and its value would win"
    ]


def test_a_name_that_only_one_of_them_has_is_fine(tmp_path: Path) -> None:
    inside = "read: employees, params: {page: 1, size: 5}, paginate: {type: link}"
    assert problems(tmp_path, (SOURCE, f"source: {{connection: hr, {inside}}}")) == []


def test_a_feed_begins_and_goes_on_by_one_name(tmp_path: Path) -> None:
    feed = 'params: {since: "{{ cursor.start }}"}, paginate: {type: cursor, param: since, next: n}'
    since = "incremental: {type: token, next: last_seq}"
    assert problems(tmp_path, (SOURCE, f"source: {{connection: hr, read: employees, {feed}, {since}}}")) == []
    counted = feed.replace("type: cursor", "type: page").replace(", next: n", "")
    assert problems(tmp_path, (SOURCE, f"source: {{connection: hr, read: employees, {counted}, {since}}}")) != []
