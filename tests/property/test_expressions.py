"""The closure and Jinja are one language: where an expression can go both ways, both say the same."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.spec import compile_expression
from daemon.spec.closures import compiled
from daemon.spec.fallback import evaluator
from daemon.spec.grammar import parse_expression
from daemon.spec.operators import UnfitError
from daemon.values import MISSING

FIELDS = ("name", "items", "keys", "_id", "tags", "amount", "flag", "none")

texts = st.text("aB é'/0.", max_size=4)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-99, 99), st.decimals(-99, 99, places=2, allow_nan=False), texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner)
)
records = st.dictionaries(st.sampled_from(FIELDS), values)

paths = st.lists(st.sampled_from(FIELDS), min_size=1, max_size=3).map(lambda steps: "record." + ".".join(steps))
literals = st.one_of(
    st.integers(0, 9).map(str),
    st.sampled_from(["1.50", "'a'", "''", "true", "false", "none", "[]", "[1, 'a']", "{'a': 1}"]),
)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    filters = [
        "trim", "lower", "upper", "default('x')", "default(0, true)", "string", "length", "first", "last", "int(0)",
        "float(1)", "abs", "round(1)", "list", "join('-')", "split", "replace('a', 'b')", "tojson", "title",
    ]  # fmt: skip
    tests = [
        "defined", "undefined", "none", "string", "number", "mapping", "sequence", "not none", "not defined", "eq 1",
    ]  # fmt: skip
    operators = [
        "~", "+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or",
    ]  # fmt: skip
    return st.one_of(
        st.tuples(inner, st.sampled_from(filters)).map(lambda parts: f"({parts[0]}) | {parts[1]}"),
        st.tuples(inner, st.sampled_from(tests)).map(lambda parts: f"({parts[0]}) is {parts[1]}"),
        st.tuples(inner, st.sampled_from(operators), inner).map(lambda parts: f"({parts[0]}) {parts[1]} ({parts[2]})"),
        st.tuples(inner, inner, inner).map(lambda parts: f"({parts[0]}) if ({parts[1]}) else ({parts[2]})"),
        st.tuples(inner, inner).map(lambda parts: f"({parts[0]}) if ({parts[1]})"),
        st.tuples(inner, inner).map(lambda parts: f"[{parts[0]}, {parts[1]}]"),
        st.tuples(inner, st.integers(-2, 2)).map(lambda parts: f"({parts[0]})[{parts[1]}]"),
        st.tuples(inner, st.integers(0, 2)).map(lambda parts: f"({parts[0]})[:{parts[1]}]"),
        inner.map(lambda part: f"not ({part})"),
        inner.map(lambda part: f"-({part})"),
        inner.map(lambda part: f"{{'a': {part}}}"),
    )


expressions = st.recursive(paths | literals, _compound, max_leaves=6)


def _answer(run: Any, record: Any) -> tuple[str, Any]:
    try:
        return "value", run({"record": record})
    except UnfitError as error:
        return "unfit", str(error)
    except (TypeError, ValueError, ArithmeticError) as error:
        return "foreign", type(error).__name__


@given(expressions, records)
def test_a_closure_and_jinja_agree(text: str, record: dict[str, Any]) -> None:
    closure = compiled(parse_expression(text))
    assert closure is not None, "all of this language is compiled"
    jinja = evaluator(parse_expression(text))

    ours, theirs = _answer(closure, record), _answer(jinja, record)

    assert ours == theirs
    assert type(ours[1]) is type(theirs[1])
    assert repr(ours[1]) == repr(theirs[1])  # Decimal("1.50") is not Decimal("1.5")


@given(expressions, records)
def test_an_expression_leaves_the_record_as_it_was(text: str, record: dict[str, Any]) -> None:
    before = repr(record)

    _answer(compiled(parse_expression(text)), record)
    _answer(evaluator(parse_expression(text)), record)

    assert repr(record) == before


@pytest.mark.parametrize("name", [name for name in dir(dict) if name.isidentifier()])
def test_a_field_named_like_a_dict_method_is_the_field(name: str) -> None:
    for text in (f"record.{name}", f"record['{name}']", f"[record] | map(attribute='{name}') | first"):
        expression = compile_expression(text)
        assert expression({"record": {name: 5}}) == 5
        assert expression.compiled == ("map" not in text)
    assert compile_expression(f"record.{name}")({"record": {}}) is MISSING


@given(st.decimals(allow_nan=False, allow_infinity=False, places=2), st.integers())
def test_numbers_keep_their_digits(amount: Decimal, number: int) -> None:
    scope = {"record": {"amount": amount, "number": number}}

    assert compile_expression("record.amount ~ ''")(scope) == format(amount, "f")
    assert compile_expression("record.number + 1 - 1")(scope) == number
    assert compile_expression("record.amount | string | float")(scope) == amount
