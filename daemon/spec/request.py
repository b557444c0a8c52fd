"""The one grammar of every request, and how a list goes on from page to page."""

import re
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from .types import Expression, Flag, Method, Strict, Template, TemplateTree, Whole


class Then(StrEnum):
    """What an answer means. The word in the job file is the value."""

    RETRY = "retry"
    """Not carried out, and worth another try."""
    SKIP = "skip"
    """This record is left out, and that is no fault."""
    REJECT = "reject"
    """This record is refused."""
    SUCCESS = "success"
    """As 2xx."""
    EXISTS = "exists"
    """The target has a record of this key."""
    GONE = "gone"
    """As 404: there is no such record."""
    REFRESH_AUTH = "refresh_auth"
    """The token is not good any more."""
    FAIL = "fail"
    """The run ends here."""


_CLASS = re.compile(r"[1-5]xx")


def _statuses(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _status(value: Any) -> Any:
    is_number = isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599
    if not (is_number or (isinstance(value, str) and _CLASS.fullmatch(value))):
        raise ValueError("a status is a number or a class of them (example: 422 or 4xx)")
    return value


_NUMBER = {"type": "integer", "minimum": 100, "maximum": 599}
_ONE_STATUS = {"anyOf": [_NUMBER, {"type": "string", "pattern": "^[1-5]xx$", "examples": ["4xx"]}]}

Statuses: TypeAlias = Annotated[
    list[Annotated[int | str, BeforeValidator(_status)]],
    Field(min_length=1),
    BeforeValidator(_statuses),
    WithJsonSchema({"anyOf": [_ONE_STATUS, {"type": "array", "items": _ONE_STATUS, "minItems": 1}]}),
]
"""Statuses and classes of them; one of them may stand without its brackets."""


class Rule(Strict):
    """What one kind of answer means, where its status alone does not say it. The first rule that fits decides."""

    status: Statuses | None = Field(
        default=None, description="Status, class or a list of them (example: 400, 4xx, [400, 422]). Default: any."
    )
    when: Expression | None = Field(
        default=None,
        description="Only answers for which this is true (knows `response.status`, `response.body`, "
        "`response.headers`).",
    )
    then: Then = Field(description="What such an answer means.")

    @model_validator(mode="after")
    def _fits_something(self) -> "Rule":
        if self.status is None and self.when is None:
            raise ValueError("say which answers are meant: status, when, or both (example: status: 422)")
        return self

    def takes(self, status: int) -> bool:
        """Say whether the rule is for answers of this status."""
        if self.status is None:
            return True
        return status in self.status or f"{status // 100}xx" in self.status


class Request(Strict):
    """One HTTP request. A bare string is short for `{uri: …}`."""

    uri: Template = Field(description="Path below the connection's host; values in it are percent-encoded.")
    method: Method | None = Field(default=None, description="Default: GET, POST, PATCH or DELETE by its place.")
    params: dict[str, TemplateTree] = Field(default_factory=dict, description="Query values. A null is left out.")
    headers: dict[str, Template] = Field(default_factory=dict)
    body: TemplateTree = Field(
        default="document",
        description="`document`, `changed` (only the fields that differ), or any YAML value with templates in it.",
    )
    records: str | None = Field(default=None, description="JMESPath to the records in the answer. Default: the answer.")
    id: str | None = Field(default=None, description="JMESPath to the record's id in the answer.")
    version: str | None = Field(
        default=None, description="Where the answer carries the record's version: `header:ETag` or a JMESPath."
    )
    if_match: Flag = Field(default=False, description="Send the version we know as If-Match (RFC 9110 13.1.1).")
    replace: Flag = Field(
        default=False,
        description="Update by PUT of the whole record, merged into what the target holds, instead of PATCH. With "
        "`body: document` the document is the whole record, and nothing is read first.",
    )
    ok: list[Whole] = Field(default_factory=list, description="Further statuses that mean success.")
    on_response: list[Rule] = Field(
        default_factory=list,
        description="Rules for answers whose status does not say what they mean; the first that fits decides.",
    )
    idempotency_header: str | None = Field(
        default=None, description="Header that carries one key per change, stable over retries and restarts."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"uri": value} if isinstance(value, str) else value

    @property
    def merges(self) -> bool:
        """Whether it puts the whole record, of which the document is only a part: the rest is read first."""
        return self.replace and not ("body" in self.model_fields_set and self.body == "document")


class Paginate(Strict):
    """How a list goes on. Every end is for a declared reason; a short page alone is not the end."""

    type: Literal["none", "page", "offset", "cursor", "next_url", "link"]
    param: str | None = Field(default=None, description="Query parameter of the page, offset or cursor.")
    start: Whole | None = Field(default=None, ge=0, description="First page or offset. Default: page 1, offset 0.")
    size: Whole | None = Field(default=None, ge=1, description="Records asked for in one page.")
    size_param: str | None = Field(default=None, description="Query parameter of the size.")
    next: str | None = Field(default=None, description="JMESPath to the next token or address, or `header:NAME`.")
    total: str | None = Field(default=None, description="JMESPath to the number of records, or `header:NAME`.")
    has_more: str | None = Field(default=None, description="JMESPath to a boolean: whether another page follows.")
    stop: Expression | None = Field(
        default=None,
        description="Expression that is true on the last page (knows `page.count`, `page.number`, `body`).",
    )
    max_pages: Whole = Field(
        default=1_000_000, ge=1, description="Reaching it is an error, never the end. Default: 1,000,000."
    )

    @model_validator(mode="after")
    def _has_what_its_type_needs(self) -> "Paginate":
        needed = {"page": ("param",), "offset": ("param",), "cursor": ("param", "next"), "next_url": ("next",)}
        missing = [name for name in needed.get(self.type, ()) if getattr(self, name) is None]
        if missing:
            raise ValueError(f"type {self.type} needs {' and '.join(missing)} (example: {_EXAMPLES[self.type]})")
        if self.size is not None and self.size_param is None:
            raise ValueError(
                "size needs size_param, the query parameter that carries it (example: size_param: per_page)"
            )
        return self


_EXAMPLES = {
    "page": "{type: page, param: page}",
    "offset": "{type: offset, param: offset, size: 100, size_param: limit}",
    "cursor": "{type: cursor, param: cursor, next: data.next_cursor}",
    "next_url": "{type: next_url, next: links.next}",
}


class ListRequest(Request):
    """A request whose answer is a list that may go on over many pages."""

    paginate: Paginate = Paginate.model_construct(type="none")
