"""YAML's surprises: read as the text they look like, or refused with a cure."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from daemon.spec.reading import parse, read


def tree(text: str) -> Any:
    reading = parse(text, "a.yaml")
    assert not reading.problems, "\n".join(map(str, reading.problems))
    return reading.tree


def told(text: str) -> list[str]:
    return [f"{problem.line}:{problem.column} {problem.message}" for problem in parse(text, "a.yaml").problems]


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "y", "N", "1:30", "2025-01-01", "2025-01-01T00:00:00Z",
                                  "0x1F", "0o17", "1_000", "+49", ".5", "1.", "1e3", ".inf", ".nan", "1.2.3", "=",
                                  "users/{{ target.id }}"])  # fmt: skip
def test_it_is_the_text_it_looks_like(word: str) -> None:
    assert tree(f"a: {word}") == {"a": word}
    assert tree(f"{word.split('/', maxsplit=1)[0]}: 1") == {word.split("/", maxsplit=1)[0]: 1}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-5", -5),
        ("12345678901234567890123", 12345678901234567890123),
        ("19.90", Decimal("19.90")),
        ("-1.5e3", Decimal("-1.5e3")),
        ('"012"', "012"),
        ("'true'", "true"),
    ],
)
def test_it_is_the_value_it_looks_like(word: str, value: object) -> None:
    assert tree(f"a: {word}") == {"a": value}
    assert str(tree(f"a: {word}")["a"]) == str(value)


def test_anchors_and_merge_keys_work_and_the_own_key_wins() -> None:
    text = "x-a: &a {p: 1, q: 2}\nx-b: &b {q: 3, r: 4}\nc:\n  <<: [*a, *b]\n  q: 5\nd: *a\n"
    assert tree(text)["c"] == {"p": 1, "q": 5, "r": 4}
    assert tree(text)["d"] == {"p": 1, "q": 2}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 012", ["1:4 012 is a number in one YAML and text in another"]),
        (
            "a: !!str 1\nb: !x [1]",
            ["1:4 the tag 'tag:yaml.org,2002:str' is not allowed", "2:4 the tag '!x' is not allowed"],
        ),
        ("a: 1\nb: 2\na: 3", ["3:1 this key stands on line 1 already"]),
        ("? [a]\n: 1", ["1:3 a key must be text"]),
        ("a: &a [*a]", ["1:4 this alias holds itself"]),
        ("a: &a\n  <<: *a", ["1:4 '<<' takes a mapping"]),
        ("a: *b", ["1:4 this alias has no anchor above it"]),
        ("a: @b", ["1:4 text cannot begin with this character"]),
        ("a: b: c", ["1:5 a second ': ' in one line"]),
        ("a: 'b' c", ["1:8 text stands behind a finished value"]),
        ('a: "\\d"', ["1:6 '\\' begins an escape in double quotes"]),
        ("a: {b: 1\nc: 2", ["1:4 this bracket is not closed"]),
        ("a: [1, 2\nb: 1", ["1:4 this bracket is not closed"]),
        ("a: 1\n---\nb: 1", ["2:1 a second document ('---') begins here"]),
        ("a: 1\nb: \x07", ["2:4 a control character (U+0007) is not allowed"]),
        ("a: {{ b }}/c", ["1:4 YAML reads '{{' without quotes as a mapping"]),
        ("a: {{ 'x' ~ y }}", ["1:4 YAML reads '{{' without quotes as a mapping"]),
        ("[" * 5000, ["0:0 nested more than 60 levels deep"]),
    ],
)
def test_it_is_refused(text: str, problems: list[str]) -> None:
    assert told(text) == problems


def test_aliases_of_aliases_of_aliases_end_soon() -> None:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert [message for message in told("\n".join(lines)) if "200,000" in message]


def test_merges_of_merges_of_merges_end_soon() -> None:
    lines = ["a0: &a0 {k: 1}"]
    lines += [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    assert parse("\n".join(lines), "a.yaml").tree["a1"] == {"k": 1}


def test_every_key_and_value_has_its_mark() -> None:
    marks = parse("a:\n  - {b: 'cd'}\n", "a.yaml").marks

    assert str(marks.keys[("a",)]) == "a.yaml:1:1"
    assert str(marks.values[("a", 0)]) == "a.yaml:2:5"
    assert str(marks.keys[("a", 0, "b")]) == "a.yaml:2:6"
    assert (marks.values[("a", 0, "b")].column, marks.values[("a", 0, "b")].width) == (9, 4)
    assert marks.at_value(("a", 0, "b", "not", "there")) == marks.values[("a", 0, "b")]


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"a: \xff")
    assert [problem.message for problem in read(file).problems] == ["not UTF-8 (byte 4)"]

    file.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read(file).tree == {"a": 1}

    file.write_bytes(b"#" * 5_000_001)
    assert [problem.message for problem in read(file).problems] == ["larger than 5,000,000 bytes; this is no job file"]
