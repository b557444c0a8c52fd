"""The quick way to read a file and the one with marks come to the same, or the quick one leaves it alone."""

from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.spec import load, nodes, reading
from daemon.spec.quick import NotPlainError, quick_tree

EXAMPLE = Path(__file__).parents[3] / "deploy" / "examples" / "crudsd.yaml"
PIECES = st.sampled_from(
    [
        *"ab:-{}[],#&*!|>\"'%@`?~=",
        " ",
        "\n",
        "  ",
        "\t",
        ": ",
        "- ",
        "no",
        "012",
        "1.50",
        "true",
        "a: ",
        "b: ",
        "<<: ",
        "ä",
    ]
)


def test_the_annotated_example_is_read_the_quick_way() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")

    assert quick_tree(text) == reading.parse(text, "x").tree


@given(st.lists(PIECES, max_size=14).map("".join))
def test_what_is_read_the_quick_way_is_what_the_other_way_reads_without_a_problem(text: str) -> None:
    try:
        tree = quick_tree(text)
    except NotPlainError:
        return

    found = reading.parse(text, "x")
    assert (found.problems, found.tree) == ([], tree)


@pytest.mark.parametrize(
    "text",
    ["a: &x 1\nb: *x", "<<: {a: 1}", "a: !!str 1", "a: 1\na: 2", "a: 012", "a: [", "? [a]\n: 1", "a\n---\nb", "a:\tb"],
)
def test_whatever_is_special_or_wrong_is_left_to_the_way_with_marks(text: str) -> None:
    with pytest.raises(NotPlainError):
        quick_tree(text)


@given(st.lists(PIECES, max_size=14).map("".join))
def test_both_parsers_compose_the_same_of_whatever_both_take(text: str) -> None:
    quick = reading.parse(text, "x")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "_Fast", None)
        exact = reading.parse(text, "x")

    assume(not exact.broken)  # libyaml takes `|#`
    assert (quick.tree, quick.problems) == (exact.tree, exact.problems)


def test_a_place_can_be_told_after_a_quick_reading(tmp_path: Path) -> None:
    file = tmp_path / "crudsd.yaml"
    file.write_text("version: 1\nconnections:\n  hr: {host: h.example}\n")

    assert load(file).place_of(("connections", "hr", "host")) == f"{file}:3:8"
