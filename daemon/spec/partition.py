"""What a job file says of the parents that its source is read for, one after the other: `for_each`."""

from decimal import Decimal
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator

from .limit import Limit
from .source import CallSource, FileSource, QuerySource, RequestSource
from .types import Expression, Name, Strict

AS_PATTERN: Final = r"^[a-z_][a-z0-9_]*$"


class Parents(Strict):
    """What every kind of parents says."""

    as_: str = Field(
        alias="as", pattern=AS_PATTERN, description="The name by which the job's expressions know a parent."
    )
    key: Expression | list[Expression] | None = Field(
        default=None,
        description="What names a parent for good (example: project.id). Default: its `id`; a plain value itself.",
    )
    where: Expression | None = Field(default=None, description="Only parents for which this is true.")
    limit: Limit = Field(
        default=Limit.model_construct(percent=Decimal(50)),
        description="More parents than this whose children cannot be read end the run. Default: 50%.",
    )
    for_each: "ForEach | None" = Field(
        default=None, description="What these parents are read for, one after the other: their own parents."
    )

    @property
    def key_texts(self) -> tuple[str, ...]:
        """The expressions that name a parent, the default one written out."""
        if self.key is None:
            is_plain = isinstance(self, ListedParents) and not any(isinstance(value, dict) for value in self.in_)
            return (self.as_ if is_plain else f"{self.as_}.id",)
        return tuple(self.key) if isinstance(self.key, list) else (self.key,)

    @property
    def asked(self) -> str | None:
        """The connection that they come from; None where they come from none."""
        return getattr(self, "connection", None)

    @property
    def chain(self) -> tuple["Parents", ...]:
        """These and the ones around them, the outermost first."""
        return (*(self.for_each.chain if self.for_each is not None else ()), self)

    @model_validator(mode="after")
    def _is_a_list(self) -> "Parents":
        if any(getattr(self, name, None) is not None for name in ("incremental", "tombstone")):
            raise ValueError("parents are read as a whole each time; leave incremental and tombstone out of for_each")
        return self


class RequestParents(Parents, RequestSource):
    """Parents from a request that lists them."""


class QueryParents(Parents, QuerySource):
    """Parents from a database, one of each row."""


class FileParents(Parents, FileSource):
    """Parents from files."""


class CallParents(Parents, CallSource):
    """Parents that a method of an interface's model returns."""


class ListedParents(Parents):
    """Parents that stand in the job file."""

    in_: list[Any] = Field(alias="in", min_length=1, description="The parents themselves (example: [eu, us]).")


class LinkedParents(Parents):
    """Parents that another job has linked: each has `key`, `id` (of the target's record) and `document`."""

    links_of: Name = Field(description="The job whose records are the parents.")


_KINDS = {
    "in": "list of parents",
    "in_": "list of parents",
    "links_of": "linked parents",
    "query": "SQL parents",
    "path": "file parents",
    "call": "interface parents",
}


def _kind(value: Any) -> str:
    said = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return next((kind for key, kind in _KINDS.items() if key in said), "REST parents")


ForEach: TypeAlias = Annotated[
    Annotated[RequestParents, Tag("REST parents")]
    | Annotated[QueryParents, Tag("SQL parents")]
    | Annotated[FileParents, Tag("file parents")]
    | Annotated[CallParents, Tag("interface parents")]
    | Annotated[ListedParents, Tag("list of parents")]
    | Annotated[LinkedParents, Tag("linked parents")],
    Discriminator(_kind),
]
"""The parents; `read`, `query`, `path`, `call`, `in` or `links_of` says which kind they are."""
