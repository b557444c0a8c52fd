"""What every target must do, whatever kind of system it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import ConflictError, GoneError
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.ports import Answer, Target, TargetRecord, Written
from daemon.sync.together import answers
from daemon.values import Document
from tests.fakes.batching import Batching
from tests.fakes.files import file_target
from tests.fakes.interfaces import call_target
from tests.fakes.misbehaving import MisbehavingServer
from tests.unit.endpoints.rig import change, exchange
from tests.unit.endpoints.rig import target as rest_target
from tests.unit.endpoints.sql_rig import link, sqlite, table

if TYPE_CHECKING:
    from tests.servers.postgres import Postgres

REQUESTS: dict[str, dict[str, Any]] = {
    "create": {"method": "POST", "path": "/users", "body": "{{ document }}"},
    "update": {"method": "PATCH", "path": "/users/{{ target.id }}", "body": "{{ changed }}"},
    "delete": {"method": "DELETE", "path": "/users/{{ target.id }}"},
}


def writes_in_batches(**how: Any) -> dict[str, Any]:
    """The writing requests of a job that sends all of them to /batch."""
    return {
        kind: {
            "batch": {
                "uri": "batch",
                "size": 3,
                "item": {**request, "name": "{{ key }}"},
                "body": {"requests": "{{ items }}"},
                "results": "responses",
                "item_status": "status",
                "item_body": "body",
                **how,
            }
        }
        for kind, request in REQUESTS.items()
    }


ADA: Document = {"external_id": "E1", "name": "Ada"}


def listed(target: Target) -> list[TargetRecord]:
    steps = list(target.list())
    assert [isinstance(step, End) for step in steps] == [False] * (len(steps) - 1) + [True]
    return [record for step in steps if not isinstance(step, End) for record in step]


class TargetContract(ABC):
    """Subclasses give a fixture `target` whose match field is external_id."""

    @pytest.fixture
    @abstractmethod
    def target(self) -> Target: ...

    @pytest.fixture
    def target_of_numbers(self, target: Target) -> Target:
        """A target whose match field holds whole numbers."""
        return target

    def made(self, target: Target, key: str = "E1", **fields: object) -> str:
        written = target.create(change(key=key, document={"external_id": key, **fields}))
        assert written.id is not None
        return written.id

    def test_it_can_list_look_up_and_get(self, target: Target) -> None:
        assert (target.can_list, target.can_lookup, target.can_get) == (True, True, True)

    def test_an_empty_target_lists_nothing_and_then_its_end(self, target: Target) -> None:
        assert listed(target) == []

    def test_what_was_created_is_seen_by_the_list(self, target: Target) -> None:
        one = self.made(target, name="Ada")

        (record,) = listed(target)

        assert (record.id, record.match) == (one, "E1")
        assert record.document["name"] == "Ada"

    def test_what_was_created_is_found_by_its_key(self, target: Target) -> None:
        one = self.made(target, name="Ada")
        self.made(target, "E2", name="Bob")

        assert [record.id for record in target.lookup("E1", ADA)] == [one]

    def test_a_key_that_is_not_there_is_found_nowhere(self, target: Target) -> None:
        assert target.lookup("E9", ADA) == ()

    def test_what_was_created_is_read_by_its_id(self, target: Target) -> None:
        self.made(target, name="Ada")
        two = self.made(target, "E2", name="Bob")

        record = target.get(two, "E2", {})

        assert record is not None
        assert (record.id, record.match, record.document["name"]) == (two, "E2", "Bob")

    def test_an_id_that_is_not_there_is_no_record(self, target: Target) -> None:
        one = self.made(target)
        target.delete(change(Kind.DELETE, target_id=one))

        assert target.get(one, "E1", {}) is None

    def test_a_number_is_found_by_the_text_of_its_key(self, target_of_numbers: Target) -> None:
        target_of_numbers.create(change(key="9007199254740993", document={"external_id": 9007199254740993}))

        (record,) = target_of_numbers.lookup("9007199254740993", {})

        assert (record.match, record.document["external_id"]) == ("9007199254740993", 9007199254740993)

    def test_an_update_sets_only_what_changed(self, target: Target) -> None:
        one = self.made(target, name="Ada", email="ada@example.test")
        document = {"external_id": "E1", "name": "Lovelace", "email": "not to be sent"}

        target.update(change(Kind.UPDATE, target_id=one, document=document, fields=("name",)))

        (record,) = listed(target)
        assert (record.document["name"], record.document["email"]) == ("Lovelace", "ada@example.test")

    def test_an_update_may_be_repeated(self, target: Target) -> None:
        update = change(Kind.UPDATE, target_id=self.made(target), document={"name": "Lovelace"})

        target.update(update)
        target.update(update)

        assert [record.document["name"] for record in listed(target)] == ["Lovelace"]

    def test_a_deleted_record_is_gone(self, target: Target) -> None:
        one, two = self.made(target), self.made(target, "E2")

        target.delete(change(Kind.DELETE, target_id=one))

        assert [record.id for record in listed(target)] == [two]

    def test_deleting_what_is_not_there_is_a_success(self, target: Target) -> None:
        delete = change(Kind.DELETE, target_id=self.made(target))

        target.delete(delete)
        target.delete(delete)

        assert listed(target) == []

    def test_a_second_record_for_a_key_is_a_conflict(self, target: Target) -> None:
        self.made(target)

        with pytest.raises(ConflictError) as caught:
            target.create(change(idempotency_key="run2-1"))

        assert caught.value.status == 409
        assert len(listed(target)) == 1

    def test_an_update_of_what_is_gone_is_stale(self, target: Target) -> None:
        one = self.made(target)
        target.delete(change(Kind.DELETE, target_id=one))

        with pytest.raises(GoneError) as caught:
            target.update(change(Kind.UPDATE, target_id=one))

        assert caught.value.status == 404

    @pytest.mark.parametrize(
        "value",
        [9007199254740993, 2**70, Decimal("19.90"), Decimal("0.1"), "Zoë \u0301", "", None, [], {"a": [1, None]}, True],
        ids=repr,
    )
    def test_a_value_comes_back_as_it_was_sent(self, target: Target, value: object) -> None:
        self.made(target, value=self.kept(value))

        (record,) = listed(target)

        assert record.document["value"] == self.kept(value)
        assert type(record.document["value"]) is type(self.kept(value))

    def kept(self, value: object) -> object:
        """What stands for a value where the target cannot keep it bare."""
        return value

    def changes(self, target: Target, kind: Kind, *changes: Change) -> list[Answer]:
        """Make changes as the engine would: as many together as the target takes."""
        size = target.batch_size(kind)
        together = [changes[start : start + size] for start in range(0, len(changes), size)]
        return [said for some in together for said in answers(some, target)]

    def test_several_are_created_and_each_gets_an_id_of_its_own(self, target: Target) -> None:
        keys = [f"E{number}" for number in range(5)]

        said = self.changes(target, Kind.CREATE, *(change(key=key) for key in keys))

        ids = [one.id for one in said if isinstance(one, Written)]
        assert {record.id: record.match for record in listed(target)} == dict(zip(ids, keys, strict=True))

    def test_of_several_only_the_bad_ones_are_refused(self, target: Target) -> None:
        there = self.made(target, "E1")

        creates = self.changes(target, Kind.CREATE, *(change(key=key) for key in ("E0", "E1", "E2")))
        updates = self.changes(
            target,
            Kind.UPDATE,
            change(Kind.UPDATE, "E9", target_id="nobody", document={"name": "Nobody"}),
            change(Kind.UPDATE, "E1", target_id=there, document={"name": "Lovelace"}),
        )

        assert [type(one) for one in creates] == [Written, ConflictError, Written]
        assert [type(one) for one in updates] == [GoneError, Written]
        assert {record.match: record.document["name"] for record in listed(target) if record.match == "E1"} == {
            "E1": "Lovelace"
        }
        assert sorted(record.match or "" for record in listed(target)) == ["E0", "E1", "E2"]

    def test_several_are_deleted_and_those_that_are_not_there_are_done(self, target: Target) -> None:
        ids = [self.made(target, f"E{number}") for number in range(3)]
        target.delete(change(Kind.DELETE, target_id=ids[1]))

        said = self.changes(
            target, Kind.DELETE, *(change(Kind.DELETE, f"E{number}", target_id=one) for number, one in enumerate(ids))
        )

        assert said == [None, None, None]
        assert listed(target) == []

    def test_an_update_of_several_sets_only_what_changed_of_each(self, target: Target) -> None:
        ids = [self.made(target, f"E{number}", name="Ada", email="a@example.test") for number in range(3)]

        self.changes(
            target,
            Kind.UPDATE,
            *(
                change(
                    Kind.UPDATE,
                    f"E{number}",
                    target_id=one,
                    document={"name": f"N{number}", "email": "-"},
                    fields=("name",),
                )
                for number, one in enumerate(ids)
            ),
        )

        held = [(record.document["name"], record.document["email"]) for record in listed(target)]
        assert held == [("N0", "a@example.test"), ("N1", "a@example.test"), ("N2", "a@example.test")]


class TestMemoryTarget(TargetContract):
    @pytest.fixture
    def target(self) -> Target:
        return MemoryTarget(match="external_id", gets=True)

    def test_a_create_repeated_under_its_key_is_one_record(self) -> None:
        target = MemoryTarget(match="external_id", idempotent=True)

        assert target.create(change()) == target.create(change())

        assert target.writes == [("create", "E1")]


class TestMemoryTargetInBatches(TargetContract):
    @pytest.fixture
    def target(self) -> Target:
        return MemoryTarget(match="external_id", gets=True, batch=2)


class TestRestTarget(TargetContract):
    @pytest.fixture
    def target(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with MisbehavingServer(seed=3) as server:
            server.collection("users", paging="page")
            api = exchange(server.url)
            yield rest_target(
                api,
                match="external_id",
                list={"uri": "users", "records": "users", "paginate": {"type": "page", "param": "page"}},
                lookup={"uri": "users", "params": {"external_id": "{{ key }}"}, "records": "users"},
                get="users/{{ target.id }}",
                create="users",
                update={"uri": "users/{{ target.id }}", "body": "changed"},
                delete="users/{{ target.id }}",
            )
            api.client.close()


TABLE = "CREATE TABLE people (external_id TEXT PRIMARY KEY, name TEXT, email TEXT, value {json})"
NUMBERS = "CREATE TABLE numbers (external_id {whole} PRIMARY KEY)"


class TestSqliteTable(TargetContract):
    def kept(self, value: object) -> object:
        # A bare number in a column is SQLite's own number, of 64 bits; inside JSON it is text.
        return {"in": value} if value == 2**70 else value

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return sqlite(tmp_path / "data.db", TABLE.format(json="JSON"), NUMBERS.format(whole="BIGINT"))

    @pytest.fixture
    def target(self, url: str) -> Iterator[Target]:
        db = link(url)
        yield table(db)
        db.close()

    @pytest.fixture
    def target_of_numbers(self, url: str) -> Iterator[Target]:
        db = link(url)
        yield table(db, "numbers")
        db.close()


class TestTableOfAnotherDialect(TestSqliteTable):
    """As if nothing were known of SQLite's own INSERT: row by row, as in any database."""

    @pytest.fixture(autouse=True)
    def unknown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("daemon.endpoints.sql.writing.BULK", {})
        monkeypatch.setattr("daemon.endpoints.sql.target.BULK", {})


@pytest.fixture(scope="module")
def database(postgres: "Postgres") -> str:
    name = postgres.empty_database()
    postgres.sql(TABLE.format(json="JSONB"), NUMBERS.format(whole="BIGINT"), database=name)
    return name


@pytest.mark.servers
class TestPostgresTable(TargetContract):
    @pytest.fixture
    def target(self, postgres: "Postgres", database: str) -> Iterator[Target]:
        postgres.sql("DELETE FROM people", database=database)
        db = link(postgres.url(database))
        yield table(db)
        db.close()

    @pytest.fixture
    def target_of_numbers(self, postgres: "Postgres", database: str) -> Iterator[Target]:
        postgres.sql("DELETE FROM numbers", database=database)
        db = link(postgres.url(database))
        yield table(db, "numbers")
        db.close()


class TestJsonLinesTarget(TargetContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        return file_target(tmp_path, path="out/users.jsonl")


class TestCsvTarget(TargetContract):
    @pytest.fixture
    def target(self, tmp_path: Path) -> Target:
        # Of type json, since the contract sends every kind of value, and reads it again as it was.
        return file_target(
            tmp_path, {"external_id": "json", "name": "json", "email": "json", "value": "json"}, path="users.csv.gz"
        )


class TestInterfaceTarget(TargetContract):
    @pytest.fixture
    def target(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Target]:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with MisbehavingServer(seed=3) as server:
            server.collection("users", paging="page")
            api = exchange(server.url)
            yield call_target(api, tmp_path)
            api.client.close()


READS: dict[str, Any] = {
    "match": "external_id",
    "list": {"uri": "users", "records": "users", "paginate": {"type": "page", "param": "page"}},
    "lookup": {"uri": "users", "params": {"external_id": "{{ key }}"}, "records": "users"},
    "get": "users/{{ target.id }}",
}


class RestBatches(TargetContract):
    """Whatever is written goes in batches, a single change too where there are no `singles`."""

    batching = Batching()
    how: ClassVar[dict[str, Any]] = {"by": "order"}
    singles: ClassVar[dict[str, dict[str, Any]]] = {}

    @pytest.fixture
    def target(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with MisbehavingServer(seed=3) as server:
            server.collection("users", paging="page")
            server.batching = self.batching
            api = exchange(server.url)
            batches = writes_in_batches(**self.how)
            yield rest_target(
                api, **READS, **{kind: {**self.singles.get(kind, {}), **one} for kind, one in batches.items()}
            )
            api.client.close()


class TestRestTargetInBatchesByOrder(RestBatches):
    pass


class TestRestTargetInBatchesByKey(RestBatches):
    batching = Batching(mangle=lambda results: results[::-1])
    how: ClassVar = {"item_key": "name"}


class TestRestTargetInBatchesOfAllOrNothing(RestBatches):
    batching = Batching(atomic=True)
    how: ClassVar = {
        "by": "order",
        "atomic": True,
        "failures": "data.requests",
        "item_status": "status || response.status",
    }


class TestRestTargetInBatchesThatNameNoFault(RestBatches):
    """What is at fault stands alone in the end, and its own request says in which way."""

    batching = Batching(atomic=True, names_the_bad=False)
    how: ClassVar = {"by": "order", "atomic": True, "size": 4}
    singles: ClassVar = {
        "create": {"uri": "users"},
        "update": {"uri": "users/{{ target.id }}", "body": "changed"},
        "delete": {"uri": "users/{{ target.id }}"},
    }


class TestRestTargetInBatchesThatAreTooLarge(RestBatches):
    batching = Batching(largest=1)
