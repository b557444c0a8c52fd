"""The records of all collections of all buckets of a Kinto, each a part, with rights that go and come back."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from daemon.store.cursors import Cursors
from daemon.store.database import open_database
from daemon.sync.guards import Allowance
from daemon.sync.outcome import Ending, Result
from tests.integration.harness import Desk, wrote
from tests.servers.exchange import ask, basic
from tests.servers.kinto import Kinto

pytestmark = pytest.mark.servers

PAGES = {"type": "next_url", "next": "header:Next-Page"}
BUCKETS = {"emea": ("people", "rooms"), "apac": ("people",)}
OTHER = "canary-0ther"


@pytest.fixture
def places(kinto: Kinto) -> Kinto:
    """Buckets of another owner, whose collections the job's user may read, with three records each."""
    ask("PUT", f"{direct(kinto)}/accounts/bob", json_body={"data": {"password": OTHER}}).expect(201, 401)
    for bucket, collections in BUCKETS.items():
        as_owner(kinto, "DELETE", f"/buckets/{bucket}")
        as_owner(kinto, "PUT", f"/buckets/{bucket}")
        for collection in collections:
            path = f"/buckets/{bucket}/collections/{collection}"
            as_owner(kinto, "PUT", path, readable_by(kinto.user))
            for number in range(3):
                as_owner(kinto, "PUT", f"{path}/records/r{number}", {"data": {"name": f"{collection} {number}"}})
    return kinto


def direct(kinto: Kinto) -> str:
    return f"http://127.0.0.1:{kinto.port}/v1"


def as_owner(kinto: Kinto, method: str, path: str, body: object = None) -> None:
    """Do something as the owner of the buckets."""
    headers = {"Authorization": basic("bob", OTHER)}
    ask(method, direct(kinto) + path, json_body=body, headers=headers).expect(200, 201, 403, 404)


def readable_by(*users: str) -> dict[str, Any]:
    return {"permissions": {"read": [f"account:{user}" for user in users]}}


def spec(kinto: Kinto, target: str, *, for_each: Any = None, **source: Any) -> dict[str, Any]:
    """Return a job whose parents are listed by their owner, and whose records are read by another account."""
    listed = {"connection": "owner", "records": "data", "paginate": PAGES}
    buckets = {"as": "bucket", **listed, "read": "buckets"}
    collections = {"as": "collection", **listed, "read": "buckets/{{ bucket.id }}/collections", "for_each": buckets}
    auth = {"type": "basic", "username": kinto.user, "password": {"env": "KINTO_PASSWORD"}}
    owner = {"type": "basic", "username": "bob", "password": {"env": "OWNER_PASSWORD"}}
    return {
        "connections": {"crm": {"host": kinto.url, "auth": auth}, "owner": {"host": kinto.url, "auth": owner}},
        "jobs": {
            "people": {
                "mode": "mirror",
                "for_each": for_each or collections,
                "source": {
                    "connection": "crm",
                    "read": "buckets/{{ bucket.id }}/collections/{{ collection.id }}/records",
                    "params": {"_since": "{{ cursor.start }}", "_limit": 2},
                    "records": "data",
                    "paginate": PAGES,
                    "incremental": {"next": "header:ETag"},
                    "tombstone": "record.deleted",
                    **source,
                },
                "key": ["bucket.id", "collection.id", "record.id"],
                "map": {
                    "bucket": "bucket.id",
                    "collection": "collection.id",
                    "no": "record.id",
                    "name": "record.name",
                },
                "target": {
                    "connection": "crm",
                    "match": "[bucket, collection, no]",
                    "list": {"uri": target, "records": "data", "paginate": PAGES},
                    "create": {"uri": target, "body": {"data": "{{ document }}"}, "id": "data.id"},
                    "update": {"uri": target + "/{{ target.id }}", "body": {"data": "{{ changed }}"}},
                    "delete": target + "/{{ target.id }}",
                },
                "guards": {"deletes": "90%", "collapse": "0%"},
            }
        },
    }


def desk_of(kinto: Kinto, folder: Path, said: dict[str, Any]) -> Desk:
    return Desk(folder, said, secrets={"KINTO_PASSWORD": kinto.password, "OWNER_PASSWORD": OTHER})


def held(kinto: Kinto, target: str) -> Counter[str]:
    return Counter(f"{one['bucket']}/{one['collection']}" for one in kinto.all(target))


def cursors(desk: Desk) -> dict[str, Any]:
    with open_database(desk.state, read_only=True) as database:
        found = Cursors(database, lambda: pytest.fail("nothing is written")).list("people")
    return {cursor.part: cursor.value for cursor in found}


ALL = {"emea/people": 3, "emea/rooms": 3, "apac/people": 3}


def test_a_collection_that_may_not_be_read_any_more_keeps_its_records(places: Kinto, tmp_path: Path) -> None:
    desk = desk_of(places, tmp_path, spec(places, places.collection("parts_target")))
    assert wrote(desk.run().result.counts) == (9, 0, 0)
    before = cursors(desk)
    assert set(before) == set(ALL)

    apac = "/buckets/apac/collections/people"
    as_owner(places, "PUT", apac, readable_by())
    as_owner(places, "DELETE", f"{apac}/records/r1")
    as_owner(places, "DELETE", "/buckets/emea/collections/rooms/records/r2")
    refused = [desk.run().result, desk.run(full=True).result]

    assert [(one.ending, wrote(one.counts)) for one in refused] == [
        (Ending.REJECTED, (0, 0, 1)),  # by the other collection's tombstone
        (Ending.REJECTED, (0, 0, 0)),
    ]
    assert "apac/people: it could not be read" in str(refused[1].certificate)
    assert "403" in str(refused[1].certificate)
    assert held(places, "parts_target") == {**ALL, "emea/rooms": 2}
    assert cursors(desk)["apac/people"] == before["apac/people"]

    as_owner(places, "PUT", apac, readable_by(places.user))
    assert_in_step(
        desk.run().result, (0, 0, 1)
    )  # what went meanwhile comes as a tombstone, from the cursor that stayed
    assert held(places, "parts_target") == {**ALL, "emea/rooms": 2, "apac/people": 2}


def test_a_collection_that_answers_404_keeps_its_records_until_a_rule_says_that_it_is_gone(
    places: Kinto, tmp_path: Path
) -> None:
    target = places.collection("parts_target")
    written = {"as": "collection", "in": [{"id": "people"}, {"id": "rooms"}]}
    for_each = {**written, "for_each": {"as": "bucket", "in": [{"id": "emea"}]}}
    desk = desk_of(places, tmp_path, spec(places, target, for_each=for_each, connection="owner"))
    assert wrote(desk.run().result.counts) == (6, 0, 0)

    as_owner(places, "DELETE", "/buckets/emea/collections/rooms")
    refused = desk.run(full=True).result
    assert (refused.ending, wrote(refused.counts)) == (Ending.REJECTED, (0, 0, 0))
    assert "404" in str(refused.certificate)
    assert held(places, "parts_target") == {"emea/people": 3, "emea/rooms": 3}

    rule = [{"status": 404, "then": "gone"}]
    desk.write(spec(places, target, for_each=for_each, connection="owner", on_response=rule))
    withheld = desk.run(full=True).result
    assert (withheld.ending, withheld.counts.deletes_withheld) == (Ending.HELD, 3)  # the source was edited
    gone = desk.run(full=True, allowance=Allowance(deletes=3)).result
    assert_in_step(gone, (0, 0, 3))
    assert set(cursors(desk)) == {"emea/people"}


def test_a_collection_that_is_made_again_is_read_as_a_whole(places: Kinto, tmp_path: Path) -> None:
    desk = desk_of(places, tmp_path, spec(places, places.collection("parts_target")))
    desk.run()

    rooms = "/buckets/emea/collections/rooms"
    as_owner(places, "DELETE", rooms)
    assert_in_step(desk.run(full=True).result, (0, 0, 3))
    as_owner(places, "PUT", rooms, readable_by(places.user))
    as_owner(places, "PUT", f"{rooms}/records/r7", {"data": {"name": "new"}})

    assert_in_step(desk.run().result, (1, 0, 0))
    assert held(places, "parts_target") == {**ALL, "emea/rooms": 1}


def assert_in_step(result: Result, counts: tuple[int, int, int]) -> None:
    assert (result.ending, wrote(result.counts)) == (Ending.DONE, counts), result
