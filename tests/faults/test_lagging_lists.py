"""A target whose lists are behind: what was just created is missing from the list and from every look-up."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.errors import Exit
from tests.fakes.misbehaving import MisbehavingServer
from tests.faults.processes import Nursery, nursery
from tests.faults.scene import Scene, Way

FOR_EVER = 1_000


@pytest.fixture(scope="module")
def warm() -> Iterator[Nursery]:
    with nursery() as made:
        yield made


@pytest.fixture
def scenes(warm: Nursery, tmp_path: Path) -> Iterator[Callable[[Way], Scene]]:
    with MisbehavingServer(seed=1) as plain, MisbehavingServer(seed=1, idempotent=True) as idempotent:
        yield lambda way: Scene(idempotent if way is Way.KEY else plain, tmp_path / way, warm, way)


@pytest.mark.parametrize("way", Way)
def test_what_was_created_is_remembered_and_neither_created_again_nor_taken_for_deleted(
    way: Way, scenes: Callable[[Way], Scene]
) -> None:
    scene = scenes(way)
    scene.back()
    scene.users.lag(FOR_EVER)

    first = scene.run()

    assert first.code == Exit.REJECTED, first
    scene.assert_made_good()


@pytest.mark.parametrize("way", [Way.KEY, Way.NOTHING])
def test_a_create_whose_answer_was_lost_is_not_made_again_where_no_list_is_asked_about_it(
    way: Way, scenes: Callable[[Way], Scene]
) -> None:
    scene = scenes(way)
    scene.back()
    scene.users.lag(FOR_EVER)
    scene.struck_at("POST /users applied #2")
    in_doubt = scene.in_doubt()

    scene.assert_made_good(in_doubt)

    assert in_doubt == ({"E21"} if way is Way.NOTHING else set())
