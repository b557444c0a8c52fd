"""A limit on how much may go wrong, or be changed: a share, a number, or both."""

from typing import Any

from pydantic import Field, model_validator

from .types import Percent, Strict, Whole


class Limit(Strict):
    """A share, a number, or both; with both, neither may be passed. `5%` and `20` are short forms."""

    percent: Percent | None = None
    count: Whole | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("a limit is a share or a number (example: 5% or 20)")  # noqa: TRY004
        if isinstance(value, int):
            return {"count": value}
        return {"percent": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _limits_something(self) -> "Limit":
        if self.percent is None and self.count is None:
            raise ValueError("say percent, count, or both (example: 5%; 100% for no limit)")
        return self
