"""What a job file says of where the records come from, one block for each kind of system."""

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from .calls import NO_PAGES, ListCall, check_call, pages_trouble
from .files import Compression, CsvRead, Format, path_trouble
from .incremental import Incremental
from .request import ListRequest, Paginate, Request, Rule
from .sql import check_query
from .types import Expression, Flag, Name, Strict, Template, TemplateTree, Whole


class SourceBlock(Strict):
    """What every source says."""

    connection: Name
    incremental: Incremental | None = Field(
        default=None, description="Read only what changed since the last run. Default: everything, each time."
    )
    tombstone: Expression | None = Field(
        default=None, description="A record for which this is true says that it was deleted (example: record.deleted)."
    )


class RequestSource(SourceBlock):
    """Records from a request that lists them."""

    read: Request = Field(description="The request that lists the records; a bare string is its path.")
    params: dict[str, TemplateTree] = Field(default_factory=dict, description="Query values.")
    headers: dict[str, Template] = Field(default_factory=dict)
    records: str | None = Field(
        default=None, description="JMESPath to the records. A missing path is an error, an empty list is not."
    )
    paginate: Paginate = Paginate.model_construct(type="none")
    on_response: list[Rule] = Field(
        default_factory=list, description="Rules for answers whose status does not say what they mean."
    )

    @property
    def said(self) -> str:
        """The read in a few words, for people: never its query values."""
        return f"{self.read.method or 'GET'} {self.read.uri.partition('?')[0]}"

    @property
    def request(self) -> ListRequest:
        """The read as one request, the source's own params, headers and records path included."""
        read = self.read
        said = {"body": read.body} if "body" in read.model_fields_set else {}
        return ListRequest(
            uri=read.uri,
            method=read.method,
            params={**self.params, **read.params},
            headers={**self.headers, **read.headers},
            records=read.records if read.records is not None else self.records,
            ok=read.ok,
            on_response=[*read.on_response, *self.on_response],
            paginate=self.paginate,
            **said,
        )


class QuerySource(SourceBlock):
    """Records from a database, one of each row."""

    query: Annotated[str, AfterValidator(check_query)] = Field(
        description="A SELECT; values such as :cursor_start are bound, never written into it."
    )
    page_size: Whole = Field(
        default=1000, ge=1, le=100_000, description="Rows that are fetched and compared at once. Default: 1000."
    )
    timezone: str | None = Field(
        default=None,
        description="IANA name of the zone of times that the database keeps without one. Default: none, they stay so.",
    )

    @property
    def said(self) -> str:
        """The read in a few words, for people."""
        return f"query {' '.join(self.query.split())[:60]}"


class FileSource(SourceBlock):
    """Records from files: one of each line, or of each row below a header."""

    path: Template = Field(
        description="File below the connection's folder. A pattern (*, ?, [..], **) takes several, in order of their "
        "names."
    )
    format: Format | None = Field(default=None, description="jsonl or csv. Default: as the file's name says.")
    compression: Compression | None = Field(
        default=None, description="gzip, zstd or none. Default: as the file's name says (*.gz, *.zst)."
    )
    csv: CsvRead = CsvRead.model_construct()
    may_be_missing: Flag = Field(
        default=False, description="No file is an empty list. Default: it is an error, and the run may come too early."
    )

    @model_validator(mode="after")
    def _names_a_file(self) -> "FileSource":
        trouble = path_trouble(self.path, self.format)
        if trouble:
            raise ValueError(trouble)
        return self

    @property
    def said(self) -> str:
        """The read in a few words, for people."""
        return f"file {self.path}"


class CallSource(SourceBlock):
    """Records that a method of an interface's model returns."""

    call: Annotated[str, AfterValidator(check_call)] = Field(description="Model and method: users.get_list")
    arguments: dict[str, TemplateTree] = Field(
        default_factory=dict, description="What the method is called with, by name. A null is left out."
    )
    records: str | None = Field(
        default=None, description="JMESPath to the records in what it returns. Default: all that it returns."
    )
    paginate: Paginate = Field(default=NO_PAGES, description="How the list goes on: none, page, offset or cursor.")
    complete: Flag = Field(
        default=False,
        description="The method returns the whole list, however many pages that takes. Default: nothing is deleted by "
        "what is not in it.",
    )

    @model_validator(mode="after")
    def _goes_on_by_arguments(self) -> "CallSource":
        trouble = pages_trouble(self.paginate, complete=self.complete)
        if trouble:
            raise ValueError(trouble)
        return self

    @property
    def listing(self) -> ListCall:
        """The call of the method alone, without its model."""
        return ListCall(
            call=self.call.partition(".")[2],
            arguments=self.arguments,
            records=self.records,
            paginate=self.paginate,
            complete=self.complete,
        )

    @property
    def said(self) -> str:
        """The read in a few words, for people."""
        return f"call {self.call}"


_KINDS = {"query": "SQL source", "path": "file source", "call": "interface source"}


def _kind(value: Any) -> str:
    said = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return next((kind for key, kind in _KINDS.items() if key in said), "REST source")


Source: TypeAlias = Annotated[
    Annotated[RequestSource, Tag("REST source")]
    | Annotated[QuerySource, Tag("SQL source")]
    | Annotated[FileSource, Tag("file source")]
    | Annotated[CallSource, Tag("interface source")],
    Discriminator(_kind),
]
"""Where the records come from; `read`, `query`, `path` or `call` says which kind it is."""
