"""Incremental jobs against Kinto (tokens, tombstones, opaque pages) and PocketBase (milliseconds, page numbers)."""

import json
from pathlib import Path
from typing import Any

import pytest

from daemon.sync.cursor import Reach
from daemon.sync.outcome import Ending
from tests.integration.harness import Desk, wrote
from tests.servers.kinto import Kinto
from tests.servers.pocketbase import PocketBase

pytestmark = pytest.mark.servers

NAMES = ("no", "name")


def kinto_job(kinto: Kinto, source: str, target: str, **job: Any) -> dict[str, Any]:
    auth = {"type": "basic", "username": kinto.user, "password": {"env": "KINTO_PASSWORD"}}
    return {
        "connections": {"crm": {"host": kinto.url, "auth": auth, "quota": {"concurrency": 4}}},
        "jobs": {
            "people": {
                "mode": "mirror",
                "source": {
                    "connection": "crm",
                    "read": source,
                    "params": {"_since": "{{ cursor.start }}", "_limit": 100},
                    "records": "data",
                    "paginate": {"type": "next_url", "next": "header:Next-Page"},
                    "incremental": {"next": "header:ETag"},
                    "tombstone": "record.deleted",
                },
                "key": "record.id",
                "map": {"no": "record.id", "name": "record.name"},
                "target": {
                    "connection": "crm",
                    "match": "no",
                    "list": {
                        "uri": target,
                        "records": "data",
                        "paginate": {"type": "next_url", "next": "header:Next-Page"},
                    },
                    "create": {"uri": target, "body": {"data": "{{ document }}"}, "id": "data.id"},
                    "update": {"uri": target + "/{{ target.id }}", "body": {"data": "{{ changed }}"}},
                    "delete": target + "/{{ target.id }}",
                },
                "guards": {"deletes": "50%"},
                **job,
            }
        },
    }


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": f"p{number:04}", "name": f"Zoë {number}", **fields}


def held(kinto: Kinto, collection: str) -> dict[str, str]:
    return {one["no"]: one["name"] for one in kinto.all(collection)}


def wanted(kinto: Kinto, collection: str) -> dict[str, str]:
    return {one["id"]: one["name"] for one in kinto.all(collection)}


@pytest.mark.fact(10)
def test_kinto_by_its_own_etag_and_tombstones(kinto: Kinto, tmp_path: Path) -> None:
    source, target = kinto.collection("since_source"), kinto.collection("since_target")
    kinto.put_many("since_source", [person(number) for number in range(250)])
    desk = Desk(tmp_path, kinto_job(kinto, source, target), secrets={"KINTO_PASSWORD": kinto.password})
    assert desk.run().result.counts.created == 250

    kinto.put_many("since_source", [person(number, name="New") for number in range(100)])
    kinto.put_many("since_source", [person(900)])
    for number in (200, 201):
        kinto.delete("since_source", f"p{number:04}")
    result = desk.run().result

    assert (result.ending, result.reach, result.counts.seen) == (Ending.DONE, Reach.SINCE, 103)
    assert wrote(result.counts) == (1, 100, 2)
    assert held(kinto, "since_target") == wanted(kinto, "since_source")
    again = desk.run().result
    assert (again.counts.seen, again.ending) == (0, Ending.DONE)


@pytest.mark.fact(10)
def test_kinto_says_that_its_list_has_not_changed(kinto: Kinto, tmp_path: Path) -> None:
    source, target = kinto.collection("etag_source"), kinto.collection("etag_target")
    kinto.put_many("etag_source", [person(number) for number in range(130)])
    job = kinto_job(kinto, source, target)
    read = job["jobs"]["people"]["source"]
    read.pop("tombstone")
    read["params"].pop("_since")
    read["incremental"] = {"type": "etag"}
    desk = Desk(tmp_path, job, secrets={"KINTO_PASSWORD": kinto.password})
    assert desk.run().result.counts.created == 130

    kinto.journal.forget()
    quiet = desk.run().result
    kinto.delete("etag_source", "p0003")
    changed = desk.run().result

    assert (quiet.ending, quiet.counts.seen, quiet.certificate.end and quiet.certificate.end.unchanged) == (
        Ending.DONE,
        0,
        True,
    )
    assert (changed.reach, wrote(changed.counts)) == (Reach.WHOLE, (0, 0, 1))
    assert held(kinto, "etag_target") == wanted(kinto, "etag_source")


def test_kinto_is_reconciled_by_a_full_read(kinto: Kinto, tmp_path: Path) -> None:
    source, target = kinto.collection("full_source"), kinto.collection("full_target")
    kinto.put_many("full_source", [person(number) for number in range(20)])
    job = kinto_job(kinto, source, target)
    job["jobs"]["people"]["source"].pop("tombstone")
    job["jobs"]["people"]["where"] = "record.name is defined"
    desk = Desk(tmp_path, job, secrets={"KINTO_PASSWORD": kinto.password})
    desk.run()

    kinto.delete("full_source", "p0003")
    by_hand = next(one for one in kinto.all("full_target") if one["no"] == "p0005")
    kinto.put_many("full_target", [{**by_hand, "name": "By hand"}])
    assert wrote(desk.run().result.counts) == (0, 0, 0)
    full = desk.run(full=True).result

    assert (full.reach, wrote(full.counts)) == (Reach.WHOLE, (0, 1, 1))
    assert held(kinto, "full_target") == wanted(kinto, "full_source")


def pocketbase_job(pocketbase: PocketBase, source: str, target: str) -> dict[str, Any]:
    auth = {"type": "bearer", "token": {"env": "TOKEN"}}
    pages = {"type": "page", "param": "page", "size": 20, "size_param": "perPage", "total": "totalItems"}
    return {
        "connections": {"pb": {"host": pocketbase.url, "auth": auth, "quota": {"concurrency": 4}}},
        "jobs": {
            "people": {
                "mode": "upsert",
                "source": {
                    "connection": "pb",
                    "read": source,
                    "params": {"filter": "updated >= '{{ cursor.start }}'", "sort": "updated,id"},
                    "records": "items",
                    "paginate": pages,
                    "incremental": {"field": "updated", "start": "2000-01-01 00:00:00.000Z", "order": "ascending"},
                },
                "key": "record.no",
                "map": {"no": "record.no", "name": "record.name"},
                "target": {
                    "connection": "pb",
                    "match": "no",
                    "list": {"uri": target, "records": "items", "paginate": pages},
                    "create": target,
                    "update": {"uri": target + "/{{ target.id }}", "body": "changed"},
                },
            }
        },
    }


@pytest.mark.edge(1)
@pytest.mark.fact(4)
def test_pocketbase_by_milliseconds_with_many_records_in_each(pocketbase: PocketBase, tmp_path: Path) -> None:
    source = pocketbase.create_collection("inc_source", NAMES, superusers_only=True)
    target = pocketbase.create_collection("inc_target", NAMES, unique=["no"], superusers_only=True)
    pocketbase.seed("inc_source", [{"no": f"E{number}", "name": "Zoë"} for number in range(130)])
    desk = Desk(tmp_path, pocketbase_job(pocketbase, source, target), secrets={"TOKEN": pocketbase.superuser()})
    first = desk.run().result
    assert (first.counts.created, first.doubted) == (130, ())

    last = max(one["updated"] for one in pocketbase.all("inc_source"))
    ids = {one["no"]: one["id"] for one in pocketbase.all("inc_source")}
    for number in range(3):
        pocketbase.change("inc_source", ids[f"E{number}"], {"name": "New"})
    result = desk.run().result

    assert result.reach is Reach.SINCE
    assert str(result.since) <= last
    assert (result.counts.updated, result.counts.created) == (3, 0)
    assert {one["no"]: one["name"] for one in pocketbase.all("inc_target")} == {
        one["no"]: one["name"] for one in pocketbase.all("inc_source")
    }
    assert json.dumps(desk.run().result.counts.updated) == "0"
