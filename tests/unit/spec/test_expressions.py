"""What an expression means, above all where Jinja would surprise."""

from decimal import Decimal
from typing import Any

import pytest

from daemon.spec import ExpressionError, compile_expression
from daemon.spec.expressions import check_expression
from daemon.values import MISSING

RECORD = {
    "no": 7,
    "name": " Ada ",
    "price": Decimal("19.90"),
    "null": None,
    "flag": True,
    "tags": ["vip", "new"],
    "items": [{"id": 1}, {"id": 2}],
    "_links": {"self": {"href": "/a"}},
    "when": "2025-01-31T09:00:00+01:00",
}


def value(text: str) -> Any:
    return compile_expression(text)({"record": RECORD})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("record.no", 7),
        ("record.items", [{"id": 1}, {"id": 2}]),
        ("record.items[1].id", 2),
        ("record.items[-1]['id']", 2),
        ("record._links.self.href", "/a"),
        ("record.name[1]", "A"),
        ("record.name | trim | lower", "ada"),
        ("record.price ~ ' EUR'", "19.90 EUR"),
        ("record.flag ~ ''", "true"),
        ("0.10 + 0.20", Decimal("0.30")),
        ("record.price * 3", Decimal("59.70")),
        ("1 / 4", Decimal("0.25")),
        ("-7 // 2", -4),
        ("-7.0 // 2", Decimal(-4)),
        ("-7.5 % 2", Decimal("0.5")),
        ("2.5 | round", 3),
        ("-2.5 | round", -3),
        ("1.005 | round(2)", Decimal("1.01")),
        ("'3.9' | int", 3),
        ("'ff' | int(base=16)", 255),
        ("'19.90' | float", Decimal("19.90")),
        ("'x' | int(0)", 0),
        ("record.tags | join(', ')", "vip, new"),
        ("record.items | join('-', attribute='id')", "1-2"),
        ("record.items | sum(attribute='id')", 3),
        ("'a,b' | split(',')", ["a", "b"]),
        ("'vip' in record.tags", True),
        ("1 < record.no <= 7", True),
        ("'yes' if record.flag else 'no'", "yes"),
        ("'%05d' | format(record.no)", "00007"),
        ("record.when | datetime", "2025-01-31T08:00:00Z"),
        ("'2025-01-31T09:00:00' | datetime('Europe/Berlin')", "2025-01-31T08:00:00Z"),
        ("record.tags | tojson", '["vip","new"]'),
        ("{'a': record.no, 'b': record.absent}", {"a": 7}),
    ],
)
def test_it_is_compiled_and_gives(text: str, expected: object) -> None:
    assert compile_expression(text).compiled
    assert value(text) == expected
    assert type(value(text)) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("record.items | map(attribute='id') | list", [1, 2]),
        ("record.items | selectattr('id', 'gt', 1) | list", [{"id": 2}]),
        ("record.tags | map('upper') | join('/')", "VIP/NEW"),
        ("record.tags | sort", ["new", "vip"]),
        ("record.name.strip().startswith('A')", True),
        ("record.tags | map('length') | sum + 0.50", Decimal("6.50")),
        ("range(3)", [0, 1, 2]),
        ("record.null | sort", None),
        ("record.absent | map('upper') | list", MISSING),
    ],
)
def test_it_goes_through_the_sandbox_and_gives(text: str, expected: object) -> None:
    assert not compile_expression(text).compiled
    assert value(text) == expected


def test_missing_is_not_null() -> None:
    assert value("record.absent") is MISSING
    assert value("record.absent.deeper[3]") is MISSING
    assert value("record.null.deeper") is MISSING
    assert value("record.null") is None


def test_text_filters_leave_null_and_missing_as_they_are() -> None:
    assert value("record.null | trim | lower | upper | title") is None
    assert value("record.absent | trim | lower") is MISSING


def test_default_replaces_what_is_missing_and_on_request_what_is_empty() -> None:
    assert value("record.absent | default('x')") == "x"
    assert value("record.null | default('x')") is None
    assert value("record.null | default('x', true)") == "x"


def test_a_question_about_a_missing_field_has_no_answer_either_way() -> None:
    for question in ("is none", "is not none", "== 1", "!= 1", "> 1", "in [1]", "not in [1]", "is string"):
        assert value(f"record.absent {question}") is MISSING
    assert value("record.absent is defined") is False
    assert value("record.null is none") is True
    assert value("not record.absent") is True


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("record.null ~ 'x'", "record.null is null; write record.null | default('', true)"),
        ("record.absent ~ 'x'", "record.absent is missing; write record.absent | default('')"),
        (
            "record.tags ~ 'x'",
            "record.tags is a list; write record.tags | tojson, or join its items: record.tags | join(',')",
        ),
        ("record.null + 1", "'+' needs a number, not null"),
        ("record.null > 1", "'>' compares two numbers or two texts, not null with a number"),
        ("'vip' in record.null", "'in' looks into a list, a text or a mapping, not into null"),
        ("record.name | int", "int needs a number, this text is none; say what to use then: int(0)"),
        ("record.no / 0", "'/' divides by zero"),
        ("[record.absent]", "item 1 of the list is missing"),
        ("record.items | map(attribute='x') | list", "item 1 of the list is missing"),
        ("'2025-01-31T09:00:00' | datetime", "datetime has no zone in its text; say which: datetime('Europe/Berlin')"),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_what_to_write(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert str(caught.value) == f"{text}: {reason}"


@pytest.mark.parametrize(
    "text", ["record.name | int", "record.name + 1", "record.tags | min > 1", "record.name | tojson / 2"]
)
def test_an_error_never_holds_the_value(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value(text)
    assert "Ada" not in str(caught.value)
    assert "vip" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "range(100000000)",
        "'a' * 1000000000",
        "9 ** (9 ** 9)",
        "10 ** 6000 * 10 ** 6000",
        "'1e999999999' | float",
        "'%1000000000d' | format(1)",
        "'aaaa' | replace('', 'a' * 900000)",
        "1 | round(100000000)",
    ],
)
def test_a_bomb_does_not_go_off(text: str) -> None:
    with pytest.raises(ExpressionError):
        value(text)


@pytest.mark.parametrize(
    "text",
    ["record.__class__", "record.name.__class__.__mro__", "''['__class__']", "[] | map(attribute='__class__') | list"],
)
def test_python_is_out_of_reach(text: str) -> None:
    assert value(text) in (MISSING, [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an expression is missing here (example: record.id)"),
        ("{{ record.x }}", "this field is an expression already; write it bare: record.x"),
        ("record.x | trimm", "unknown filter 'trimm'; did you mean 'trim'?"),
        ("record.x is strin", "unknown test 'strin'; did you mean 'string'?"),
        ("record.x | map('uper')", "unknown filter 'uper'; did you mean 'upper'?"),
        ("record.x = 1", "not an expression: unexpected '='; to compare, write =="),
        ("record.x && record.y", "not an expression: unexpected char '&' at 9; write 'and'"),
        ("record.x ? 1 : 2", "not an expression: unexpected char '?' at 9; write: a if condition else b"),
        ("'abc", "not an expression: a quote is not closed"),
        ("lower(record.x)", "there is no function 'lower'; write … | lower"),
        ("record.x | replace('a')", "filter 'replace': missing a required argument: 'new'"),
        ("(" * 500 + "1" + ")" * 500, "the expression is nested too deeply"),
        ("1" + " + 1" * 3000, "an expression may have 10,000 characters, this one has 12,001"),
    ],
)
def test_what_cannot_be_read_is_refused_when_the_file_is_read(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        check_expression(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text", ["record.x.format('a')", "record.x.get('a')", "record.x.join([])", "f(*record.x)", "record.x | e"]
)
def test_what_the_language_does_not_know_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown|there is no|not known"):
        check_expression(text)


def test_yaml_numbers_and_booleans_are_expressions_too() -> None:
    assert compile_expression(check_expression(Decimal("19.90")))({}) == Decimal("19.90")
    assert str(compile_expression(check_expression(Decimal("19.90")))({})) == "19.90"
    assert compile_expression(check_expression(True))({}) is True


def test_an_expression_knows_the_names_it_reads() -> None:
    assert compile_expression("record.a ~ page.b if range(3) else key").names == {"record", "page", "key"}
