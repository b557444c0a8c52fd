"""Every fault of the misbehaving server really happens, seen by nothing cleverer than `http.client`."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.fakes.misbehaving import Applied, Collection, Cut, Fault, MisbehavingServer, Moment
from tests.fakes.misbehaving_faults import Dialect
from tests.servers.exchange import Answer, ask, oauth_basic
from tests.servers.process import until


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=1) as server:
        yield server


@pytest.fixture
def people(server: MisbehavingServer) -> Collection:
    made = server.collection("people", unique=["email"], page_size=2)
    made.put({"external_id": f"p{n}", "email": f"{n}@example.test"} for n in range(5))
    return made


def get(server: MisbehavingServer, target: str = "/people") -> Answer:
    return ask("GET", f"{server.url}{target}", timeout_s=10)


def create(server: MisbehavingServer, key: str, *, headers: dict[str, str] | None = None, **fields: Any) -> Answer:
    record = {"external_id": key, **fields}
    return ask("POST", f"{server.url}/people", json_body=record, headers=headers, timeout_s=10)


def keys(items: list[dict[str, Any]]) -> list[str]:
    return [item["external_id"] for item in items]


class TestListsThatLag:
    """Lists that are answered by an index which is a little behind, as search indexes are."""

    def test_a_created_record_is_missing_from_the_next_lists_and_is_there_under_its_id(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        people.lag(2)
        made = create(server, "ada").expect(201).json()

        looked_up = [get(server, "/people?external_id=ada").json()["data"] for _ in range(3)]

        assert [one["total"] for one in looked_up] == [0, 0, 1]
        assert ask("GET", f"{server.url}/people/{made['id']}").json()["external_id"] == "ada"

    def test_the_whole_list_lags_like_a_look_up_and_each_record_by_itself(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        people.lag(2)
        create(server, "ada").expect(201)
        first = get(server).json()["data"]["total"]
        create(server, "bob").expect(201)

        totals = [get(server).json()["data"]["total"] for _ in range(3)]

        assert [first, *totals] == [5, 5, 6, 7]

    def test_records_that_were_there_and_changes_to_them_are_seen_at_once(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        people.lag(5)
        ada = people.records()[0]

        ask("PATCH", f"{server.url}/people/{ada['id']}", json_body={"name": "Ada"}).expect(200)
        people.put([{"external_id": "eve"}])

        assert get(server).json()["data"]["items"][0]["name"] == "Ada"
        assert get(server).json()["data"]["total"] == 6


class TestHonestServer:
    def test_a_created_record_can_be_read_changed_replaced_and_deleted(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        made = create(server, "ada", name="Ada").expect(201).json()
        address = f"{server.url}/people/{made['id']}"

        patched = ask("PATCH", address, json_body={"name": "Ada L."}).expect(200).json()
        replaced = ask("PUT", address, json_body={"external_id": "ada"}).expect(200).json()
        ask("DELETE", address).expect(204)

        assert patched == {"external_id": "ada", "name": "Ada L.", "id": made["id"]}
        assert replaced == {"external_id": "ada", "id": made["id"]}
        assert ask("GET", address).status == ask("DELETE", address).status == 404
        assert [done.kind for done in server.applied] == ["create", "update", "update", "delete"]

    def test_a_duplicate_key_or_unique_field_is_a_conflict(self, server: MisbehavingServer, people: Collection) -> None:
        assert create(server, "p1", email="new@example.test").expect(409).json()["error"]["field"] == "external_id"
        assert create(server, "new", email="1@example.test").expect(409).json()["error"]["field"] == "email"
        assert server.applied == ()

    def test_a_record_is_looked_up_by_any_field(self, server: MisbehavingServer, people: Collection) -> None:
        found = get(server, "/people?email=3@example.test").json()["data"]

        assert (keys(found["items"]), found["total"]) == (["p3"], 1)

    def test_a_list_is_filtered_by_a_range_that_holds_its_lower_bound(self, server: MisbehavingServer) -> None:
        server.collection("people", paging="none").put(
            {"external_id": f"p{n}", "at": f"2026-01-0{n}"} for n in (1, 2, 3)
        )

        found = get(server, "/people?at_since=2026-01-02&at_before=2026-01-03").json()["people"]

        assert keys(found) == ["p2"]

    def test_putting_a_known_key_replaces_the_record_under_its_id_and_in_no_journal(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        before = people.by_key()["p1"]

        people.put([{"external_id": "p1", "name": "new"}])

        assert people.by_key()["p1"] == {"external_id": "p1", "name": "new", "id": before["id"]}
        assert len(people.records()) == 5
        assert server.applied == ()

    def test_the_same_seed_gives_the_same_ids(self) -> None:
        assert ids_of(seed=7) == ids_of(seed=7) != ids_of(seed=8)

    def test_a_stale_etag_is_refused(self, server: MisbehavingServer, people: Collection) -> None:
        address = f"{server.url}/people/{people.records()[0]['id']}"
        etag = ask("GET", address).headers["ETag"]
        ask("PATCH", address, json_body={"name": "x"}, headers={"If-Match": etag}).expect(200)

        assert ask("PATCH", address, json_body={"name": "y"}, headers={"If-Match": etag}).status == 412

    def test_put_creates_where_clients_choose_the_ids(self, server: MisbehavingServer) -> None:
        people = server.collection("people", chosen_ids=True)

        ask("PUT", f"{server.url}/people/a%2Fb", json_body={"external_id": "ada"}).expect(201)

        assert people.records() == [{"external_id": "ada", "id": "a/b"}]
        assert server.creates_by_key("people") == {"ada": 1}

    def test_a_collection_may_lie_below_another_record(self, server: MisbehavingServer) -> None:
        server.collection("projects/7/tickets", paging="page").put([{"external_id": "t1"}])

        assert keys(get(server, "/projects/7/tickets").json()["tickets"]) == ["t1"]


def ids_of(seed: int) -> list[str]:
    with MisbehavingServer(seed=seed) as server:
        people = server.collection("people")
        people.put({"external_id": f"p{n}"} for n in range(3))
        return [record["id"] for record in people.records()]


class TestPaging:
    def test_by_cursor(self, server: MisbehavingServer, people: Collection) -> None:
        found, query = [], ""
        while True:
            data = get(server, f"/people{query}").json()["data"]
            found.append(keys(data["items"]))
            if data["next_cursor"] is None:
                break
            query = f"?cursor={data['next_cursor']}"

        assert found == [["p0", "p1"], ["p2", "p3"], ["p4"]]
        assert data["total"] == 5

    def test_an_unknown_cursor_is_refused(self, server: MisbehavingServer, people: Collection) -> None:
        assert get(server, "/people?cursor=made-up").status == 400

    @pytest.mark.parametrize("paging", ["page", "offset"])
    def test_by_number(self, server: MisbehavingServer, paging: Any) -> None:
        server.collection("people", paging=paging, page_size=2).put({"external_id": f"p{n}"} for n in range(3))
        places = ["page=1", "page=2", "page=3"] if paging == "page" else ["offset=0", "offset=2", "offset=4"]

        pages = [get(server, f"/people?{place}").json() for place in places]

        assert [keys(page["people"]) for page in pages] == [["p0", "p1"], ["p2"], []]
        assert {page["total"] for page in pages} == {3}

    def test_by_link_header(self, server: MisbehavingServer) -> None:
        server.collection("people", paging="link", page_size=2).put({"external_id": f"p{n}"} for n in range(3))

        first = get(server, "/people?external_id_since=p0")
        link = first.headers["Link"]
        second = ask("GET", link[1 : link.index(">")])

        assert link.endswith('>; rel="next"')
        assert (keys(first.json()), keys(second.json())) == (["p0", "p1"], ["p2"])
        assert (first.headers["X-Total-Count"], second.headers["Link"]) == ("3", None)

    def test_by_next_url(self, server: MisbehavingServer) -> None:
        server.collection("people", paging="next_url", page_size=2).put({"external_id": f"p{n}"} for n in range(3))

        first = get(server).json()
        second = ask("GET", first["next"]).json()

        assert (keys(first["people"]), keys(second["people"]), second["next"]) == (["p0", "p1"], ["p2"], None)

    def test_all_at_once(self, server: MisbehavingServer) -> None:
        server.collection("people", paging="none").put({"external_id": f"p{n}"} for n in range(300))

        assert len(get(server).json()["people"]) == 300


class TestWhenAFaultStrikes:
    def test_by_method_and_path(self, server: MisbehavingServer, people: Collection) -> None:
        server.collection("teams")
        server.fault(Fault.answer(503), method="GET", path=r"^/people$")

        assert get(server, "/people?email=x").status == 503
        assert get(server, "/teams").status == 200
        assert create(server, "ada").status == 201

    def test_by_a_pattern_in_the_query(self, server: MisbehavingServer) -> None:
        server.collection("people", paging="page")
        server.fault(Fault.answer(503), path=r"page=2")

        assert [get(server, f"/people?page={page}").status for page in (1, 2, 3)] == [200, 503, 200]

    @pytest.mark.parametrize(
        ("when", "struck"),
        [
            ({}, [1, 2, 3, 4, 5, 6]),
            ({"nth": 3}, [3]),
            ({"every": 3}, [3, 6]),
            ({"times": 2}, [1, 2]),
            ({"nth": 2, "times": 3}, [2, 3, 4]),
            ({"every": 2, "times": 1}, [2]),
        ],
    )
    def test_by_count(
        self, server: MisbehavingServer, people: Collection, when: dict[str, int], struck: list[int]
    ) -> None:
        server.fault(Fault.answer(500), **when)  # type: ignore[arg-type]  # all of these are counts

        assert [n for n in range(1, 7) if get(server).status == 500] == struck

    def test_faults_that_strike_together_are_joined(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.with_headers({"X-One": "1"}))
        server.fault(Fault.answer(500, headers={"X-Two": "2"}), nth=1)

        answer = get(server)

        assert (answer.status, answer.headers["X-One"], answer.headers["X-Two"]) == (500, "1", "2")

    def test_never_again_once_it_was_told_to_behave(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.answer(500))
        server.behave()

        assert get(server).status == 200


class TestLostAnswers:
    def test_a_status_without_the_write(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.answer(503, "busy"), method="POST")

        answer = create(server, "ada")

        assert (answer.status, answer.body, server.applied) == (503, b"busy", ())

    def test_a_status_although_the_write_was_done(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.answer(504, applied=True), method="POST")

        assert create(server, "ada").status == 504
        assert server.creates_by_key() == {"ada": 1}

    def test_a_close_before_the_write(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.close_before(), method="POST")

        with pytest.raises(http.client.RemoteDisconnected):
            create(server, "ada")

        assert server.applied == ()
        assert len(server.writes()) == 1

    def test_a_close_after_the_write(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.close_after(), method="POST")

        with pytest.raises(http.client.RemoteDisconnected):
            create(server, "ada")

        record = people.by_key()["ada"]
        assert server.applied == (Applied("create", "people", "ada", record["id"]),)

    @pytest.mark.parametrize("applied", [False, True])
    def test_a_reset_with_or_without_the_write(
        self, server: MisbehavingServer, people: Collection, applied: bool
    ) -> None:
        server.fault(Fault.connection_reset(applied=applied), method="POST")

        with pytest.raises(ConnectionResetError) as raised:
            create(server, "ada")

        assert not isinstance(raised.value, http.client.RemoteDisconnected)
        assert ("ada" in people.by_key()) is applied

    def test_a_delay_before_the_write(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.delay(0.2))
        began = time.monotonic()

        create(server, "ada").expect(201)

        assert time.monotonic() - began >= 0.2

    def test_a_late_answer_to_a_write_that_was_done_at_once(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        server.fault(Fault.late(30), method="POST")

        with pytest.raises(TimeoutError):
            ask("POST", f"{server.url}/people", json_body={"external_id": "ada"}, timeout_s=0.3)

        assert server.creates_by_key() == {"ada": 1}


class TestSpoiledBodies:
    def test_a_cut_under_the_right_length_can_be_noticed(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.cut_body(Cut.RIGHT_LENGTH))

        with pytest.raises(http.client.IncompleteRead):
            get(server)

    def test_a_cut_in_chunks_can_be_noticed(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.cut_body(Cut.CHUNKED))

        with pytest.raises(http.client.IncompleteRead):
            get(server)

    @pytest.mark.parametrize("how", [Cut.WRONG_LENGTH, Cut.NO_LENGTH])
    def test_a_cut_under_the_wrong_length_or_none_is_seen_only_in_the_json(
        self, server: MisbehavingServer, people: Collection, how: Cut
    ) -> None:
        whole = get(server).body
        server.fault(Fault.cut_body(how))

        answer = get(server)

        assert answer.status == 200
        assert answer.body == whole[: len(whole) // 2]
        with pytest.raises(json.JSONDecodeError):
            answer.json()

    def test_a_drip_brings_the_body_piece_by_piece(self, server: MisbehavingServer, people: Collection) -> None:
        whole = get(server).body
        server.fault(Fault.drip(piece_bytes=len(whole) // 4 + 1, pause_s=0.05))
        began = time.monotonic()

        with closing(http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=5)) as connection:
            connection.request("GET", "/people")
            response = connection.getresponse()
            first = response.read1()
            rest = response.read()

        assert first + rest == whole
        assert 0 < len(first) < len(whole)
        assert time.monotonic() - began >= 0.1

    def test_html_under_200(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.html())

        answer = create(server, "ada")

        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert answer.body.startswith(b"<!doctype html>")
        assert server.applied == ()

    def test_an_error_envelope_under_200(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.envelope())

        assert get(server).expect(200).json()["ok"] is False


class TestSpoiledLists:
    def test_a_repeated_page(self, server: MisbehavingServer) -> None:
        server.collection("people", paging="page", page_size=2).put({"external_id": f"p{n}"} for n in range(6))
        server.fault(Fault.repeat_page(), nth=2)

        pages = [keys(get(server, f"/people?page={n}").json()["people"]) for n in (1, 2, 3)]

        assert pages == [["p0", "p1"], ["p0", "p1"], ["p4", "p5"]]

    def test_a_cycle_of_tokens(self, server: MisbehavingServer, people: Collection) -> None:
        server.fault(Fault.token_cycle())

        tokens, query = [], ""
        for _ in range(5):
            token = get(server, f"/people{query}").json()["data"]["next_cursor"]
            tokens.append(token)
            query = f"?cursor={token}"

        a, b = tokens[:2]
        assert a != b
        assert tokens == [a, b, a, b, a]

    def test_a_clamped_last_page(self, server: MisbehavingServer) -> None:
        server.collection("people", paging="page", page_size=2).put({"external_id": f"p{n}"} for n in range(3))
        server.fault(Fault.clamp_last_page())

        pages = [get(server, f"/people?page={n}").json() for n in (2, 3, 99)]

        assert [keys(page["people"]) for page in pages] == [["p2"]] * 3
        assert [page["page"] for page in pages] == [2, 2, 2]

    def test_a_drift_hides_a_record_from_a_reader_by_offset(self, server: MisbehavingServer) -> None:
        people = server.collection("people", paging="offset", page_size=2)
        people.put({"external_id": f"p{n}"} for n in range(4))
        server.fault(Fault.drift(), nth=1)

        found = [key for at in (0, 2) for key in keys(get(server, f"/people?offset={at}").json()["people"])]

        assert found == ["p0", "p1", "p3", "p0"]
        assert sorted(people.by_key()) == ["p0", "p1", "p2", "p3"]

    @pytest.mark.parametrize("paging", ["cursor", "page", "offset", "link", "next_url", "none"])
    def test_a_missing_records_path(self, server: MisbehavingServer, paging: Any) -> None:
        server.collection("people", paging=paging).put([{"external_id": "ada"}])
        server.fault(Fault.missing_records())

        body = get(server).expect(200).json()

        assert "ada" not in json.dumps(body)
        assert "people" not in body
        assert "items" not in body.get("data", {})


class TestLimits:
    @pytest.mark.parametrize(
        ("retry_after", "said"), [(None, None), (7, "7"), (36_000, "36000"), ("soon", "soon"), (-1, "-1")]
    )
    def test_429_with_whatever_retry_after(
        self, server: MisbehavingServer, people: Collection, retry_after: Any, said: str | None
    ) -> None:
        server.fault(Fault.too_many(retry_after))

        answer = create(server, "ada")

        assert (answer.status, answer.headers["Retry-After"], server.applied) == (429, said, ())

    @pytest.mark.parametrize("ahead", [timedelta(seconds=30), timedelta(hours=-1)])
    def test_429_with_a_date_to_come_or_past(
        self, server: MisbehavingServer, people: Collection, ahead: timedelta
    ) -> None:
        when = datetime.now(UTC).replace(microsecond=0) + ahead
        server.fault(Fault.too_many(when))

        said = get(server).headers["Retry-After"]

        assert said.endswith("GMT")
        assert parsedate_to_datetime(said) == when

    @pytest.mark.parametrize(
        ("dialect", "expected"),
        [
            ("ietf", {"RateLimit-Policy": '"default";q=10;w=60', "RateLimit": '"default";r=3;t=60'}),
            ("draft-03", {"RateLimit-Limit": "10", "RateLimit-Remaining": "3", "RateLimit-Reset": "60"}),
            ("x-delta", {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "60"}),
        ],
    )
    def test_the_headers_of_a_rate_limit_come_with_an_honest_answer(
        self, server: MisbehavingServer, people: Collection, dialect: Dialect, expected: dict[str, str]
    ) -> None:
        server.fault(Fault.rate_limit(10, 3, 60, dialect=dialect))

        answer = get(server).expect(200)

        assert {name: answer.headers[name] for name in expected} == expected

    def test_a_rate_limit_may_say_its_end_as_a_point_in_time(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        server.fault(Fault.rate_limit(10, 0, 60, dialect="x-epoch"))

        assert 50 < int(get(server).headers["X-RateLimit-Reset"]) - time.time() < 70


class TestWilfulServer:
    def test_a_field_is_normalised_as_it_is_written(self, server: MisbehavingServer) -> None:
        server.collection("people", normalise={"email": str.lower})

        assert create(server, "ada", email="Ada@Example.Test").json()["email"] == "ada@example.test"

    def test_one_record_is_rejected_until_it_is_accepted(self, server: MisbehavingServer, people: Collection) -> None:
        people.reject("ada")
        refused = [create(server, "ada").status, create(server, "bob").status]
        people.accept("ada")

        assert refused == [422, 201]
        assert create(server, "ada").status == 201

    def test_the_date_header_is_as_wrong_as_it_is_told(self, server: MisbehavingServer, people: Collection) -> None:
        server.clock_skew_s = -3600

        said = parsedate_to_datetime(get(server).headers["Date"])

        assert timedelta(minutes=59) < datetime.now(UTC) - said < timedelta(minutes=61)

    def test_a_repeated_idempotency_key_creates_nothing_and_gets_the_first_answer(self) -> None:
        with MisbehavingServer(idempotent=True) as server:
            server.collection("people")
            headers = {"Idempotency-Key": "one"}
            first = create(server, "ada", headers=headers)
            again = create(server, "ada", headers=headers)
            other = create(server, "bob", headers=headers)

        assert (again.status, again.body) == (201, first.body)
        assert again.headers["Idempotency-Replayed"] == "true"
        assert other.status == 422
        assert server.creates_by_key() == {"ada": 1}

    def test_without_that_memory_a_repeated_create_is_a_conflict(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        headers = {"Idempotency-Key": "one"}

        assert [create(server, "ada", headers=headers).status for _ in range(2)] == [201, 409]


class TestTokens:
    def test_everything_is_refused_until_the_token_is_renewed(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        server.token("good")
        statuses = []
        for renew in (None, server.expire_token, lambda: server.token("better")):
            if renew:
                renew()
            for token in ("good", "better"):
                answer = ask("GET", f"{server.url}/people", headers={"Authorization": f"Bearer {token}"})
                statuses.append(answer.status)

        assert statuses == [200, 401, 401, 401, 401, 200]

    def test_a_refusal_names_its_reason_and_does_nothing(self, server: MisbehavingServer, people: Collection) -> None:
        server.token("good")

        answer = create(server, "ada")

        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
        assert server.applied == ()

    def test_the_token_endpoint_gives_out_a_token_that_works_and_is_no_write(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        address = server.oauth_client("id", "s:e%c+ret", expires_in=60)
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = b"grant_type=client_credentials"

        refused = ask("POST", address, body=body, headers=form | {"Authorization": oauth_basic("id", "wrong")})
        issued = ask("POST", address, body=body, headers=form | {"Authorization": oauth_basic("id", "s:e%c+ret")})
        headers = {"Authorization": f"Bearer {issued.json()['access_token']}"}
        answer = ask("GET", f"{server.url}/people", headers=headers)

        assert (refused.status, issued.status, issued.json()["expires_in"], answer.status) == (401, 200, 60, 200)
        assert (server.writes(), len(server.token_requests())) == ([], 2)


class TestJournal:
    def test_it_holds_what_was_asked_and_forgets_when_told(self, server: MisbehavingServer, people: Collection) -> None:
        create(server, "ada", headers={"X-Trace": "t"})
        get(server, "/people?email=x&page=")

        post, read = server.requests
        assert (post.method, post.path, post.json(), post.headers["x-trace"]) == (
            "POST",
            "/people",
            {"external_id": "ada"},
            "t",
        )
        assert (read.method, read.path, read.query) == ("GET", "/people", {"email": "x", "page": ""})
        assert server.writes() == [post]

        server.forget()
        assert (server.requests, server.applied) == ((), ())
        assert "ada" in people.by_key()

    def test_a_connection_is_kept_and_answers_come_without_a_stall(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=5)) as connection:
            connection.connect()
            first: socket.socket = connection.sock
            began = time.monotonic()
            for _ in range(50):
                connection.request("GET", "/people")
                assert connection.getresponse().read()
            took = time.monotonic() - began

            assert connection.sock is first
        assert took < 1.5

    def test_a_second_record_of_a_key_is_taken_where_doubles_are(self, server: MisbehavingServer) -> None:
        people = server.collection("people", doubles=True, unique=["email"])

        create(server, "ada", email="a@example.test").expect(201)
        create(server, "ada", email="b@example.test").expect(201)

        assert keys(people.records()) == ["ada", "ada"]
        assert server.creates_by_key()["ada"] == 2
        assert create(server, "bob", email="a@example.test").status == 409

    def test_what_is_restored_has_its_ids_and_its_order_again(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        before = people.records()
        people.remove("p1")
        create(server, "ada").expect(201)

        people.restore(before)

        assert people.records() == before
        assert keys(get(server, "/people?external_id=p1").json()["data"]["items"]) == ["p1"]

    def test_somebody_who_watches_is_told_how_far_each_request_has_come(
        self, server: MisbehavingServer, people: Collection
    ) -> None:
        reached: list[tuple[Moment, int]] = []
        server.watch(lambda moment, seen: reached.append((moment, len(server.applied))))

        create(server, "ada").expect(201)

        # The last byte is here before its server says so.
        until(lambda: len(reached) >= 4, what="the answer is sent", within_s=10)
        server.watch(None)
        get(server).expect(200)
        assert reached == [(Moment.ARRIVED, 0), (Moment.APPLIED, 1), (Moment.FIRST_BYTE, 1), (Moment.ANSWERED, 1)]

    def test_a_server_closes_while_clients_keep_their_connections(self) -> None:
        server = MisbehavingServer()
        with server:
            server.collection("people")
            connection = http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port, timeout=5)
            connection.request("GET", "/people")
            connection.getresponse().read()
            began = time.monotonic()
        connection.close()

        assert time.monotonic() - began < 2
