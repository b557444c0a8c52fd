"""The real servers do what the other integration tests rely on: a fixture that nobody checks is a lie."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode, urlsplit

import pytest

from tests.servers.counting_proxy import Passed
from tests.servers.exchange import Answer, ask, basic, oauth_basic
from tests.servers.kinto import Kinto
from tests.servers.oidc import FORM, Oidc
from tests.servers.pocketbase import PocketBase
from tests.servers.process import until

pytestmark = pytest.mark.servers


class TestLoopbackOnly:
    @pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "203.0.113.7"])
    def test_a_test_cannot_leave_this_machine(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET

        with socket.socket(family) as outgoing, pytest.raises(RuntimeError, match="may not connect"):
            outgoing.connect((address, 80))

    def test_a_test_can_talk_to_itself(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=1).close()


class TestKinto:
    def test_six_hundred_records_come_in_three_pages_through_the_proxy(self, kinto: Kinto) -> None:
        records = kinto.collection("paged")
        kinto.put_many("paged", ({"id": f"r{n}", "n": n} for n in range(600)))
        kinto.journal.forget()

        found, pages, address = [], 0, f"{kinto.url}{records}"
        while address:
            answer = ask("GET", address, headers={"Authorization": kinto.authorization}).expect(200)
            found += answer.json()["data"]
            pages += 1
            address = answer.headers["Next-Page"]
            assert not address or address.startswith(kinto.url)

        assert sorted(record["n"] for record in found) == list(range(600))
        assert pages == kinto.journal.count("GET") == 3

    def test_the_oracle_reads_all_that_was_seeded(self, kinto: Kinto) -> None:
        kinto.collection("seeded")

        kinto.put_many("seeded", ({"id": f"r{n}", "n": n} for n in range(300)))

        assert {record["id"]: record["n"] for record in kinto.all("seeded")} == {f"r{n}": n for n in range(300)}

    def test_a_stale_etag_is_refused_with_412_and_the_record_that_is_there(self, kinto: Kinto) -> None:
        address = f"{kinto.url}{kinto.collection('etags')}/ada"
        headers = {"Authorization": kinto.authorization}
        first = ask("PUT", address, json_body={"data": {"n": 1}}, headers=headers).expect(201)
        ask("PUT", address, json_body={"data": {"n": 2}}, headers=headers).expect(200)

        stale = headers | {"If-Match": first.headers["ETag"]}
        answer = ask("PUT", address, json_body={"data": {"n": 3}}, headers=stale)

        assert answer.status == 412
        assert answer.json()["details"]["existing"]["n"] == 2

    def test_a_deleted_record_leaves_a_tombstone(self, kinto: Kinto) -> None:
        kinto.collection("graves")
        kinto.put_many("graves", [{"id": "ada"}, {"id": "bob"}])

        kinto.delete("graves", "ada")

        assert [stone["id"] for stone in kinto.tombstones("graves")] == ["ada"]
        assert [record["id"] for record in kinto.all("graves")] == ["bob"]

    def test_making_a_collection_again_empties_it_of_records_and_tombstones(self, kinto: Kinto) -> None:
        kinto.collection("again")
        kinto.put_many("again", [{"id": "ada"}, {"id": "bob"}])
        kinto.delete("again", "ada")

        kinto.collection("again")

        assert kinto.all("again") == kinto.tombstones("again") == []


class TestPocketBase:
    def test_pages_hold_every_record_once(self, pocketbase: PocketBase) -> None:
        records = pocketbase.create_collection("paged", ["name"])
        pocketbase.seed("paged", ({"name": f"n{n}"} for n in range(1200)))
        headers = {"Authorization": f"Bearer {pocketbase.login()}"}

        found = []
        for page in (1, 2, 3, 4):
            query = urlencode({"page": page, "perPage": 400, "sort": "id"})
            found += ask("GET", f"{pocketbase.url}{records}?{query}", headers=headers).expect(200).json()["items"]

        assert sorted(record["name"] for record in found) == sorted(f"n{n}" for n in range(1200))

    def test_the_oracle_reads_all_that_was_seeded(self, pocketbase: PocketBase) -> None:
        pocketbase.create_collection("seeded", ["name"])

        pocketbase.seed("seeded", ({"name": f"n{n}"} for n in range(2000)))

        assert len({record["name"] for record in pocketbase.all("seeded")}) == 2000

    def test_a_duplicate_is_refused_with_400_and_a_code_for_the_field(self, pocketbase: PocketBase) -> None:
        records = pocketbase.create_collection("unique", ["external_id"], unique=["external_id"])
        pocketbase.seed("unique", [{"external_id": "ada"}])
        headers = {"Authorization": pocketbase.login()}

        answer = ask("POST", f"{pocketbase.url}{records}", json_body={"external_id": "ada"}, headers=headers)

        assert answer.status == 400
        assert answer.json()["data"]["external_id"]["code"] == "validation_not_unique"

    def test_without_a_token_a_list_is_an_empty_200(self, pocketbase: PocketBase) -> None:
        records = pocketbase.create_collection("quiet", ["name"])
        pocketbase.seed("quiet", [{"name": "ada"}])

        answer = ask("GET", f"{pocketbase.url}{records}")

        assert (answer.status, answer.json()["totalItems"]) == (200, 0)

    def test_without_a_token_a_collection_that_refuses_strangers_answers_401(self, pocketbase: PocketBase) -> None:
        records = pocketbase.create_collection("strict", ["name"], refuse_strangers=True)

        assert ask("GET", f"{pocketbase.url}{records}").status == 401
        assert ask("POST", f"{pocketbase.url}{records}", json_body={"name": "x"}).status == 401

    def test_the_rate_limit_is_real_and_says_nothing_of_when_to_come_back(self, pocketbase: PocketBase) -> None:
        records = pocketbase.create_collection("limited", ["name"])
        headers = {"Authorization": pocketbase.login()}

        with pocketbase.limited(5, per_s=60):
            answers = [ask("GET", f"{pocketbase.url}{records}", headers=headers) for _ in range(6)]
        after = ask("GET", f"{pocketbase.url}{records}", headers=headers)

        assert [answer.status for answer in answers] == [200] * 5 + [429]
        assert answers[-1].headers["Retry-After"] is None
        assert after.status == 200


def token_request(oidc: Oidc, authorization: str) -> Answer:
    body = urlencode({"grant_type": "client_credentials", "scope": "people.read"}).encode()
    return ask("POST", oidc.token_url, body=body, headers=FORM | {"Authorization": authorization})


class TestOidc:
    def test_an_awkward_secret_works_when_it_is_encoded_as_rfc_6749_says(self, oidc: Oidc) -> None:
        client = oidc.clients["cc-basic"]

        answer = token_request(oidc, oauth_basic(client.id, client.secret))

        assert answer.expect(200).json()["expires_in"] == 600
        assert oidc.is_active(answer.json()["access_token"])

    def test_the_same_secret_is_refused_when_it_is_sent_raw(self, oidc: Oidc) -> None:
        client = oidc.clients["cc-basic"]

        assert token_request(oidc, basic(client.id, client.secret)).status in {400, 401}

    def test_a_letter_outside_ascii_is_refused_even_when_it_is_encoded(self, oidc: Oidc) -> None:
        assert token_request(oidc, oauth_basic("cc-basic", "sécret")).status == 400

    def test_a_secret_in_the_body_works_for_the_client_that_is_registered_so(self, oidc: Oidc) -> None:
        client = oidc.clients["cc-post"]
        body = urlencode({"grant_type": "client_credentials", "client_id": client.id, "client_secret": client.secret})

        answer = ask("POST", oidc.token_url, body=body.encode(), headers=FORM)

        assert answer.expect(200).json()["token_type"] == "Bearer"

    def test_token_requests_are_counted_by_the_proxy_and_by_the_server(self, oidc: Oidc) -> None:
        client = oidc.clients["cc-600s"]
        oidc.journal.forget()
        before = oidc.stats()

        token_request(oidc, oauth_basic(client.id, client.secret)).expect(200)
        token_request(oidc, oauth_basic(client.id, "wrong")).expect(401)

        assert [(passed.path, passed.status) for passed in oidc.journal.writes()] == [
            ("/token", 200),
            ("/token", 401),
        ]
        assert oidc.stats() - before == {"cc-600s": 1, "": 1}

    def test_the_gate_lets_a_living_token_through_to_a_server_that_wants_basic(self, oidc: Oidc, kinto: Kinto) -> None:
        records = kinto.collection("gated")
        kinto.put_many("gated", [{"id": "ada"}])
        headers = {"Authorization": f"Bearer {oidc.token('cc-600s')}"}

        with oidc.gate(kinto.port, authorization=kinto.authorization) as gate:
            answer = ask("GET", f"{gate.url}/v1{records}", headers=headers)

        assert [record["id"] for record in answer.expect(200).json()["data"]] == ["ada"]

    def test_the_gate_refuses_a_token_of_five_seconds_once_they_are_over(self, oidc: Oidc, kinto: Kinto) -> None:
        with oidc.gate(kinto.port, authorization=kinto.authorization) as gate:
            headers = {"Authorization": f"Bearer {oidc.token('cc-5s')}"}
            address = f"{gate.url}/v1/"
            assert ask("GET", address, headers=headers).status == 200

            until(lambda: ask("GET", address, headers=headers).status == 401, what="401", within_s=15)
            refusal = ask("GET", address, headers=headers)

        assert 'error="invalid_token"' in refusal.headers["WWW-Authenticate"]
        assert gate.journal.by_status()[401] == 2

    def test_the_gate_refuses_a_token_that_was_revoked(self, oidc: Oidc, kinto: Kinto) -> None:
        token = oidc.token("cc-600s")
        oidc.revoke(token, "cc-600s")

        with oidc.gate(kinto.port) as gate:
            answer = ask("GET", f"{gate.url}/v1/", headers={"Authorization": f"Bearer {token}"})

        assert answer.status == 401

    def test_the_gate_refuses_a_request_without_a_token(self, oidc: Oidc, kinto: Kinto) -> None:
        with oidc.gate(kinto.port) as gate:
            answer = ask("POST", f"{gate.url}/v1/batch", json_body={"requests": []})

        assert answer.status == 401
        assert "error" not in answer.headers["WWW-Authenticate"]


class TestCountingProxy:
    def test_the_journal_tells_reads_from_writes(self, kinto: Kinto) -> None:
        records = kinto.collection("counted")
        headers = {"Authorization": kinto.authorization}
        kinto.journal.forget()

        ask("GET", f"{kinto.url}{records}?_limit=1", headers=headers).expect(200)
        ask("HEAD", f"{kinto.url}{records}", headers=headers).expect(200)
        ask("PUT", f"{kinto.url}{records}/ada", json_body={"data": {}}, headers=headers).expect(201)
        ask("DELETE", f"{kinto.url}{records}/none", headers=headers).expect(404)

        path = urlsplit(f"{kinto.url}{records}").path
        assert kinto.journal.entries[0] == Passed("GET", f"{path}?_limit=1", 200)
        assert kinto.journal.writes() == [
            Passed("PUT", f"{path}/ada", 201),
            Passed("DELETE", f"{path}/none", 404),
        ]
        assert kinto.journal.by_method() == {"GET": 1, "HEAD": 1, "PUT": 1, "DELETE": 1}

    def test_helpers_of_the_fixtures_are_not_counted(self, kinto: Kinto, pocketbase: PocketBase) -> None:
        kinto.journal.forget()
        pocketbase.journal.forget()

        kinto.collection("uncounted")
        kinto.put_many("uncounted", [{"id": "ada"}])
        pocketbase.create_collection("uncounted", ["name"])
        pocketbase.seed("uncounted", [{"name": "ada"}])

        assert kinto.journal.entries == pocketbase.journal.entries == ()

    def test_requests_from_many_threads_are_all_counted(self, pocketbase: PocketBase) -> None:
        pocketbase.journal.forget()

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda _: ask("GET", f"{pocketbase.url}/health").status, range(100)))

        assert statuses == [200] * 100
        assert pocketbase.journal.count("GET", "/health") == 100

    def test_a_large_body_passes_whole_in_both_directions(self, kinto: Kinto) -> None:
        records = kinto.collection("large")
        text = "ä" * 400_000
        headers = {"Authorization": kinto.authorization}

        ask("PUT", f"{kinto.url}{records}/ada", json_body={"data": {"text": text}}, headers=headers).expect(201)
        answer = ask("GET", f"{kinto.url}{records}/ada", headers=headers).expect(200)

        assert json.loads(answer.body)["data"]["text"] == text
