"""What every source must do, whatever kind of system it is."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.endpoints.memory import MemorySource
from daemon.sync.canonical import decode_object
from daemon.sync.certificate import End, certify
from daemon.sync.ports import Page, Source
from tests.fakes.files import file_source
from tests.fakes.interfaces import call_source
from tests.fakes.misbehaving import MisbehavingServer
from tests.unit.endpoints.rig import exchange
from tests.unit.endpoints.rig import source as rest_source

Made = Callable[[list[dict[str, Any]]], Source]
"""Makes a source of these records, each with an `external_id` and other texts."""


def steps(source: Source, resume: str | None = None) -> tuple[list[Page], End]:
    """Read to the end, which comes once and last."""
    *pages, end = source.read(resume)
    assert isinstance(end, End)
    assert all(isinstance(page, Page) for page in pages)
    return [page for page in pages if isinstance(page, Page)], end


def keys(pages: list[Page]) -> list[Any]:
    return [decode_object(raw)["external_id"] for page in pages for raw in page.records]


def people(number: int) -> list[dict[str, Any]]:
    return [{"external_id": f"E{one}", "name": f"Zoë {one}"} for one in range(number)]


class SourceContract(ABC):
    """Subclasses give a fixture `made`."""

    @pytest.fixture
    @abstractmethod
    def made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any: ...

    def test_every_record_arrives_once_and_in_order(self, made: Made) -> None:
        pages, _ = steps(made(people(5)))

        assert keys(pages) == ["E0", "E1", "E2", "E3", "E4"]

    def test_a_record_is_the_object_that_it_was(self, made: Made) -> None:
        pages, _ = steps(made(people(1)))

        record = decode_object(pages[0].records[0])
        assert (record["external_id"], record["name"]) == ("E0", "Zoë 0")

    def test_its_end_counts_pages_and_records_and_is_certain(self, made: Made) -> None:
        pages, end = steps(made(people(5)))

        assert end.records == 5
        assert [page.number for page in pages] == list(range(1, len(pages) + 1))
        assert certify(end, ()).issued

    def test_no_records_are_a_whole_list_too(self, made: Made) -> None:
        pages, end = steps(made([]))

        assert (keys(pages), end.records) == ([], 0)
        assert certify(end, ()).issued

    def test_a_second_read_begins_at_the_beginning(self, made: Made) -> None:
        source = made(people(3))

        assert keys(steps(source)[0]) == keys(steps(source)[0])

    def test_a_read_goes_on_from_the_word_of_a_page(self, made: Made) -> None:
        source = made(people(2_500))
        pages, end = steps(source)
        if len(pages) < 2 or pages[0].resume is None:
            return  # only numbers lead on, or nothing does

        rest, same_end = steps(source, pages[0].resume)

        assert keys(rest) == keys(pages[1:])
        assert (rest[0].number, same_end.records, same_end.pages) == (2, end.records, end.pages)

    def test_nothing_leads_on_from_the_last_page(self, made: Made) -> None:
        pages, _ = steps(made(people(3)))

        assert pages[-1].resume is None


class TestMemorySource(SourceContract):
    @pytest.fixture
    def made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        return lambda records: MemorySource(records, page_size=1_000, resumes=True)


class ServedSource(SourceContract):
    """Over a server whose collection has the records."""

    @abstractmethod
    def source(self, server: MisbehavingServer, folder: Path) -> Source: ...

    @pytest.fixture
    def made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with MisbehavingServer(seed=5) as server:
            users = server.collection("users", paging="page", page_size=1_000)

            def of(records: list[dict[str, Any]]) -> Source:
                users.put(records)
                return self.source(server, tmp_path)

            yield of


class TestRestSource(ServedSource):
    def source(self, server: MisbehavingServer, folder: Path) -> Source:
        paginate = {"type": "page", "param": "page"}
        return rest_source(exchange(server.url), read="users", records="users", paginate=paginate)


class TestListOfAnInterface(ServedSource):
    def source(self, server: MisbehavingServer, folder: Path) -> Source:
        return call_source(exchange(server.url), folder, complete=True)


class TestGeneratorOfAnInterface(ServedSource):
    def source(self, server: MisbehavingServer, folder: Path) -> Source:
        return call_source(exchange(server.url), folder, call="user.each", complete=True)


class TestPagesOfAnInterface(ServedSource):
    def source(self, server: MisbehavingServer, folder: Path) -> Source:
        paginate = {"type": "page", "param": "page"}
        return call_source(exchange(server.url), folder, call="user.get_page", records="users", paginate=paginate)


class TestJsonLinesSource(SourceContract):
    @pytest.fixture
    def made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        def of(records: list[dict[str, Any]]) -> Source:
            lines = [json.dumps(record, ensure_ascii=False) for record in records]
            (tmp_path / "people.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
            return file_source(tmp_path, path="people.jsonl")

        return of


class TestCsvSource(SourceContract):
    @pytest.fixture
    def made(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        def of(records: list[dict[str, Any]]) -> Source:
            rows = [f"{record['external_id']};{record['name']}" for record in records]
            text = "".join(f"{row}\r\n" for row in ("external_id;name", *rows))
            (tmp_path / "people.csv").write_bytes(text.encode("latin-1"))
            return file_source(tmp_path, path="people.csv", csv={"delimiter": ";", "encoding": "latin-1"})

        return of
