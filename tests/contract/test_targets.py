"""What every target must do, whatever kind of system it is."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.endpoints.memory import MemoryTarget
from daemon.errors import ConflictError, GoneError
from daemon.sync.certificate import End
from daemon.sync.change import Kind
from daemon.sync.ports import Target, TargetRecord, Written
from daemon.values import Document
from tests.fakes.files import file_target
from tests.fakes.interfaces import call_target
from tests.fakes.misbehaving import MisbehavingServer
from tests.unit.endpoints.rig import change, exchange
from tests.unit.endpoints.rig import target as rest_target
from tests.unit.endpoints.sql_rig import link, sqlite, table

if TYPE_CHECKING:
    from tests.servers.postgres import Postgres

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

    def test_a_batch_answers_for_each_of_its_changes_in_order(self, target: Target) -> None:
        size = target.batch_size(Kind.CREATE)
        changes = [change(key=f"E{number}", document={"external_id": f"E{number}"}) for number in range(min(size, 3))]

        answers = target.write(changes)

        ids = {record.match: record.id for record in listed(target)}
        assert [answer.id for answer in answers if isinstance(answer, Written)] == [ids[one.key] for one in changes]

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


class TestMemoryTarget(TargetContract):
    @pytest.fixture
    def target(self) -> Target:
        return MemoryTarget(match="external_id", gets=True)

    def test_a_create_repeated_under_its_key_is_one_record(self) -> None:
        target = MemoryTarget(match="external_id", idempotent=True)

        assert target.create(change()) == target.create(change())

        assert target.writes == [("create", "E1")]


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
