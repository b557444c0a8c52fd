"""What a job file says of a call to a model's method, in place of a request."""

from typing import Any

from pydantic import Field, model_validator

from .request import Paginate
from .types import Flag, Strict, TemplateTree

NO_PAGES = Paginate.model_construct(type="none")


class MethodCall(Strict):
    """One call of a method. A bare string is short for `{call: …}`."""

    call: str = Field(min_length=1, description="Name of the method.")
    arguments: dict[str, TemplateTree] = Field(
        default_factory=dict, description="What it is called with, by name. A null is left out."
    )
    records: str | None = Field(
        default=None, description="JMESPath to the records in what it returns. Default: all that it returns."
    )
    id: str | None = Field(default=None, description="JMESPath to the record's id in what it returns.")
    replace: Flag = Field(
        default=False, description="Of an update: it puts the whole record, merged into what the target holds."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"call": value} if isinstance(value, str) else value


def check_call(text: str) -> str:
    """Return the name of a model's method. Raises ValueError when it is not one model and one method."""
    if not all(text.split(".")) or text.count(".") != 1:
        raise ValueError("a call names a model and its method (example: person.get_list)")
    return text


def pages_trouble(paginate: Paginate, *, complete: bool) -> str:
    """Return what is wrong with how a call's list goes on; empty when nothing is."""
    if paginate.type in {"next_url", "link"}:
        return f"a call has no address to go on with: paginate cannot be {paginate.type}; take page, offset or cursor"
    if any((where or "").lower().startswith("header:") for where in (paginate.next, paginate.total)):
        return "what a method returns has no headers: name a field of it in paginate"
    if complete and paginate.type != "none":
        return "complete is for a method that returns the whole list at once; paginate says how it ends"
    return ""


class ListCall(MethodCall):
    """A call that returns several records."""

    paginate: Paginate = Field(default=NO_PAGES, description="How the list goes on: none, page, offset or cursor.")
    complete: Flag = Field(
        default=False,
        description="The method returns the whole list, however many pages that takes. Default: nothing is deleted by "
        "what is not in it.",
    )

    @model_validator(mode="after")
    def _goes_on_by_arguments(self) -> "ListCall":
        trouble = pages_trouble(self.paginate, complete=self.complete)
        if trouble:
            raise ValueError(trouble)
        return self
