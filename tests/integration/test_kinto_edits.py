"""Kinto as a target that others write to as well: versions, 412, chosen ids, holds. The job is that of the how-to."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from daemon.app import open_app
from daemon.runtime.worker import Finished
from daemon.sync.outcome import Ending, Result
from tests.integration.harness import Desk, ignore, wrote, yaml_of
from tests.servers.kinto import Kinto
from tests.servers.rewriting_proxy import RewritingProxy, after, lost, passing

pytestmark = pytest.mark.servers


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"hr-{number}", "no": f"E{number}", "name": f"Zoë {number}", "address": {"city": "Ulm"}, **fields}


class Scene:
    """The how-to's job between two collections; its target is behind a proxy where others can be faster."""

    def __init__(self, kinto: Kinto, proxy: RewritingProxy, folder: Path, name: str) -> None:
        self._kinto, self.proxy = kinto, proxy
        self._source, self._target = f"{name}_hr", f"{name}_crm"
        self.path = kinto.collection(self._target)
        replaced = {
            "username: sync": f"username: {kinto.user}",
            "https://hr.example.com/v1": kinto.url,
            "https://crm.example.com/v1": f"{proxy.url}/v1",
            "buckets/hr/collections/people/records": kinto.collection(self._source),
            "buckets/crm/collections/people/records": self.path,
        }
        self.desk = Desk(folder, yaml_of("how-to/kinto.md", replaced), secrets={"KINTO_PASSWORD": kinto.password})

    def employ(self, *people: Mapping[str, Any]) -> None:
        """Create or replace records of the source."""
        self._kinto.put_many(self._source, people)

    def dismiss(self, *numbers: int) -> None:
        """Delete records of the source."""
        for number in numbers:
            self._kinto.delete(self._source, f"hr-{number}")

    def edit(self, key: str, **fields: Any) -> None:
        """A person's edit of a target record."""
        self._kinto.put_many(self._target, [{**self.held[key], **fields}])

    def put(self, *records: Mapping[str, Any]) -> None:
        """A person's own records in the target."""
        self._kinto.put_many(self._target, records)

    def remove(self, record_id: str) -> None:
        """A person's delete."""
        self._kinto.delete(self._target, record_id)

    def address(self, record_id: str) -> str:
        """The path of a target record, as the proxy knows it."""
        return f"/v1{self.path}/{record_id}"

    def run(self) -> Result:
        """Run the job, and count its requests from here."""
        self.proxy.forget()
        result = self.desk.run().result
        assert result.error == ""
        return result

    @property
    def held(self) -> dict[str, dict[str, Any]]:
        """What the target holds, by record id."""
        return {one["id"]: one for one in self._kinto.all(self._target)}

    @property
    def mapped(self) -> dict[str, tuple[Any, ...]]:
        """The mapped fields of what the target holds, by key."""
        return {one["no"]: (one["name"], one["address"]["city"]) for one in self.held.values()}

    @property
    def wanted(self) -> dict[str, tuple[Any, ...]]:
        """The same of what the source holds."""
        return {one["no"]: (one["name"], one["address"]["city"]) for one in self._kinto.all(self._source)}

    def asked(self, record_id: str) -> list[tuple[str, int]]:
        """Methods and answers of the requests for one record."""
        return [(one.method, one.status) for one in self.proxy.asked(self.address(record_id))]


@pytest.fixture
def scene(kinto: Kinto, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    with RewritingProxy(kinto.port) as proxy:
        yield Scene(kinto, proxy, tmp_path, request.node.name[5:35])


def test_a_put_keeps_what_others_wrote_before_it_and_a_moment_before_it(scene: Scene) -> None:
    scene.employ(*(person(number) for number in range(1, 5)))
    first = scene.run()
    assert (wrote(first.counts), len(scene.proxy.writes())) == ((4, 0, 0), 4)
    scene.edit("E1", note="calls at nine", address={"city": "Ulm", "floor": 3})
    scene.employ(person(1, name="Ada"), person(2, name="Bo"))
    scene.proxy.next(scene.address("E2"), passing, after(lambda: scene.edit("E2", note="left-handed")))

    second = scene.run()

    assert (second.ending, wrote(second.counts)) == (Ending.DONE, (0, 2, 0))
    assert scene.mapped == scene.wanted
    assert (scene.held["E1"]["note"], scene.held["E1"]["address"]["floor"]) == ("calls at nine", 3)
    assert scene.held["E2"]["note"] == "left-handed"
    assert scene.asked("E1") == [("GET", 200), ("PUT", 200)]
    assert scene.asked("E2") == [("GET", 200), ("PUT", 412), ("GET", 200), ("PUT", 200)]
    assert scene.run().counts.unchanged == 4
    assert scene.proxy.asked() == []


def test_an_edit_that_already_says_what_the_source_says_is_not_written_over(scene: Scene) -> None:
    scene.employ(person(1))
    scene.run()
    scene.employ(person(1, name="Ada"))
    scene.proxy.next(scene.address("E1"), passing, after(lambda: scene.edit("E1", name="Ada", note="married")))

    result = scene.run()

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (0, 1, 0))
    assert scene.asked("E1") == [("GET", 200), ("PUT", 412), ("GET", 200)]
    assert scene.held["E1"]["note"] == "married"


def test_somebody_who_is_always_faster_costs_two_tries_a_run_and_loses_nothing(scene: Scene) -> None:
    scene.employ(person(1), person(2))
    scene.run()
    scene.employ(person(1, name="Ada"), person(2, name="Bo"))
    clicks = iter(range(9))
    faster = after(lambda: scene.edit("E1", clicks=next(clicks)))
    scene.proxy.next(scene.address("E1"), passing, faster, times=4)

    result = scene.run()

    assert (result.ending, result.counts.updated, result.counts.rejected) == (Ending.REJECTED, 1, 1)
    assert scene.held["E1"]["name"] == "Zoë 1"
    assert "412" in scene.desk.reasons()["E1"]
    scene.proxy.forgive(scene.address("E1"))

    again = scene.run()

    assert (again.ending, wrote(again.counts)) == (Ending.DONE, (0, 1, 0))
    assert scene.mapped == scene.wanted
    assert "clicks" in scene.held["E1"]


def test_a_chosen_id_that_is_taken_is_adopted_where_its_record_has_the_key(scene: Scene) -> None:
    scene.employ(person(1), person(2), person(3))
    scene.put({"id": "E2", "no": "other", "name": "Somebody else's", "address": {"city": "Rom"}})
    faster = {"id": "E1", "no": "E1", "name": "Typed in", "note": "by hand", "address": {"city": "Ulm"}}
    scene.proxy.next(scene.address("E1"), after(lambda: scene.put(faster)))

    result = scene.run()

    assert (result.ending, result.counts.adopted, result.counts.rejected) == (Ending.REJECTED, 1, 1)
    assert (scene.held["E1"]["name"], scene.held["E1"]["note"]) == ("Zoë 1", "by hand")
    assert scene.asked("E1") == [("PUT", 412), ("GET", 200), ("PUT", 200)]
    assert scene.held["E2"]["name"] == "Somebody else's"
    assert scene.desk.rejects() == ["E2"]
    scene.dismiss(1)
    scene.desk.run()
    assert scene.held["E1"]["note"] == "by hand", "what was there before us is not ours to delete"


def test_a_create_whose_answer_was_lost_is_ours_and_can_be_deleted(scene: Scene) -> None:
    scene.employ(*(person(number) for number in range(1, 21)))
    scene.proxy.next(scene.address("E1"), lost)

    first = scene.run()

    assert (first.ending, wrote(first.counts), first.counts.adopted) == (Ending.DONE, (20, 0, 0), 0)
    assert scene.mapped == scene.wanted
    scene.dismiss(1)

    second = scene.run()

    assert (second.ending, wrote(second.counts)) == (Ending.DONE, (0, 0, 1))
    assert scene.mapped == scene.wanted


def test_a_stale_delete_looks_again_and_spares_a_record_that_is_somebody_elses_now(scene: Scene) -> None:
    scene.employ(*(person(number) for number in range(1, 31)))
    scene.run()
    scene.edit("E1", note="edited")
    scene.edit("E2", no="X2", name="Another person")
    scene.remove("E3")
    scene.dismiss(1, 2, 3)

    result = scene.run()

    assert (result.ending, result.counts.deleted, result.counts.deletes_rejected) == (Ending.REJECTED, 2, 1)
    assert scene.asked("E1") == [("DELETE", 412), ("GET", 200), ("DELETE", 200)]
    assert [method for method, _ in scene.asked("E2")] == ["DELETE", "GET"]
    assert scene.held["E2"]["name"] == "Another person"
    assert scene.held.keys() & {"E1", "E3"} == set()


def test_a_target_record_that_was_deleted_is_made_again_or_matched_where_it_is_now(scene: Scene) -> None:
    scene.employ(*(person(number) for number in range(1, 5)))
    scene.run()
    scene.remove("E1")
    scene.remove("E2")
    scene.put({"id": "moved", "no": "E2", "name": "Moved", "note": "here now", "address": {"city": "Ulm"}})
    scene.proxy.next(scene.address("E3"), passing, after(lambda: scene.remove("E3")))
    scene.employ(*(person(number, name=f"New {number}") for number in range(1, 4)))

    result = scene.run()

    assert (result.ending, wrote(result.counts)) == (Ending.DONE, (2, 1, 0))
    assert scene.mapped == scene.wanted
    assert scene.held.keys() == {"E1", "moved", "E3", "E4"}
    assert scene.held["moved"]["note"] == "here now"
    assert scene.asked("E1") == [("GET", 404), ("PUT", 201)]
    assert scene.asked("E3") == [("GET", 200), ("PUT", 412), ("GET", 404), ("PUT", 201)]
    assert scene.run().counts.unchanged == 4
    assert scene.proxy.asked() == []


def test_a_text_key_of_digits_is_found_as_the_text_that_it_is(scene: Scene) -> None:
    """Kinto reads `?no=4711` as a number, which no text equals: without quotes all would be created again."""
    scene.employ(person(1, no="4711"), person(2, no='5"x'), person(3, no="null"))
    scene.put({"id": "a", "no": "4711", "name": "There before", "address": {"city": "Ulm"}})
    scene.put({"id": "b", "no": "null", "name": "There before", "address": {"city": "Ulm"}})

    result = scene.run()

    assert (result.counts.adopted, result.counts.updated, result.counts.rejected) == (2, 2, 1)
    assert {one["id"]: one["name"] for one in scene.held.values()} == {"a": "Zoë 1", "b": "Zoë 3"}
    assert "Invalid object id" in scene.desk.reasons()['5"x']


# ---- holds and saved plans -----------------------------------------------------------------------------------------


def approve_and_run(scene: Scene) -> Finished:
    with open_app(scene.desk.settings) as app:
        app.approve("people")
    scene.proxy.forget()
    return scene.desk.run()


def test_an_approved_hold_is_released_as_it_was_and_void_after_an_edit(scene: Scene) -> None:
    scene.employ(*(person(number) for number in range(1, 13)))
    scene.run()
    scene.dismiss(1, 2, 3, 4)
    held = scene.run()
    assert (held.ending, held.counts.deletes_withheld, scene.proxy.writes()) == (Ending.HELD, 4, [])
    scene.employ(person(1))

    void = approve_and_run(scene).result

    assert (void.ending, wrote(void.counts), scene.proxy.writes()) == (Ending.HELD, (0, 0, 0), [])
    assert "void" in " ".join(verdict.message for verdict in void.verdicts)

    released = approve_and_run(scene).result

    assert (released.ending, wrote(released.counts)) == (Ending.DONE, (0, 0, 3))
    assert scene.mapped == scene.wanted
    assert len(scene.proxy.writes()) == 3


def test_an_edit_at_the_target_between_hold_and_approval_is_met_by_its_version(scene: Scene) -> None:
    scene.employ(*(person(number) for number in range(1, 13)))
    scene.run()
    scene.dismiss(1, 2, 3, 4)
    scene.run()
    scene.edit("E1", note="still needed?")
    scene.edit("E2", no="X2", name="Another person")

    released = approve_and_run(scene).result

    assert (released.counts.deleted, released.counts.deletes_rejected) == (3, 1)
    assert scene.held["E2"]["name"] == "Another person"


def test_a_saved_plan_is_applied_as_it_was_and_not_at_all_after_an_edit(scene: Scene, tmp_path: Path) -> None:
    scene.employ(*(person(number) for number in range(1, 9)))
    scene.run()
    scene.employ(person(1, name="Ada"), person(9))
    scene.dismiss(8)

    def saved_plan() -> None:
        with open_app(scene.desk.settings) as app, app.plan("people", observe=ignore) as planned:
            app.save_plan(tmp_path / "people.plan", planned, [])

    def applied() -> Result:
        scene.proxy.forget()
        with open_app(scene.desk.settings) as app:
            saved = app.saved_plan(tmp_path / "people.plan")
            return app.run(saved.job, observe=ignore, saved=saved).result

    saved_plan()
    scene.employ(person(9, name="Noa"))
    refused = applied()
    assert (refused.ending, scene.proxy.writes()) == (Ending.HELD, [])

    saved_plan()
    done = applied()

    assert (done.ending, wrote(done.counts)) == (Ending.DONE, (1, 1, 1))
    assert scene.mapped == scene.wanted
    scene.proxy.forget()
    assert applied().ending in {Ending.DONE, Ending.HELD}
    assert scene.proxy.writes() == []
