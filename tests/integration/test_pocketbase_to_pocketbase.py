"""PocketBase to PocketBase: page numbers, totals, thousands of records, and a source behind a real oidc-provider."""

from pathlib import Path
from typing import Any

import pytest

from daemon.sync.outcome import Ending
from tests.integration.harness import Desk, wrote
from tests.servers.oidc import Oidc
from tests.servers.pocketbase import PocketBase

pytestmark = pytest.mark.servers

RECORDS, MANY_RECORDS = 2_500, 10_000
"""By default, and where everything is to be tried."""
FIELDS = ("external_id", "name", "email")


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"external_id": f"E{number:05}", "name": f"Zoë {number}", "email": f"p{number}@example.test", **fields}


def spec(
    source_connection: dict[str, Any], target_connection: dict[str, Any], source: str, target: str
) -> dict[str, Any]:
    return {
        "connections": {"hr": source_connection, "desk": target_connection},
        "jobs": {
            "people": {
                "mode": "mirror",
                "source": {
                    "connection": "hr",
                    "read": source,
                    "params": {"sort": "external_id"},
                    "records": "items",
                    "paginate": {
                        "type": "page",
                        "param": "page",
                        "size": 500,
                        "size_param": "perPage",
                        "total": "totalItems",
                    },
                },
                "key": "record.external_id",
                "map": {name: f"record.{name}" for name in FIELDS},
                "target": {
                    "connection": "desk",
                    "match": "external_id",
                    "lookup": {
                        "uri": target,
                        "params": {"filter": "external_id = '{{ document.external_id }}'"},
                        "records": "items",
                    },
                    "list": {
                        "uri": target,
                        "records": "items",
                        "paginate": {
                            "type": "page",
                            "param": "page",
                            "size": 1000,
                            "size_param": "perPage",
                            "total": "totalItems",
                        },
                    },
                    "create": target,
                    "update": {"uri": target + "/{{ target.id }}", "body": "changed"},
                    "delete": target + "/{{ target.id }}",
                },
            }
        },
    }


def bearer(host: str) -> dict[str, Any]:
    return {"host": host, "auth": {"type": "bearer", "token": {"env": "PB_TOKEN"}}, "quota": {"concurrency": 4}}


def held(pocketbase: PocketBase, collection: str) -> dict[str, tuple[Any, ...]]:
    return {one["external_id"]: tuple(one[name] for name in FIELDS) for one in pocketbase.all(collection)}


def test_thousands_of_records_are_equal_then_idle_then_follow_a_change_set(
    pocketbase: PocketBase, tmp_path: Path, long: bool
) -> None:
    records = MANY_RECORDS if long else RECORDS
    source = pocketbase.create_collection("big_source", FIELDS, unique=["external_id"])
    target = pocketbase.create_collection("big_target", FIELDS, unique=["external_id"])
    pocketbase.seed("big_source", [person(number) for number in range(records)])
    connection = bearer(pocketbase.url)
    secrets = {"PB_TOKEN": pocketbase.login()}
    desk = Desk(tmp_path, spec(connection, connection, source, target), secrets=secrets)

    first = desk.run()

    assert first.result.ending is Ending.DONE
    assert wrote(first.result.counts) == (records, 0, 0)
    assert held(pocketbase, "big_target") == held(pocketbase, "big_source")

    pocketbase.journal.forget()
    second = desk.run()

    assert second.result.counts.unchanged == records
    assert pocketbase.journal.writes() == []

    by_number = {one["external_id"]: one["id"] for one in pocketbase.all("big_source")}
    for number in range(40):
        pocketbase.change("big_source", by_number[f"E{number:05}"], {"name": f"New {number}"})
    for number in range(100, 125):
        pocketbase.delete("big_source", by_number[f"E{number:05}"])
    pocketbase.seed("big_source", [person(number) for number in range(records, records + 15)])
    pocketbase.journal.forget()
    third = desk.run()

    assert third.result.ending is Ending.DONE
    assert wrote(third.result.counts) == (15, 40, 25)
    assert len(pocketbase.journal.writes()) == 80
    assert held(pocketbase, "big_target") == held(pocketbase, "big_source")


@pytest.mark.edge(16)
@pytest.mark.suffering(1)
def test_an_expired_token_that_hides_every_record_deletes_nothing(pocketbase: PocketBase, tmp_path: Path) -> None:
    """PocketBase answers a stranger with status 200 and no items: an outage that looks like an empty source."""
    source = pocketbase.create_collection("hidden_source", FIELDS)
    target = pocketbase.create_collection("hidden_target", FIELDS)
    pocketbase.seed("hidden_source", [person(number) for number in range(50)])
    connection = bearer(pocketbase.url)
    desk = Desk(tmp_path, spec(connection, connection, source, target), secrets={"PB_TOKEN": pocketbase.login()})
    desk.run()
    stranger = {"host": pocketbase.url}
    desk.write(spec(stranger, connection, source, target))

    result = desk.run().result

    assert result.ending is Ending.HELD
    assert result.counts.deletes_withheld == 50
    assert len(pocketbase.all("hidden_target")) == 50


def test_a_source_behind_a_real_authorization_server_is_read_with_tokens_that_renew_themselves(
    pocketbase: PocketBase, oidc: Oidc, tmp_path: Path
) -> None:
    source = pocketbase.create_collection("gated_source", FIELDS)
    target = pocketbase.create_collection("gated_target", FIELDS, unique=["external_id"])
    pocketbase.seed("gated_source", [person(number) for number in range(1_000)])
    client = oidc.clients["cc-basic"]
    upstream = f"Bearer {pocketbase.login()}"
    with oidc.gate(pocketbase.port, authorization=upstream) as gate:
        gated = {
            "host": f"{gate.url}/api",
            "auth": {
                "type": "oauth2",
                "url": oidc.token_url,
                "client_id": client.id,
                "client_secret": {"env": "OIDC_SECRET"},
                "scope": "people.read",
            },
        }
        secrets = {"PB_TOKEN": pocketbase.login(), "OIDC_SECRET": client.secret}
        desk = Desk(tmp_path, spec(gated, bearer(pocketbase.url), source, target), secrets=secrets)
        before = oidc.stats()[client.id]

        first = desk.run().result
        pocketbase.journal.forget()
        second = desk.run().result
        asked = oidc.stats()[client.id] - before

    assert (first.ending, first.counts.created) == (Ending.DONE, 1_000)
    assert second.counts.unchanged == 1_000
    assert pocketbase.journal.writes() == []
    assert held(pocketbase, "gated_target") == held(pocketbase, "gated_source")
    assert asked == 1, "a restart must not ask for a new token while the sealed one is good"


def test_no_secret_can_be_read_in_the_state_file(pocketbase: PocketBase, oidc: Oidc, tmp_path: Path) -> None:
    source = pocketbase.create_collection("sealed_source", FIELDS)
    target = pocketbase.create_collection("sealed_target", FIELDS)
    pocketbase.seed("sealed_source", [person(number) for number in range(5)])
    client = oidc.clients["cc-post"]
    with oidc.gate(pocketbase.port, authorization=f"Bearer {pocketbase.login()}") as gate:
        gated = {
            "host": f"{gate.url}/api",
            "auth": {
                "type": "oauth2",
                "url": oidc.token_url,
                "client_id": client.id,
                "client_secret": {"env": "OIDC_SECRET"},
                "client_auth": "post",
                "scope": "people.read",
            },
        }
        token = pocketbase.login()
        secrets = {"PB_TOKEN": token, "OIDC_SECRET": client.secret}
        desk = Desk(tmp_path, spec(gated, bearer(pocketbase.url), source, target), secrets=secrets)
        assert desk.run().result.ending is Ending.DONE
        issued = _issued_token(desk)

    state = b"".join(path.read_bytes() for path in tmp_path.glob("crudsd.db*"))
    for secret in (client.secret, token, issued):
        assert secret.encode() not in state
    assert issued.encode()[:12] not in state


def test_a_job_under_a_real_limiter_that_does_not_say_when_ends_equal(pocketbase: PocketBase, tmp_path: Path) -> None:
    source = pocketbase.create_collection("limited_source", FIELDS)
    target = pocketbase.create_collection("limited_target", FIELDS, unique=["external_id"])
    pocketbase.seed("limited_source", [person(number) for number in range(120)])
    connection = bearer(pocketbase.url)
    desk = Desk(tmp_path, spec(connection, connection, source, target), secrets={"PB_TOKEN": pocketbase.login()})
    pocketbase.journal.forget()
    with pocketbase.limited(60, per_s=2):
        result = desk.run().result

    statuses = pocketbase.journal.by_status()
    assert (result.ending, result.counts.created) == (Ending.DONE, 120)
    assert held(pocketbase, "limited_target") == held(pocketbase, "limited_source")
    assert 1 <= statuses[429] <= statuses[200] / 4, "it was limited, and it was not hammered"


def _issued_token(desk: Desk) -> str:
    """Return the token that the state file holds, opened with its key."""
    from daemon.app import open_app

    with open_app(desk.settings) as app:
        exchange = app.connections.exchange("hr")
        headers = exchange.client._exchange._credentials.proof().headers
    return next(iter(headers.values())).removeprefix("Bearer ")
