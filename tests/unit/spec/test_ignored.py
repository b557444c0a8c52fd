"""`ignore:` in a job file: who uses an ignored field is told where, and what to do."""

from pathlib import Path

import pytest

from daemon.spec import SpecError, load
from daemon.spec.ignored import record_paths
from tests.unit.spec.files import good_but, write

KEY = "key: record.id"


def problems(folder: Path, job: str, *, ignore: str = "[fetched_at, meta.seen]") -> list[tuple[int, str, str | None]]:
    """Return the problems of a job with more lines in it: line, message with its path, cure."""
    write(folder, good_but((KEY, f"{KEY}\n    ignore: {ignore}\n    {job}")))
    try:
        load(folder)
    except SpecError as error:
        return [(one.line, f"{one.path}: {one.message}", one.cure) for one in error.problems]
    return []


@pytest.mark.parametrize(
    ("job", "place", "field"),
    [
        ("where: record.fetched_at is defined", "where", "fetched_at"),
        ("where: record.meta.seen.at > 3", "where", "meta.seen"),
        ("where: record['meta']['seen']", "where", "meta.seen"),
        ("where: record.fetched_at.endswith('Z')", "where", "fetched_at"),
        ("where: record.list[record.fetched_at]", "where", "fetched_at"),
        ("where: \"'x' in [1, record.a or (record.fetched_at | lower)]\"", "where", "fetched_at"),
        ("map: {a: record.fetched_at}", "map.a", "fetched_at"),
        ("map: {a: {from: record.x ~ record.meta.seen}}", "map.a.from", "meta.seen"),
    ],
)
def test_an_expression_over_an_ignored_field_is_refused(job: str, place: str, field: str, tmp_path: Path) -> None:
    assert problems(tmp_path, job) == [
        (
            9,
            f"jobs.people.{place}: '{field}' is ignored, so no record has it",
            f"take '{field}' out of ignore, or do without it here",
        )
    ]


@pytest.mark.parametrize("ignore", ["[id]", "[a, id]"])
def test_a_key_that_is_ignored_is_refused(ignore: str, tmp_path: Path) -> None:
    ((line, message, _),) = problems(tmp_path, "description: x", ignore=ignore)
    assert (line, message) == (7, "jobs.people.key: 'id' is ignored, so no record has it")


def test_a_part_of_a_key_that_is_ignored_is_refused(tmp_path: Path) -> None:
    write(tmp_path, good_but((KEY, "key: [record.a, record.b.c]\n    ignore: [b]")))
    with pytest.raises(SpecError, match=r":7:21: error: jobs\.people\.key\[1\]: 'b' is ignored"):
        load(tmp_path)


@pytest.mark.parametrize(
    "job",
    ["where: record.meta", "where: record.meta.other", "where: record.a.fetched_at", "map: {fetched_at: \"'now'\"}"],
)
def test_what_is_beside_or_around_an_ignored_field_may_be_used(job: str, tmp_path: Path) -> None:
    assert problems(tmp_path, job) == []


def test_the_name_of_the_record_does_not_belong_into_ignore(tmp_path: Path) -> None:
    assert problems(tmp_path, "description: x", ignore="[a, record.fetched_at]") == [
        (8, "jobs.people.ignore[1]: ignored fields are named without 'record.'", "write: fetched_at")
    ]


@pytest.mark.parametrize("ignore", ["['']", "[a..b]", "[.a]", "['a. ']"])
def test_what_names_no_field_is_refused(ignore: str, tmp_path: Path) -> None:
    ((line, message, _),) = problems(tmp_path, "description: x", ignore=ignore)
    expected = "a field is one or more names with dots between them (example: meta.fetched_at)"
    assert (line, message) == (8, f"jobs.people.ignore[0]: {expected}")


@pytest.mark.parametrize("ignore", ["fetched_at", "3", "{a: b}", "[{a: b}]", "[3]"])
def test_what_is_no_list_of_names_is_refused(ignore: str, tmp_path: Path) -> None:
    assert len(problems(tmp_path, "where: record.fetched_at", ignore=ignore)) == 1


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("record.a.b", {("a", "b")}),
        ("record.lines[0].price", {("lines", "price")}),
        ("record['a'].b ~ record.c", {("a", "b"), ("c",)}),
        ("record[record.a]", {("a",), ()}),
        ("record.a[1:2]", {("a",)}),
        ("record | tojson", {()}),
        ("{'x': record.a}.x", {("a",)}),
        ("1 + 2", set()),
    ],
)
def test_the_fields_that_an_expression_reads(text: str, paths: set[tuple[str, ...]]) -> None:
    assert record_paths(text) == paths
