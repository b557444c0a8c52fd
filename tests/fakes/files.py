"""File endpoints over a temporary folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.endpoints.blot import Blotter
from daemon.endpoints.file_read import PAGE_RECORDS, FileSource
from daemon.endpoints.file_write import FileTarget
from daemon.endpoints.folder import Folder, LocalFolder
from daemon.spec import CellType
from daemon.spec import FileSource as SourceBlock
from daemon.spec import FileTarget as TargetBlock
from daemon.sync.certificate import End
from daemon.sync.ports import Page, Source


def folder(place: Path) -> Folder:
    return LocalFolder("drop", place, Blotter())


def file_source(place: Path, size: int = PAGE_RECORDS, /, **source: Any) -> FileSource:
    return FileSource(folder(place), SourceBlock.model_validate({"connection": "drop", **source}), page_records=size)


def file_target(place: Path, columns: Mapping[str, CellType] | None = None, /, **target: Any) -> FileTarget:
    block = {"connection": "drop", "match": "external_id", "path": "users.jsonl", **target}
    return FileTarget(folder(place), TargetBlock.model_validate(block), columns)


def read(source: Source, resume: str | None = None) -> tuple[list[Page], End]:
    """Return the pages of a read and its end."""
    *pages, end = source.read(resume)
    assert isinstance(end, End)
    return [page for page in pages if isinstance(page, Page)], end


def records(source: Source) -> list[bytes]:
    return [record for page in read(source)[0] for record in page.records]
