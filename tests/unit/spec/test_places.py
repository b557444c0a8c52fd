"""What stands at many places of a tree is found in one walk."""

from typing import Any

from daemon.spec.places import Places

TREE: dict[str, Any] = {
    "jobs": {"a": {"key": "id", "map": {"x": 1}}, "b": {"key": ["id", "no"], "map": None}, "c": "no job"},
    "connections": ["no", "mapping"],
}


def found(*places: str) -> list[tuple[str, Any, str]]:
    return [
        (".".join(map(str, path)), value, said)
        for path, value, said in Places((place, place) for place in places).found(TREE)
    ]


def test_what_stands_at_a_place_is_found_with_its_path_in_the_order_of_the_tree() -> None:
    assert found("jobs.*.map.*", "jobs.*.key") == [
        ("jobs.a.map.x", 1, "jobs.*.map.*"),
        ("jobs.a.key", "id", "jobs.*.key"),
        ("jobs.b.key", ["id", "no"], "jobs.*.key"),
    ]


def test_a_star_is_any_item_of_a_list_too_and_nothing_of_a_text() -> None:
    assert found("jobs.*.key.*", "connections.*") == [
        ("jobs.b.key.0", "id", "jobs.*.key.*"),
        ("jobs.b.key.1", "no", "jobs.*.key.*"),
        ("connections.0", "no", "connections.*"),
        ("connections.1", "mapping", "connections.*"),
    ]


def test_a_place_inside_another_and_a_place_that_is_named_twice_are_found_each_time() -> None:
    assert [path for path, _, _ in found("jobs.a", "jobs.a.key", "jobs.a")] == ["jobs.a", "jobs.a", "jobs.a.key"]


def test_a_key_that_is_a_star_is_found_once() -> None:
    assert list(Places([("*.x", None)]).found({"*": {"x": 1}})) == [(("*", "x"), 1, None)]
