"""Kinto to Kinto: opaque absolute next pages, ETags in the body and If-Match, 2,000 records."""

from pathlib import Path
from typing import Any

import pytest

from daemon.sync.outcome import Ending
from tests.integration.harness import Desk, wrote
from tests.servers.kinto import Kinto

pytestmark = pytest.mark.servers

RECORDS = 1_000


def person(number: int, **fields: Any) -> dict[str, Any]:
    record = {"id": f"p{number:05}", "no": number, "name": f"Zoë {number}", "email": f"P{number}@Example.test"}
    return {**record, "address": {"city": f"City {number % 17}"}, **fields}


def spec(kinto: Kinto, source: str, target: str, **job: Any) -> dict[str, Any]:
    connection = {
        "host": kinto.url,
        "auth": {"type": "basic", "username": kinto.user, "password": {"env": "KINTO_PASSWORD"}},
        "quota": {"concurrency": 4},
    }
    return {
        "connections": {"crm": connection, "copy": connection},
        "jobs": {
            "people": {
                "mode": "mirror",
                "source": {
                    "connection": "crm",
                    "read": source,
                    "params": {"_limit": 250, "_sort": "no"},
                    "records": "data",
                    "paginate": {"type": "next_url", "next": "header:Next-Page", "total": "header:Total-Records"},
                },
                "key": "record.no",
                "map": {
                    "no": "record.no",
                    "name": "record.name",
                    "email": "record.email | lower",
                    "city": "record.address.city",
                },
                "target": {
                    "connection": "copy",
                    "match": "no",
                    "list": {
                        "uri": target,
                        "records": "data",
                        "version": "last_modified",
                        "paginate": {"type": "next_url", "next": "header:Next-Page"},
                    },
                    "create": {
                        "uri": target,
                        "body": {"data": "{{ document }}"},
                        "id": "data.id",
                        "version": "header:ETag",
                    },
                    "update": {
                        "uri": target + "/{{ target.id }}",
                        "body": {"data": "{{ changed }}"},
                        "version": "header:ETag",
                        "if_match": True,
                    },
                    "delete": target + "/{{ target.id }}",
                },
                **job,
            }
        },
    }


def wanted(records: list[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    return {
        one["no"]: {"no": one["no"], "name": one["name"], "email": one["email"].lower(), "city": one["address"]["city"]}
        for one in records
    }


def held(kinto: Kinto, collection: str) -> dict[int, dict[str, Any]]:
    return {
        one["no"]: {name: one.get(name) for name in ("no", "name", "email", "city")} for one in kinto.all(collection)
    }


def test_a_mirror_is_equal_then_idle_then_follows_a_change_set(kinto: Kinto, tmp_path: Path) -> None:
    source, target = kinto.collection("mirror_source"), kinto.collection("mirror_target")
    kinto.put_many("mirror_source", [person(number) for number in range(RECORDS)])
    desk = Desk(tmp_path, spec(kinto, source, target), secrets={"KINTO_PASSWORD": kinto.password})

    first = desk.run()

    assert first.result.ending is Ending.DONE
    assert wrote(first.result.counts) == (RECORDS, 0, 0)
    assert held(kinto, "mirror_target") == wanted(kinto.all("mirror_source"))

    kinto.journal.forget()
    second = desk.run()

    assert second.result.counts.unchanged == RECORDS
    assert kinto.journal.writes() == []

    kinto.put_many("mirror_source", [person(number, name=f"New {number}") for number in range(10, 60)])
    kinto.put_many("mirror_source", [person(number) for number in range(RECORDS, RECORDS + 20)])
    for number in range(100, 130):
        kinto.delete("mirror_source", f"p{number:05}")
    kinto.journal.forget()
    third = desk.run()

    assert third.result.ending is Ending.DONE
    assert wrote(third.result.counts) == (20, 50, 30)
    assert len(kinto.journal.writes()) == 100
    assert held(kinto, "mirror_target") == wanted(kinto.all("mirror_source"))


def test_a_human_edit_at_the_target_is_not_overwritten_blindly(kinto: Kinto, tmp_path: Path) -> None:
    source, target = kinto.collection("edit_source"), kinto.collection("edit_target")
    kinto.put_many("edit_source", [person(number) for number in range(30)])
    desk = Desk(tmp_path, spec(kinto, source, target), secrets={"KINTO_PASSWORD": kinto.password})
    desk.run()
    edited = next(one for one in kinto.all("edit_target") if one["no"] == 3)
    kinto.put_many("edit_target", [{**edited, "name": "By hand"}])
    kinto.put_many("edit_source", [person(number, name="New") for number in (3, 4)])

    result = desk.run().result

    assert result.ending is Ending.REJECTED
    assert (result.counts.updated, result.counts.rejected) == (1, 1)
    assert held(kinto, "edit_target")[3]["name"] == "By hand"


@pytest.mark.edge(40)
def test_a_lost_state_file_doubles_nothing_and_deletes_nothing(kinto: Kinto, tmp_path: Path) -> None:
    source, target = kinto.collection("lost_source"), kinto.collection("lost_target")
    kinto.put_many("lost_source", [person(number) for number in range(300)])
    desk = Desk(tmp_path, spec(kinto, source, target), secrets={"KINTO_PASSWORD": kinto.password})
    desk.run()
    for left_over in tmp_path.glob("crudsd.db*"):
        left_over.unlink()
    kinto.delete("lost_source", "p00007")
    kinto.journal.forget()

    result = desk.run().result

    assert (result.counts.adopted, result.counts.unchanged) == (299, 299)
    assert kinto.journal.writes() == []
    assert len(kinto.all("lost_target")) == 300
