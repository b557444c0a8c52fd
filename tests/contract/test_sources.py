"""What every source must do, whatever kind of system it is."""

import gzip
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import pytest

from daemon.endpoints.memory import MemorySource
from daemon.errors import EndpointError, UnavailableError
from daemon.sync.canonical import decode_object
from daemon.sync.certificate import End, certify
from daemon.sync.ports import Page, Source
from tests.fakes.files import file_source
from tests.fakes.interfaces import call_source
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.unit.endpoints.rig import exchange
from tests.unit.endpoints.rig import source as rest_source
from tests.unit.endpoints.sql_rig import link, query, sqlite

if TYPE_CHECKING:
    from tests.servers.postgres import Postgres

SIZE = 4
"""Records on a page."""
Records: TypeAlias = Sequence[Mapping[str, Any]]
Make: TypeAlias = Callable[[Records], Source]


def people(number: int) -> list[dict[str, Any]]:
    return [{"external_id": f"E{one}", "name": f"Name {one}"} for one in range(number)]


def read(source: Source) -> tuple[list[Page], End]:
    """Read to the end; the End must be the last that comes, and come once."""
    steps = list(source.read())
    pages = [step for step in steps if isinstance(step, Page)]
    end = steps[-1]
    assert isinstance(end, End)
    assert len(pages) == len(steps) - 1
    return pages, end


def records(pages: Sequence[Page]) -> list[Any]:
    return [decode_object(raw) for page in pages for raw in page.records]


def keys(found: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(str(one["external_id"]) for one in found)


class SourceContract(ABC):
    """Subclasses give a fixture `make`, which fills the system and returns its source, `SIZE` records a page."""

    @pytest.fixture
    @abstractmethod
    def make(self) -> Any: ...

    @abstractmethod
    def break_off(self, source: Source) -> None:
        """Let the system go away in the middle of the next read, and no later than after its second page."""

    @pytest.mark.parametrize("number", [1, SIZE, SIZE + 1, 3 * SIZE])
    def test_every_record_comes_once_and_then_the_end(self, make: Make, number: int) -> None:
        pages, end = read(make(people(number)))

        assert keys(records(pages)) == keys(people(number))
        assert end.records == number
        assert end.pages == max(1, len(pages))
        assert certify(end, ()).issued

    def test_an_empty_source_has_an_end(self, make: Make) -> None:
        pages, end = read(make([]))

        assert records(pages) == []
        assert (end.records, certify(end, ()).issued) == (0, True)

    def test_pages_are_numbered_from_one_and_no_larger_than_asked(self, make: Make) -> None:
        pages, _ = read(make(people(3 * SIZE)))

        assert [page.number for page in pages] == list(range(1, len(pages) + 1))
        assert max(len(page.records) for page in pages) <= SIZE

    def test_what_did_not_change_comes_as_the_same_bytes(self, make: Make) -> None:
        source = make(people(SIZE))

        first, again = read(source)[0], read(source)[0]

        assert [page.records for page in first] == [page.records for page in again]

    @pytest.mark.edge(18)
    def test_numbers_and_texts_keep_every_digit_and_letter(self, make: Make) -> None:
        held = {"external_id": "E1", "number": 9007199254740993, "name": "Zoë \u0301 '\"\\ {{ x }}", "unset": None}

        (record,) = records(read(make([held]))[0])

        assert {name: record[name] for name in held} == held
        assert isinstance(record["number"], int)

    @pytest.mark.edge(13, 15)
    def test_a_read_that_breaks_off_has_no_end(self, make: Make) -> None:
        source = make(people(6 * SIZE))
        self.break_off(source)
        steps: list[Page | End] = []

        with pytest.raises(EndpointError):
            steps.extend(source.read())

        assert not any(isinstance(step, End) for step in steps)


class TestMemorySource(SourceContract):
    @pytest.fixture
    def make(self) -> Make:
        return lambda some: MemorySource(list(some), page_size=SIZE)

    def break_off(self, source: Source) -> None:
        assert isinstance(source, MemorySource)
        source.breaks_at, source.error = 2, UnavailableError("gone")


class TestRestSource(SourceContract):
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with MisbehavingServer(seed=3) as server:
            self.api = server
            yield server

    @pytest.fixture
    def make(self, server: MisbehavingServer) -> Iterator[Make]:
        api = exchange(server.url)

        def made(some: Records) -> Source:
            server.collection("people", paging="cursor", page_size=SIZE).put(dict(one) for one in some)
            pages = {"type": "cursor", "param": "cursor", "next": "data.next_cursor", "total": "data.total"}
            return rest_source(api, read="people", records="data.items", paginate=pages)

        yield made
        api.client.close()

    def break_off(self, source: Source) -> None:
        self.api.fault(Fault(reset=True), nth=2)


class FileContract(SourceContract):
    """A source in one file, whose form subclasses say."""

    name: str

    @abstractmethod
    def written(self, some: Records) -> bytes: ...

    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        self.file = tmp_path / self.name

        def made(some: Records) -> Source:
            self.file.write_bytes(self.written(some))
            return file_source(tmp_path, SIZE, path=self.name)

        return made

    def break_off(self, source: Source) -> None:
        content = self.file.read_bytes()
        self.file.write_bytes(content[: len(content) * 2 // 3])


class TestJsonLinesSource(FileContract):
    name = "people.jsonl"

    def written(self, some: Records) -> bytes:
        return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in some)


class TestCsvSource(FileContract):
    name = "people.csv.gz"

    def written(self, some: Records) -> bytes:
        rows = [f"{one['external_id']},{one['name']}" for one in some]
        return gzip.compress("".join(f"{row}\r\n" for row in ("external_id,name", *rows)).encode())

    @pytest.mark.edge(18)
    def test_numbers_and_texts_keep_every_digit_and_letter(self, make: Make) -> None:
        # A CSV file has texts, and nothing else.
        held = {"external_id": "0009007199254740993", "name": "Zoë \u0301 '\\ {{ x }}"}

        assert records(read(make([held]))[0]) == [held]


class InterfaceContract(SourceContract):
    """A model's method over a server; subclasses say which one and how."""

    call: ClassVar[Mapping[str, Any]]

    @pytest.fixture
    def make(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Make]:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with MisbehavingServer(seed=3) as server:
            self.server, api = server, exchange(server.url)

            def made(some: Records) -> Source:
                server.collection("users", paging="page", page_size=SIZE).put(dict(one) for one in some)
                return call_source(api, tmp_path, SIZE, **self.call)

            yield made
            api.client.close()

    def break_off(self, source: Source) -> None:
        self.server.fault(Fault(reset=True), nth=2)


class TestListOfAnInterface(InterfaceContract):
    call: ClassVar = {"call": "user.get_list", "complete": True}


class TestGeneratorOfAnInterface(InterfaceContract):
    call: ClassVar = {"call": "user.each", "complete": True}


class TestPagesOfAnInterface(InterfaceContract):
    call: ClassVar = {"call": "user.get_page", "records": "users", "paginate": {"type": "page", "param": "page"}}


COLUMNS = "external_id TEXT, name TEXT, number BIGINT, unset TEXT"
QUERY = "SELECT external_id, name, number, unset FROM people ORDER BY external_id"


def filled(some: Records) -> list[str]:
    """Return the statements that make the table of these records."""
    inserts = [
        f"INSERT INTO people (external_id, name, number) VALUES ({quoted(one.get('external_id'))}, "
        f"{quoted(one.get('name'))}, {one.get('number', 'NULL')})"
        for one in some
    ]
    return ["DROP TABLE IF EXISTS people", f"CREATE TABLE people ({COLUMNS})", *inserts]


def quoted(text: Any) -> str:
    return "'" + str(text).replace("'", "''") + "'"


class TestSqliteQuery(SourceContract):
    @pytest.fixture
    def make(self, tmp_path: Path) -> Iterator[Make]:
        self.path = tmp_path / "data.db"
        db = link(sqlite(self.path))

        def made(some: Records) -> Source:
            sqlite(self.path, *filled(some))
            return query(db, QUERY, page_size=SIZE)

        yield made
        db.close()

    def break_off(self, source: Source) -> None:
        # In the middle of the rows: a text that is none.
        sqlite(self.path, "UPDATE people SET name = CAST(x'ff' AS TEXT) WHERE external_id = 'E14'")


@pytest.mark.servers
class TestPostgresQuery(SourceContract):
    @pytest.fixture
    def make(self, postgres: "Postgres", job_database: str) -> Iterator[Make]:
        self.server, self.database = postgres, job_database
        db = link(postgres.url(job_database))

        def made(some: Records) -> Source:
            postgres.sql(*filled(some), database=job_database)
            return query(db, QUERY, page_size=SIZE)

        yield made
        db.close()
        postgres.sql("DROP TABLE people", database=job_database)

    def break_off(self, source: Source) -> None:
        postgres, database = self.server, self.database
        postgres.sql(
            "CREATE OR REPLACE FUNCTION gone(text) RETURNS text LANGUAGE sql VOLATILE "
            "AS $$ SELECT pg_terminate_backend(pg_backend_pid())::text $$",
            database=database,
        )
        vars(source)["_query"] = (
            "SELECT external_id, CASE WHEN external_id = 'E14' THEN gone(name) ELSE name END AS name FROM people "
            "ORDER BY external_id"
        )


def test_a_decimal_is_one_and_no_float(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    db = link(sqlite(path, "CREATE TABLE prices (price NUMERIC(8,2))", "INSERT INTO prices VALUES (19.90)"))

    (record,) = records(read(query(db, "SELECT price FROM prices"))[0])

    db.close()
    assert record == {"price": Decimal("19.9")}
