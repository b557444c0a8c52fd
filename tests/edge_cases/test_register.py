"""No edge case is forgotten: each number of the page has its row, and each row a test that is marked with it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "what-it-survives.md"

SECTIONS = {
    "edge": "Edge cases",
    "suffering": "What users of other tools suffered",
    "fact": "Habits of real servers",
}
NUMBERS = {"edge": range(1, 54), "suffering": range(1, 21), "fact": range(1, 15)}

ROW = re.compile(r"^\| *(\d+) \|.*\| ([^|]+) \|$", re.MULTILINE)
LATER = re.compile(r"^\| (edge|suffering|fact) \| ([\d, ]+) \|", re.MULTILINE)


def section(title: str) -> str:
    return PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(mark: str) -> list[tuple[int, tuple[str, ...]]]:
    """Return the numbers of a section, each with the files that it names."""
    found = ROW.findall(section(SECTIONS[mark]))
    return [(int(number), tuple(re.findall(r"\((?:\.\./)*(tests/[^)]+)\)", proof))) for number, proof in found]


def later(mark: str) -> set[int]:
    listed = LATER.findall(section("Left to later versions"))
    return {int(number) for name, numbers in listed if name == mark for number in numbers.split(",")}


@cache
def marked() -> Mapping[str, Mapping[int, set[str]]]:
    """Return which files hold a test for which number, by mark."""
    found: dict[str, dict[int, set[str]]] = {mark: defaultdict(set) for mark in SECTIONS}
    for place in sorted((ROOT / "tests").rglob("test_*.py")):
        for mark, number in marks(ast.parse(place.read_text(encoding="utf-8"))):
            found[mark][number].add(str(place.relative_to(ROOT)))
    return found


def marks(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield the marks at the tests of a module."""
    for test in ast.walk(tree):
        if isinstance(test, ast.FunctionDef | ast.ClassDef) and test.name.lower().startswith("test"):
            for one in test.decorator_list:
                if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute) and one.func.attr in SECTIONS:
                    yield from ((one.func.attr, ast.literal_eval(argument)) for argument in one.args)


@pytest.mark.parametrize("mark", SECTIONS)
def test_every_number_has_its_row_or_is_left_to_a_later_version(mark: str) -> None:
    here = [number for number, _ in rows(mark)]

    assert here == sorted(set(here))
    assert not set(here) & later(mark)
    assert set(here) | later(mark) == set(NUMBERS[mark])


@pytest.mark.parametrize("mark", SECTIONS)
def test_every_row_names_the_files_whose_tests_are_marked_with_it(mark: str) -> None:
    said = {number: set(files) for number, files in rows(mark)}

    assert said == {number: marked()[mark][number] for number in said}
    assert all(said.values())


@pytest.mark.parametrize("mark", SECTIONS)
def test_no_test_is_marked_with_a_number_that_has_no_row(mark: str) -> None:
    assert set(marked()[mark]) - {number for number, _ in rows(mark)} == set()
