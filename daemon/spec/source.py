"""What a job file says of where the records come from, one block for each kind of system."""

from typing import Annotated, Any, TypeAlias

from pydantic import Discriminator, Field, Tag

from .request import ListRequest, Paginate, Request, Rule
from .types import Name, Strict, Template, TemplateTree


class SourceBlock(Strict):
    """What every source says."""

    connection: Name


class RequestSource(SourceBlock):
    """Records from a request that lists them."""

    read: Request = Field(description="The request that lists the records; a bare string is its path.")
    params: dict[str, TemplateTree] = Field(default_factory=dict, description="Query values.")
    headers: dict[str, Template] = Field(default_factory=dict)
    records: str | None = Field(
        default=None, description="JMESPath to the records. A missing path is an error, an empty list is not."
    )
    paginate: Paginate = Paginate(type="none")
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

    query: str = Field(description="A SELECT; values such as :cursor_start are bound, never written into it.")

    @property
    def said(self) -> str:
        """The read in a few words, for people."""
        return f"query {' '.join(self.query.split())[:60]}"


class FileSource(SourceBlock):
    """Records from files."""

    path: Template = Field(description="File below the connection's folder; a pattern takes several.")

    @property
    def said(self) -> str:
        """The read in a few words, for people."""
        return f"file {self.path}"


class CallSource(SourceBlock):
    """Records that a method of an interface's model returns."""

    call: str = Field(description="Model and method: users.list")

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
