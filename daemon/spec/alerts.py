"""Whom to tell, and of what: the destinations under `alerts:`, and what a job, or all jobs, tell them."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from .connection import Tls
from .types import Duration, Flag, Name, Period, SecretRef, Strict, Template, TemplateTree, TextOrSecret, Whole


class AlertEvent(StrEnum):
    """What is told. The word in an alert is the value."""

    FAILURE = "failure"
    """A job has begun to fail; a heartbeat: a run failed."""
    RECOVERY = "recovery"
    """It is well again."""
    HOLD = "hold"
    """It does not go on, or not with all, before a person acts."""
    LATE = "late"
    """It had no good run for too long."""
    GOOD = "good"
    """For heartbeats only: a run ended well."""
    START = "start"
    """For heartbeats only: a run begins."""


ALERTED: Final = (AlertEvent.FAILURE, AlertEvent.RECOVERY, AlertEvent.HOLD, AlertEvent.LATE)
"""What webhooks and commands are told."""
PINGED: Final = (AlertEvent.GOOD, AlertEvent.START, AlertEvent.FAILURE)
"""What heartbeats are told."""


class HttpAlert(Strict):
    """What every destination behind an address has."""

    url: TextOrSecret = Field(
        description="The address. Many hold a secret: refer to those (example: {credential: slack-url})."
    )
    timeout: Period = Field(default=timedelta(seconds=10), description="For one try. Default: 10s.")
    tls: Tls = Tls.model_construct()
    allow_insecure: Flag = Field(
        default=False, description="Send a secret over plain http to a host that is not this machine."
    )


class WebhookAlert(HttpAlert):
    """An address that alerts are posted to."""

    type: Literal["webhook"]
    headers: dict[str, TextOrSecret] = Field(
        default_factory=dict, description="Sent along; a secret is a reference (example: {Authorization: {env: NAME}})."
    )
    body: TemplateTree | None = Field(
        default=None,
        description="What is posted, with {{ alert.… }} in its texts: a text goes out as text, all else as JSON. "
        "Default: the whole alert as JSON.",
    )


class CommandAlert(Strict):
    """A program that is started for each alert, with the alert as JSON on its stdin."""

    type: Literal["command"]
    command: list[str] = Field(
        min_length=1, description="The program, by its whole path, and its arguments. There is no shell."
    )
    timeout: Period = Field(default=timedelta(seconds=30), description="It is ended after this time. Default: 30s.")


class HeartbeatAlert(HttpAlert):
    """A dead man's switch: an address that is asked after each good run, and alarms when that stays away."""

    type: Literal["heartbeat"]
    path: Template = Field(
        default="", description='Added to the address, for one switch a job (example: "{{ alert.job }}").'
    )
    start: Flag = Field(default=False, description="Also ask the address with /start when a run begins.")
    fail: Flag = Field(default=False, description="Also ask the address with /fail after a failed run.")


Alert: TypeAlias = Annotated[WebhookAlert | CommandAlert | HeartbeatAlert, Field(discriminator="type")]
"""A destination."""


def _names(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names: TypeAlias = Annotated[
    list[Name],
    BeforeValidator(_names),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""Names of destinations; one of them may stand without its brackets, none switches a default off."""


class OnFailure(Strict):
    """Whom to tell that a job has begun to fail."""

    to: Names
    after: Whole = Field(default=1, ge=1, description="So many failures in a row. Default: 1.")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"to": value} if isinstance(value, (str, list)) else value


class OnLate(Strict):
    """Whom to tell that a job had no good run for too long."""

    to: Names
    after: Duration | None = Field(
        default=None, description="So long without a good run. Default: until its second fire since then."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"to": value} if isinstance(value, (str, list)) else value


class Tells(Strict):
    """What is told to whom. Said of a job, it counts instead of what is said of all jobs."""

    on_failure: OnFailure | None = Field(default=None, description="Told once, when a job begins to fail.")
    on_recovery: Names | None = Field(
        default=None, description="Told once, at the first good run after a failure or a lateness that was due."
    )
    on_hold: Names | None = Field(
        default=None,
        description="Told when a person has to act: a guard withheld changes, a login is needed, the job is paused.",
    )
    on_late: OnLate | None = Field(default=None, description="Told once, when there was no good run for too long.")
    heartbeat: Names | None = Field(default=None, description="Asked after each good run; alerts of type heartbeat.")

    def over(self, default: "Tells") -> "Tells":
        """Return what is told by a job that says this, where `default` is said of all."""
        names = Tells.model_fields
        mine = {name: getattr(self, name) for name in names}
        return Tells.model_construct(
            **{name: getattr(default, name) if mine[name] is None else mine[name] for name in names}
        )

    @property
    def recipients(self) -> tuple[str, ...]:
        """The destinations, each once."""
        blocks = [block.to for block in (self.on_failure, self.on_late) if block is not None]
        lists = [names for names in (self.on_recovery, self.on_hold, self.heartbeat) if names is not None]
        return tuple(dict.fromkeys(name for names in (*blocks, *lists) for name in names))


def secrets_of(alert: Alert) -> tuple[SecretRef, ...]:
    """Return the references of a destination."""
    if isinstance(alert, CommandAlert):
        return ()
    headers = alert.headers.values() if isinstance(alert, WebhookAlert) else ()
    return tuple(value for value in (alert.url, *headers) if isinstance(value, SecretRef))
