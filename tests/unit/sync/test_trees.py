"""Documents as trees: nothing that only the target has is lost, and nothing that is set once is sent."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.sync.canonical import agrees
from daemon.sync.diff import differing
from daemon.sync.trees import FieldPath, merged, pruned

NAMES = st.sampled_from("abc")
VALUES = st.recursive(
    st.none() | st.integers(0, 3) | st.lists(st.integers(0, 2), max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=3)
PATHS = st.frozensets(st.lists(NAMES, min_size=1, max_size=3).map(tuple), max_size=3)


def leaves(document: Mapping[str, Any], at: FieldPath = ()) -> dict[FieldPath, Any]:
    found: dict[FieldPath, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            found |= leaves(value, (*at, name))
        else:
            found[*at, name] = value
    return found


@given(held=DOCUMENTS, wanted=DOCUMENTS)
def test_a_merge_holds_all_that_is_wanted_and_what_only_the_target_has(held: Any, wanted: Any) -> None:
    whole = merged(held, wanted)

    assert agrees(wanted, whole)
    assert differing(wanted, whole) == ()
    replaced = {path[:length] for path in leaves(wanted) for length in range(1, len(path) + 1)}
    for path, value in leaves(held).items():
        if not any(path[:length] in leaves(wanted) for length in range(1, len(path) + 1)) and path not in replaced:
            assert leaves(whole)[path] == value


@given(held=DOCUMENTS, wanted=DOCUMENTS)
def test_a_merge_makes_no_null_that_nobody_wrote(held: Any, wanted: Any) -> None:
    nulls = {path for path, value in leaves(merged(held, wanted)).items() if value is None}

    assert nulls <= {path for one in (held, wanted) for path, value in leaves(one).items() if value is None}


@given(document=DOCUMENTS, paths=PATHS)
def test_what_is_left_out_is_nowhere_and_the_rest_is_as_it_was(document: Any, paths: frozenset[FieldPath]) -> None:
    rest = pruned(document, paths)

    def is_left_out(path: FieldPath) -> bool:
        return any(path[: len(one)] == one for one in paths)

    assert leaves(rest) == {path: value for path, value in leaves(document).items() if not is_left_out(path)}


@pytest.mark.parametrize(
    ("document", "rest"),
    [
        ({"locale": "de", "name": "Ada"}, {"name": "Ada"}),
        ({"profile": {"locale": "de", "city": "Ulm"}}, {"profile": {"city": "Ulm"}}),
        ({"profile": {"locale": "de"}}, {}),
        ({"profile": {}}, {"profile": {}}),
        ({"profile": None}, {"profile": None}),
        ({"profile": "text"}, {"profile": "text"}),
    ],
    ids=str,
)
def test_an_object_of_which_nothing_is_left_goes_too(document: Any, rest: Any) -> None:
    assert pruned(document, frozenset({("locale",), ("profile", "locale")})) == rest


def test_a_list_is_one_value() -> None:
    assert merged({"tags": [1, 2, 3], "at": {"x": [1]}}, {"tags": [9], "at": {"x": []}}) == {
        "tags": [9],
        "at": {"x": []},
    }
