"""What a job file says of where the documents go, one block for each kind of system."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from .batch import Batch
from .calls import ListCall, MethodCall
from .files import Compression, CsvWrite, Format, format_of, path_trouble
from .mode import Mode
from .request import ListRequest, Request
from .sql import check_table, check_type
from .types import Duration, Flag, Name, Strict, Template

_NEEDED: Final[Mapping[Mode, tuple[str, ...]]] = {
    Mode.MIRROR: ("create", "update", "delete"),
    Mode.UPSERT: ("create", "update"),
    Mode.UPDATE_ONLY: ("update",),
    Mode.CREATE_ONLY: ("create",),
    Mode.APPEND: ("create",),
}
"""The requests that a mode cannot do without."""


class TargetBlock(Strict):
    """What every target says."""

    connection: Name
    match: str | list[str] | None = None
    settle: Duration = Field(
        default=timedelta(0),
        description="How long the target may take to show what it has taken on. Default: 0s, it shows it at once.",
    )
    delete_adopted: Flag = Field(
        default=False,
        description="Also delete records that were there before us. Default: only those this job created.",
    )


class WriteRequest(Request):
    """A request that writes one record; `batch` writes several at once, beside it or instead of it."""

    uri: Template = Field(
        default="",
        description="Path below the connection's host; values in it are percent-encoded. Can be left out beside a "
        "`batch`, which then carries single changes too.",
    )
    batch: Batch | None = Field(default=None, description="Several changes of this kind in one request.")

    @model_validator(mode="after")
    def _writes_somehow(self) -> "WriteRequest":
        if not self.uri and self.batch is None:
            raise ValueError("say where it goes: uri, batch, or both (example: uri: users)")
        if self.batch is not None and self.merges:
            raise ValueError(
                "a batch cannot read each record before it replaces it: leave replace out and send what changed, or "
                "take batch out"
            )
        return self


class RequestTarget(TargetBlock):
    """Documents to a system of requests. What is not declared is not done."""

    match: str | None = Field(default=None, description="Target field that equals the key, for adoption.")
    id: str = Field(default="id", description="JMESPath to a target record's own id. Default: id.")
    list: ListRequest | None = Field(default=None, description="Lists the target's records.")
    lookup: ListRequest | None = Field(default=None, description="Finds target records by key or field.")
    get: Request | None = Field(
        default=None,
        description="Reads one target record by its id; `records` names the path to it in the answer.",
    )
    create: WriteRequest | None = None
    update: WriteRequest | None = None
    delete: WriteRequest | None = None

    @property
    def is_listed(self) -> bool:
        """Whether the target's own records can be listed."""
        return self.list is not None

    def trouble(self, mode: Mode) -> str:
        """Return what is missing for a job of this mode, and empty text when nothing is."""
        return _trouble(self, mode)


class TableTarget(TargetBlock):
    """Documents as the rows of a table."""

    table: Annotated[str, AfterValidator(check_table)] = Field(
        description="Name of the table, with its schema where it has one: desk.tickets"
    )
    match: str | list[str] | None = Field(
        default=None,
        description="Column or columns that equal the key, unique in the table. Default: the primary key.",
    )
    version: str | None = Field(
        default=None, description="Column that changes with each write; an update that does not know it is refused."
    )
    timezone: str | None = Field(
        default=None, description="IANA name of the zone of columns that keep times without one."
    )
    create_table: Flag = Field(default=False, description="Make the table when it is not there; never alter one.")
    columns: dict[str, Annotated[str, AfterValidator(check_type)]] = Field(
        default_factory=dict,
        description="The columns of a table that is made: text, integer, decimal, float, boolean, datetime, date, json,"
        " uuid or bytes; text(40) and decimal(12,2) have limits.",
    )

    @property
    def matched(self) -> tuple[str, ...]:
        """The match columns; empty where the table's primary key says them."""
        return (self.match,) if isinstance(self.match, str) else tuple(self.match or ())

    @property
    def is_listed(self) -> bool:
        """Whether the target's own records can be listed."""
        return True

    def trouble(self, mode: Mode) -> str:
        """Return what is missing for a job of this mode, and empty text when nothing is."""
        del mode
        if not self.create_table:
            return "target.columns goes with create_table: true; a table that is there says its own" * bool(
                self.columns
            )
        if not self.columns or not self.matched:
            return "create_table needs target.columns and target.match; nothing of a new table is guessed"
        unnamed = [name for name in (*self.matched, self.version) if name is not None and name not in self.columns]
        return f"target.columns has no {', '.join(unnamed)}; name every column of the new table" if unnamed else ""


class FileTarget(TargetBlock):
    """Documents as the lines of a file, or its rows below a header."""

    match: str | None = Field(
        default=None, description="Field that equals the key; a file's records are known by it, so it is needed."
    )
    path: Template = Field(
        description="File below the connection's folder. With {{ run }} in it, each run writes a file of its own "
        "(mode append)."
    )
    format: Format | None = Field(default=None, description="jsonl or csv. Default: as the file's name says.")
    compression: Compression | None = Field(
        default=None, description="gzip, zstd or none. Default: as the file's name says (*.gz, *.zst)."
    )
    csv: CsvWrite = CsvWrite.model_construct()

    @model_validator(mode="after")
    def _names_a_file(self) -> "FileTarget":
        trouble = path_trouble(self.path, self.format)
        if trouble:
            raise ValueError(trouble)
        return self

    @property
    def is_csv(self) -> bool:
        """Whether it is a table, with columns."""
        return (self.format or format_of(self.path)) == "csv"

    @property
    def is_parted(self) -> bool:
        """Whether each run writes a file of its own."""
        return "{{" in self.path

    @property
    def is_listed(self) -> bool:
        """Whether the target's own records can be listed."""
        return not self.is_parted

    def trouble(self, mode: Mode) -> str:
        """Return what is missing for a job of this mode, and empty text when nothing is."""
        if self.match is None:
            return "a file needs target.match, the field that equals the key, to know its records by"
        if self.is_parted and mode is not Mode.APPEND:
            return "a file of its own for each run is for mode append; take {{ run }} out of target.path"
        return ""


class CallTarget(TargetBlock):
    """Documents to the methods of an interface's model. What is not declared is not done."""

    match: str | None = Field(default=None, description="Target field that equals the key, for adoption.")
    model: str = Field(min_length=1, description="Name of the model.")
    id: str = Field(default="id", description="JMESPath to a target record's own id. Default: id.")
    list: ListCall | None = Field(default=None, description="Lists the target's records.")
    lookup: ListCall | None = Field(default=None, description="Finds target records by key or field.")
    get: MethodCall | None = Field(default=None, description="Reads one target record by its id.")
    create: MethodCall | None = Field(
        default=None,
        description="One that is given idempotency_key may be repeated by it, so the API has to know it again.",
    )
    update: MethodCall | None = None
    delete: MethodCall | None = None

    @property
    def is_listed(self) -> bool:
        """Whether the target's own records can be listed."""
        return self.list is not None

    def trouble(self, mode: Mode) -> str:
        """Return what is missing for a job of this mode, and empty text when nothing is."""
        is_open = self.list is not None and self.list.paginate.type == "none" and not self.list.complete
        if is_open and self.lookup is None:
            return "target.list proves nothing: say complete: true, if it returns the whole list, or how it pages"
        return _trouble(self, mode)


def _trouble(target: "RequestTarget | CallTarget", mode: Mode) -> str:
    missing = [f"target.{name}" for name in _NEEDED[mode] if getattr(target, name) is None]
    if missing:
        return f"mode {mode} needs {', '.join(missing)}"
    if (target.list or target.lookup) and target.match is None:
        return "target.list and target.lookup need target.match, the field that equals the key"
    if mode is Mode.UPDATE_ONLY and target.list is None and target.lookup is None:
        return "mode update_only needs target.list or target.lookup, to find what it may update"
    return ""


_KINDS = {"table": "SQL target", "path": "file target", "model": "interface target"}


def _kind(value: Any) -> str:
    said = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return next((kind for key, kind in _KINDS.items() if key in said), "REST target")


Target: TypeAlias = Annotated[
    Annotated[RequestTarget, Tag("REST target")]
    | Annotated[TableTarget, Tag("SQL target")]
    | Annotated[FileTarget, Tag("file target")]
    | Annotated[CallTarget, Tag("interface target")],
    Discriminator(_kind),
]
"""Where the documents go; `table`, `path` or `model` says which kind it is."""
