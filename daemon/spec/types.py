"""The words that the job file's fields are made of: durations, percentages, expressions and secret references."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from .expressions import check_expression
from .templates import check_template

_DURATION = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d|w)")
_UNITS_S = {
    "ms": Decimal("0.001"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
    "d": Decimal(86400),
    "w": Decimal(604800),
}
_LONGEST_D = 36_500
"""A hundred years: from here to there and back, calendars and timers can still count."""
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
NAME_PATTERN = r"^[a-z0-9][a-z0-9_.-]*$"

_GIVEN: Final[dict[frozenset[str], set[str]]] = {}
"""The sets of keys that blocks were given, each once. They are few: jobs are alike."""


class Strict(BaseModel):
    """A block of the job file: frozen, and every key in it must be known.

    What checks a block is built once, with the block around it. So a default is made by `model_construct`: calling its
    class would build, at each start, what checks it alone.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, ser_json_timedelta="float", defer_build=True
    )

    def model_post_init(self, _: Any, /) -> None:
        """Share the set of the keys that were given: a third of a job's memory, and never changed."""
        given = self.__pydantic_fields_set__
        object.__setattr__(self, "__pydantic_fields_set__", _GIVEN.setdefault(frozenset(given), given))


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration is a number and a unit (example: 30s, 15m, 24h, 30d)")
    seconds = Decimal(match["number"]) * _UNITS_S[match["unit"]]
    if seconds > _LONGEST_D * _UNITS_S["d"]:
        raise ValueError(f"a duration is at most {_LONGEST_D}d")
    return timedelta(seconds=float(seconds))


Duration: TypeAlias = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(lambda value: f"{value.total_seconds():g}s", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d|w)$", "examples": ["30s", "15m"]}),
]
"""A length of time, written as a number and a unit: 30s, 15m, 24h, 30d."""


def _not_nothing(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be more than 0s")
    return value


Period: TypeAlias = Annotated[Duration, AfterValidator(_not_nothing)]
"""A length of time that is not nothing."""


def _percent(value: Any) -> Any:
    if isinstance(value, Decimal):
        return value
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a share is a percentage (example: 10%)")
    return Decimal(match[1])


Percent: TypeAlias = Annotated[
    Decimal,
    BeforeValidator(_percent),
    Field(ge=0, le=100),
    PlainSerializer(lambda value: f"{value}%", return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$", "examples": ["10%"]}),
]
"""A share between 0% and 100%."""

Name: TypeAlias = Annotated[str, Field(pattern=NAME_PATTERN, max_length=100)]
"""The name of a job or connection: lower-case letters, digits, and - _ . between them."""

Flag: TypeAlias = Annotated[bool, Field(strict=True)]
"""true or false, and nothing that looks like it."""

Whole: TypeAlias = Annotated[int, Field(strict=True)]
"""A whole number; a text of digits or true is none."""

Expression: TypeAlias = Annotated[
    str, BeforeValidator(check_expression), WithJsonSchema({"type": ["string", "number", "boolean"]})
]
"""A bare Jinja2 expression, as in Ansible's `when:`; checked when the file is read."""


def _record_field(value: Any) -> Any:
    if isinstance(value, str) and not all(name.strip() for name in value.split(".")):
        raise ValueError("a field is one or more names with dots between them (example: meta.fetched_at)")
    return value


RecordField: TypeAlias = Annotated[str, BeforeValidator(_record_field)]
"""A field of a record: its names from the outside in, with dots between them."""

Template: TypeAlias = Annotated[str, BeforeValidator(check_template)]
"""Text with {{ … }} in it; a template that is one single expression keeps the JSON type of its result."""

TemplateTree: TypeAlias = Annotated[Any, BeforeValidator(check_template)]
"""Any YAML value, with templates in its texts."""


class SecretRef(Strict):
    """Where a secret lies. Exactly one of the keys is given; a secret is never written into a job file."""

    env: str | None = Field(default=None, description="Name of an environment variable.")
    file: Path | None = Field(default=None, description="File that holds the secret; relative to the job file.")
    credential: str | None = Field(
        default=None,
        pattern=r"^[^/]+$",
        description="Name of a systemd credential, read from $CREDENTIALS_DIRECTORY.",
    )
    vault: str | None = Field(
        default=None,
        pattern=NAME_PATTERN,
        description="Name of a secret sealed in the state database by `crudsd secret set`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _is_a_reference(cls, value: Any) -> Any:
        if isinstance(value, (str, int, float)):
            raise ValueError(  # noqa: TRY004 - pydantic collects ValueError
                "a secret is never written into the job file; refer to it "
                "(example: {env: NAME}, {file: path}, {credential: name}, {vault: name})"
            )
        return value

    @model_validator(mode="after")
    def _names_one_place(self) -> "SecretRef":
        if sum(place is not None for place in (self.env, self.file, self.credential, self.vault)) != 1:
            raise ValueError("name exactly one place (example: {env: NAME})")
        return self


TextOrSecret: TypeAlias = str | SecretRef
"""A value that may stand in the file (a client id) or be referred to."""

OptionOrSecret: TypeAlias = Annotated[bool, Field(strict=True)] | Whole | str | SecretRef
"""A setting of somebody else's program: a plain value, or a reference to a secret."""

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
