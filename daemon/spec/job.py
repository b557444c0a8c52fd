"""What a job file says of a job: when, from where, by which key, how mapped, to where, within which limits."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from .alerts import Tells
from .files import CellType
from .incremental import Reconcile
from .limit import Limit
from .mode import Mode
from .partition import ForEach
from .schedule import Schedule
from .source import Source
from .target import FileTarget, Target
from .types import Duration, Expression, Flag, Percent, Period, RecordField, Strict, Whole


class Field_(Strict):  # noqa: N801 - `Field` is pydantic's
    """How one field of the document is made. A bare string is short for `{from: …}`."""

    from_: Expression = Field(alias="from")
    required: Flag = Field(default=False, description="Missing, null or empty text rejects the record.")
    when_null: Literal["keep", "clear"] = Field(
        default="keep", description="On null: keep the target's value (default), or clear it by sending null."
    )
    set_once: Flag = Field(default=False, description="Set when the record is created; never updated.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"from": value} if isinstance(value, (str, int, float, bool)) else value


class Guards(Strict):
    """Limits that a plan may not pass without approval. On by default."""

    deletes: Limit = Field(
        default=Limit.model_construct(percent=Decimal(10)), description="Of the linked records. Default: 10%."
    )
    updates: Limit = Field(
        default=Limit.model_construct(percent=Decimal(50)), description="Of the known records. Default: 50%."
    )
    min_records: Whole = Field(
        default=0, ge=0, description="Fewer records than this in the source: nothing is deleted."
    )
    collapse: Percent = Field(
        default=Decimal(50), description="Trip when the source holds less than this share of last time's count."
    )


class RejectRules(Strict):
    """How many records a run may reject, and how long a reject is remembered that is not met again."""

    limit: Limit | None = Field(
        default=None,
        description="More rejects than this stop the run. Default: a run stops when more than 100 changes are refused "
        "that were not refused before, and more than were carried out; 100% for no limit at all.",
    )
    keep: Duration = Field(
        default=timedelta(days=30),
        description="Rejects that no run met for so long are forgotten, but for those that wait for a person. "
        "Default: 30d.",
    )


class Job(Tells):
    """A named, scheduled piece of work: source → map → target."""

    # Not with the spec: revisions ask a job for itself, and the spec takes what is built here.
    model_config = ConfigDict(defer_build=False)

    description: str = ""
    schedule: Schedule | None = Field(default=None, description="Default: the job runs only when asked.")
    mode: Mode = Mode.UPSERT
    for_each: ForEach | None = Field(
        default=None, description="The parents that the source is read for, one after the other. Default: none."
    )
    source: Source
    key: Expression | list[Expression] = Field(description="What identifies a record: one expression or several.")
    where: Expression | None = Field(default=None, description="Only records for which this is true take part.")
    ignore: list[RecordField] = Field(
        default_factory=list,
        description="Fields of the record that are no news when they change; the job sees its records without them.",
    )
    map: dict[str, Field_] | None = Field(
        default=None, description="Target field: expression. A dot in the field nests. Default: the record as it is."
    )
    target: Target
    compare: Literal["links", "target"] = Field(
        default="links", description="What records are compared with: what we remember, or the target's own list."
    )
    reconcile: Reconcile | None = Field(
        default=None,
        description="When an incremental job reads everything again. Default: only by `crudsd run JOB --full`.",
    )
    timeout: Period | None = Field(
        default=None, description="A run that takes longer is asked to stop; the next finishes the work. Default: none."
    )
    guards: Guards = Guards.model_construct()
    rejects: RejectRules = RejectRules.model_construct()

    @property
    def connections(self) -> tuple[str, ...]:
        """The connections that the job uses, each once: of its parents, its source, its target."""
        parents = self.for_each.chain if self.for_each is not None else ()
        asked = [block.asked for block in parents if block.asked is not None]
        return tuple(dict.fromkeys((*asked, self.source.connection, self.target.connection)))

    @property
    def parent_names(self) -> tuple[str, ...]:
        """The names by which its expressions know the parents of a part, the outermost first."""
        return tuple(block.as_ for block in self.for_each.chain) if self.for_each is not None else ()

    @model_validator(mode="after")
    def _can_do_what_its_mode_says(self) -> "Job":
        trouble = self.target.trouble(self.mode) or self._trouble_of_comparison()
        trouble = trouble or self._trouble_of_columns() or self._trouble_of_deletes()
        if trouble:
            raise ValueError(trouble)
        return self

    def _trouble_of_comparison(self) -> str:
        if self.compare == "target" and not self.target.is_listed:
            return "compare: target needs target.list"
        return ""

    @property
    def columns(self) -> Mapping[str, CellType] | None:
        """The columns of a target that is a table in a file, with what they hold; None for every other target."""
        if not isinstance(self.target, FileTarget) or not self.target.is_csv:
            return None
        declared = self.target.csv.columns
        return declared if declared is not None else dict.fromkeys(self.map or (), "text")

    def _trouble_of_columns(self) -> str:
        columns = self.columns
        if columns is None:
            return ""
        if not columns:
            return "a CSV file needs its columns: declare `map`, or target.csv.columns"
        stray = next((name for name in self.map or () if name not in columns), None)
        if stray is not None:
            return f"target.csv.columns has no {stray}, which `map` makes; add it"
        if self.target.match not in columns:
            return f"target.match is {self.target.match}, and the file has no such column; it has {', '.join(columns)}"
        return ""

    def _trouble_of_deletes(self) -> str:
        if self.reconcile is not None and self.source.incremental is None:
            return "reconcile is for incremental jobs; this one reads everything each time"
        if self.source.tombstone is None:
            return ""
        if self.mode not in {Mode.MIRROR, Mode.UPSERT}:
            return f"mode {self.mode} deletes nothing; leave tombstone out, or say mode: mirror or mode: upsert"
        return self.target.trouble(Mode.MIRROR)
