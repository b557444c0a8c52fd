"""PocketBase as others use it too: drifting pages, duplicates that are a 400, filters, tokens that stop being good."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from daemon.sync.outcome import Ending, Result
from tests.integration.harness import Desk, wrote, yaml_of
from tests.servers.exchange import Answer
from tests.servers.pocketbase import PocketBase
from tests.servers.rewriting_proxy import Forward, RewritingProxy, after, lost, passing

pytestmark = pytest.mark.servers

FIELDS = ("no", "name", "email")
PAGE = 20


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"no": f"E{number:03}", "name": f"Zoë {number}", "email": f"p{number}@example.test", **fields}


CONCURRENCY = 4
"""Requests under way at once, as a job file has it that says nothing of it."""


class Scene:
    """The how-to's job between two collections, each behind a proxy where others can be faster."""

    def __init__(
        self, pocketbase: PocketBase, hr: RewritingProxy, desk: RewritingProxy, folder: Path, name: str
    ) -> None:
        self._pocketbase = pocketbase
        self.hr, self.users = hr, desk
        self._source, self._target = f"{name}_hr", f"{name}_desk"
        self.people_path = "/api" + pocketbase.create_collection(self._source, FIELDS, superusers_only=True)
        self.users_path = "/api" + pocketbase.create_collection(
            self._target, FIELDS, unique=["no", "email"], superusers_only=True
        )
        self._replaced = {
            "https://hr.example.com/api": f"{hr.url}/api",
            "https://desk.example.com/api": f"{desk.url}/api",
            "collections/people/records": self.people_path.removeprefix("/api/"),
            "collections/users/records": self.users_path.removeprefix("/api/"),
            "perPage: 500": f"perPage: {PAGE}",
        }
        token = pocketbase.superuser()
        self.desk = Desk(folder, self.yaml(), secrets={"HR_TOKEN": token, "DESK_TOKEN": token})

    def yaml(self, **other: str) -> str:
        return yaml_of("how-to/pocketbase.md", {**self._replaced, **other})

    def employ(self, *people: Mapping[str, Any]) -> None:
        self._pocketbase.seed(self._source, people)

    def change(self, no: str, **fields: Any) -> None:
        self._pocketbase.change(self._source, self._ids(self._source)[no], fields)

    def dismiss(self, *numbers: str) -> None:
        ids = self._ids(self._source)
        for no in numbers:
            self._pocketbase.delete(self._source, ids[no])

    def put(self, *users: Mapping[str, Any]) -> None:
        """A person's own records in the target."""
        self._pocketbase.seed(self._target, users)

    def run(self) -> Result:
        self.hr.forget()
        self.users.forget()
        return self.desk.run().result

    @property
    def source(self) -> list[dict[str, Any]]:
        return self._pocketbase.all(self._source)

    @property
    def wanted(self) -> dict[str, tuple[Any, ...]]:
        return {one["no"]: tuple(one[name] for name in FIELDS) for one in self.source}

    @property
    def held(self) -> dict[str, tuple[Any, ...]]:
        found = self._pocketbase.all(self._target)
        assert len({one["no"] for one in found}) == len(found)
        return {one["no"]: tuple(one[name] for name in FIELDS) for one in found}

    def _ids(self, collection: str) -> dict[str, str]:
        return {one["no"]: one["id"] for one in self._pocketbase.all(collection)}


@pytest.fixture
def scene(pocketbase: PocketBase, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    name = "".join(one for one in request.node.name[5:] if one.isalnum() or one == "_")[:40]
    with RewritingProxy(pocketbase.port) as hr, RewritingProxy(pocketbase.port) as desk:
        yield Scene(pocketbase, hr, desk, tmp_path, name)


# ---- reading while rows come and go --------------------------------------------------------------------------------

BY_PAGE = {
    "sort: id, perPage": "sort: no, perPage",
    ", skipTotal: 1}\n      records: items\n      paginate:": "}\n      records: items\n      paginate:",
    "type: cursor": "type: page",
    "param: filter": "param: page",
    "next: items[-1].id && join('', ['id > \"', items[-1].id, '\"'])": "total: totalItems",
}


def moving(scene: Scene, kind: str) -> Callable[[], None]:
    """What another client does between two pages."""

    def delete() -> None:
        scene.dismiss("E001", "E002")

    def insert() -> None:
        scene.employ(person(900, no="A000"), person(901, no="A001"))

    def both() -> None:
        delete()
        scene.employ(person(900, no="Z000"), person(901, no="Z001"))

    return {"delete": delete, "insert": insert, "both": both}[kind]


@pytest.mark.parametrize("paging", ["by_id", "by_page"])
@pytest.mark.parametrize("kind", ["delete", "insert", "both"])
def test_rows_that_come_and_go_between_pages_cost_no_record_that_is_there(scene: Scene, kind: str, paging: str) -> None:
    scene.employ(*(person(number) for number in range(3 * PAGE)))
    if paging == "by_page":
        scene.desk.write(scene.yaml(**BY_PAGE))
    assert wrote(scene.run().counts) == (3 * PAGE, 0, 0)
    scene.hr.next(scene.people_path, passing, after(moving(scene, kind)))

    scene.run()

    assert scene.wanted.keys() - scene.held.keys() <= {"A000", "A001", "Z000", "Z001"}, "a wrong delete"
    for _ in range(2):
        last = scene.run()
    assert (last.ending, wrote(last.counts)) == (Ending.DONE, (0, 0, 0))
    assert scene.held == scene.wanted


def test_a_page_is_capped_at_a_thousand_and_no_total_is_no_total(scene: Scene) -> None:
    scene.employ(*(person(number, no=f"E{number:04}") for number in range(1_005)))
    listed = {
        "lookup:": "list:",
        'filter: "no = {{ key | tojson }}", ': "",
        "then: exists": "then: reject",
        f"perPage: {PAGE}": "perPage: 5000",
    }
    by_page = {name: text for name, text in BY_PAGE.items() if "skipTotal" not in name}
    found = []
    for paging in ({}, by_page):
        scene.desk.write(scene.yaml(**listed, **paging))
        scene.hr.forget()
        certificate = scene.desk.plan().certificate
        assert certificate is not None
        assert certificate.end is not None
        found.append((certificate.issued, certificate.end.records, certificate.end.total, len(scene.hr.asked())))

    assert found == [(True, 1_005, None, 3), (True, 1_005, None, 3)]


# ---- duplicates ----------------------------------------------------------------------------------------------------


def test_a_key_that_somebody_typed_in_a_moment_ago_is_adopted_and_a_taken_address_is_not(scene: Scene) -> None:
    scene.employ(person(1), person(2))
    scene.put(person(9, email="p2@example.test", name="Holds the address"))
    scene.desk.write(
        scene.yaml(**{"value: {env: DESK_TOKEN}}": "value: {env: DESK_TOKEN}}\n    quota: {concurrency: 1}"})
    )

    def typed_in(forward: Forward) -> Answer:
        if "E001" not in scene.held:
            scene.put(person(1, name="Typed in", email="other@example.test"))
        return forward()

    scene.users.next(scene.users_path, passing, passing, typed_in)

    result = scene.run()

    assert (result.ending, result.counts.adopted, result.counts.rejected) == (Ending.REJECTED, 1, 1)
    assert scene.held["E001"] == scene.wanted["E001"]
    assert "E002" not in scene.held
    assert "validation_not_unique" in scene.desk.reasons()["E002"]
    assert scene.held["E009"][1] == "Holds the address"


def test_a_create_whose_answer_was_lost_is_looked_up_and_not_made_twice(scene: Scene) -> None:
    scene.employ(person(1))
    scene.users.next(scene.users_path, passing, lost)

    result = scene.run()

    assert (result.ending, wrote(result.counts), result.counts.adopted) == (Ending.DONE, (1, 0, 0), 0)
    assert [one.method for one in scene.users.asked()] == ["GET", "POST", "GET"]
    assert scene.held == scene.wanted


def test_a_chain_of_unique_values_comes_in_step_and_a_swap_stays_two_rejects(scene: Scene) -> None:
    scene.employ(*(person(number) for number in range(1, 8)))
    scene.run()
    # Each takes the address of the next, in the order in which they are sent; the last has a new one.
    for number in range(1, 4):
        scene.change(f"E{number:03}", email=f"p{number + 1}@example.test")
    scene.change("E004", email="new@example.test")
    scene.change("E006", email="p7@example.test", name="Six")
    scene.change("E007", email="p6@example.test")

    result = scene.run()

    assert (result.ending, result.counts.updated, result.counts.rejected) == (Ending.REJECTED, 4, 2)
    held, wanted = scene.held, scene.wanted
    assert sorted(no for no in wanted if held[no] != wanted[no]) == ["E006", "E007"]
    reasons = scene.desk.reasons()
    assert all('"email":{"code":"validation_not_unique"' in reasons[no] for no in ("E006", "E007"))
    assert len(scene.users.writes()) <= 4 + 3 + 2 + 1 + 5 * 2
    scene.change("E007", email="seven@example.test")
    assert scene.run().ending is Ending.DONE
    assert scene.held == scene.wanted


# ---- filters -------------------------------------------------------------------------------------------------------

AWKWARD = (
    "O'Hara",
    'say "x"',
    "both'\"",
    "x\\",
    "a\\b",
    "\\'",
    "' || no != '",
    '" || no != "',
    "E1' && '1'='2",
    "100%",
)


def test_keys_that_are_written_like_a_filter_are_found_again_without_a_link(scene: Scene, tmp_path: Path) -> None:
    scene.employ(*(person(number, no=no) for number, no in enumerate(AWKWARD)))
    assert wrote(scene.run().counts) == (len(AWKWARD), 0, 0)
    for left_over in tmp_path.glob("crudsd.db*"):
        left_over.unlink()

    result = scene.run()

    assert (result.ending, result.counts.adopted, result.counts.unchanged) == (Ending.DONE, len(AWKWARD), len(AWKWARD))
    assert scene.users.writes() == []
    asked = [parse_qs(one.query)["filter"][0] for one in scene.users.asked()]
    assert len(asked) == len(AWKWARD)
    assert 'no = "both\'\\""' in asked


# ---- a token that stops being good ---------------------------------------------------------------------------------


def test_a_token_that_stops_being_good_between_two_pages_ends_the_run_and_deletes_nothing(
    scene: Scene, pocketbase: PocketBase
) -> None:
    scene.employ(*(person(number) for number in range(3 * PAGE)))
    scene.run()
    scene.dismiss("E001")
    scene.hr.next(scene.people_path, passing, after(pocketbase.revoke_superusers))

    result = scene.run()

    assert result.ending is Ending.FAILED
    assert "credentials of connection hr" in result.error
    assert scene.users.writes() == []
    token = pocketbase.superuser()
    scene.desk.environment.update(HR_TOKEN=token, DESK_TOKEN=token)
    assert wrote(scene.run().counts) == (0, 0, 1)
    assert scene.held == scene.wanted


def test_a_token_that_stops_being_good_between_two_writes_ends_the_run_at_the_next(
    scene: Scene, pocketbase: PocketBase
) -> None:
    scene.employ(*(person(number) for number in range(30)))
    scene.users.next(scene.users_path, *[passing] * 40, after(pocketbase.revoke_superusers))

    result = scene.run()

    assert result.ending is Ending.FAILED
    assert "credentials of connection desk" in result.error
    refused = [one for one in scene.users.writes() if one.status >= 400]
    assert 1 <= len(refused) <= CONCURRENCY  # those that were under way; none was sent after the first refusal
    assert scene.desk.rejects() == []
    token = pocketbase.superuser()
    scene.desk.environment.update(HR_TOKEN=token, DESK_TOKEN=token)
    assert scene.run().ending is Ending.DONE
    assert scene.held == scene.wanted
