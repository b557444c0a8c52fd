"""Templates keep JSON types, and paths cannot be led astray."""

from decimal import Decimal
from typing import Any

import pytest

from daemon.spec import ExpressionError, compile_path, compile_template
from daemon.spec.templates import check_template
from daemon.values import MISSING

SCOPE = {"document": {"id": 7, "name": "Ada", "price": Decimal("19.90"), "null": None, "tags": ["a"], "flag": False}}


def rendered(tree: Any) -> Any:
    return compile_template(tree).render(SCOPE)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ("{{ document.id }}", 7),
        ("{{ document.tags }}", ["a"]),
        ("{{ document.null }}", None),
        ("{{ document.absent }}", MISSING),
        ("{{ document.id }}\n", 7),
        ("id={{ document.id }}", "id=7"),
        ("{{ document.id }}{{ document.price }}", "719.90"),
        ("{{ document.flag }}!", "false!"),
        ("plain {# text #}", "plain {# text #}"),
        ("{{ '{{' }}", "{{"),
        ({"user": {"id": "{{ document.id }}", "x": "{{ document.absent }}"}, "k": [1, "{{ document.name }}"]},
         {"user": {"id": 7}, "k": [1, "Ada"]}),
        (5, 5),
        (None, None),
        ([], []),
    ],
)  # fmt: skip
def test_it_renders_to(tree: object, expected: object) -> None:
    assert rendered(tree) == expected
    assert type(rendered(tree)) is type(expected)


def test_a_constant_reads_nothing_and_is_handed_out_as_it_is() -> None:
    tree = {"a": [1, "x"]}

    template = compile_template(tree)

    assert template.names == frozenset()
    assert template.render({}) is tree


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            "id={{ document.null }}",
            "id={{ document.null }}: document.null is null; write document.null | default('', true)",
        ),
        (
            "id={{ document.absent }}",
            "id={{ document.absent }}: document.absent is missing; write document.absent | default('')",
        ),
        (["{{ document.absent }}"], "{{ document.absent }}: is missing, and a list cannot leave an item out"),
    ],
)
def test_null_and_missing_never_become_text(tree: object, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        rendered(tree)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("{% if a %}x{% endif %}", "statements"),
        ({"{{ a }}": 1}, "a key cannot be a template"),
        ({"a": ["{{ record. }}"]}, "not an expression"),
        ("{{ record.a", "expected '}}'"),
        ("{{ record.a | trimm }}", "did you mean 'trim'"),
    ],
)
def test_what_cannot_be_read_is_refused_when_the_file_is_read(tree: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_template(tree)


@pytest.mark.parametrize(
    ("value", "path"),
    [("a/b?c#d", "users/a%2Fb%3Fc%23d"), ("ü ", "users/%C3%BC%20"), (7, "users/7"), ("...", "users/...")],
)
def test_a_value_in_a_path_is_percent_encoded(value: object, path: str) -> None:
    assert compile_path("users/{{ target.id }}").render({"target": {"id": value}}) == path


@pytest.mark.parametrize("record", [{}, {"id": None}, {"id": ""}, {"id": "."}, {"id": ".."}, {"id": []}])
def test_a_value_that_would_lead_to_another_path_is_refused(record: object) -> None:
    with pytest.raises(ExpressionError, match=r"users/\{\{ target.id \}\}: target.id is"):
        compile_path("users/{{ target.id }}").render({"target": record})


def test_a_path_without_braces_is_constant() -> None:
    assert compile_path("users/search").render({}) == "users/search"
