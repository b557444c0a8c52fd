"""What a job file says of a system we talk to: address, credentials, budget, patience."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from .auth import Auth, NoAuth
from .request import Rule
from .sql import check_address
from .types import Duration, Flag, OptionOrSecret, Percent, Period, Strict, TextOrSecret, Whole


class Quota(Strict):
    """The request budget of the account, shared by all jobs of the connection."""

    requests: Whole | None = Field(default=None, ge=1, description="Requests allowed in each `per`. Default: no limit.")
    per: Period = Field(default=timedelta(minutes=1), description="The budget's period. Default: 1m.")
    concurrency: Whole = Field(
        default=4, ge=1, le=256, description="Requests under way at once. Default: 4, polite to an unknown API."
    )
    runs: Whole | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Runs of crudsd serve under way at once that use this connection. Default: half of "
        "service.workers, and no more than `concurrency`.",
    )
    share: Percent | None = Field(
        default=None, description="The part of the budget that is ours, where others use the account too."
    )


class Timeout(Strict):
    """How long to wait. Every request has an end."""

    connect: Period = Field(default=timedelta(seconds=10), description="To reach the server. Default: 10s.")
    read: Period = Field(default=timedelta(seconds=60), description="Between two bytes of an answer. Default: 60s.")
    total: Period = Field(
        default=timedelta(minutes=5), description="For one request with all its repeats and waits. Default: 5m."
    )


class Retry(Strict):
    """How often a request that may be repeated is repeated. A create is never repeated blindly."""

    attempts: Whole = Field(default=5, ge=1, le=100, description="Tries in all, the first included. Default: 5.")
    backoff: float = Field(
        default=0.5, gt=0, description="Seconds before the first repeat, doubled each time, with full jitter."
    )
    max_wait: Duration = Field(
        default=timedelta(minutes=2), description="The longest Retry-After that is waited for. Default: 2m."
    )


class Breaker(Strict):
    """When a system that fails again and again is left alone, and for how long."""

    failures: Whole = Field(
        default=10, ge=1, le=10_000, description="Failures in a row of the system itself, no 4xx. Default: 10."
    )
    cool_down: Duration = Field(
        default=timedelta(seconds=30), description="Nothing is sent for so long; then one request tries. Default: 30s."
    )


class Tls(Strict):
    """Trust beyond the system's: settings here win over the environment's."""

    ca_file: Path | None = Field(default=None, description="PEM file of the authorities to trust.")
    cert_file: Path | None = Field(
        default=None, description="PEM file of our client certificate, and of its key unless `key_file` has it."
    )
    key_file: Path | None = Field(default=None, description="PEM file of the certificate's key, not encrypted.")

    @model_validator(mode="after")
    def _has_a_certificate_for_its_key(self) -> "Tls":
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file, the certificate of that key; add `cert_file: client.crt`")
        return self


class HttpConnection(Strict):
    """What is said of every system that we talk to over HTTP."""

    host: str = Field(description="Base URL. Without a scheme it is https.", min_length=1)
    auth: Auth = NoAuth.model_construct()
    headers: dict[str, str] = Field(default_factory=dict, description="Sent with each request. Not for secrets.")
    allowed_hosts: list[str] = Field(
        default_factory=list,
        description="Other hosts of the same API: next addresses and redirects may lead there, and the credentials go "
        "along (example: https://files.example.com).",
    )
    quota: Quota = Quota.model_construct()
    timeout: Timeout = Timeout.model_construct()
    retry: Retry = Retry.model_construct()
    breaker: Breaker = Breaker.model_construct()
    tls: Tls = Tls.model_construct()
    allow_insecure: Flag = Field(
        default=False, description="Send credentials over plain http to a host that is not this machine."
    )


class RestConnection(HttpConnection):
    """A system we talk to over HTTP."""

    type: Literal["rest"] = Field(default="rest", description="What kind of system it is. Default: rest.")
    on_response: list[Rule] = Field(
        default_factory=list,
        description="Rules for the answers to all requests, asked after a request's own: refresh_auth, retry or fail.",
    )


class SqlQuota(Strict):
    """How much of the database is ours."""

    concurrency: Whole = Field(
        default=4, ge=1, le=64, description="Transactions under way at once; a read has one more. Default: 4."
    )
    runs: Whole | None = Field(
        default=None,
        ge=1,
        le=256,
        description="Runs of crudsd serve under way at once that use this connection. Default: half of "
        "service.workers, and no more than `concurrency`.",
    )


class SqlTimeout(Strict):
    """How long to wait for a database."""

    connect: Period = Field(default=timedelta(seconds=10), description="To reach the server. Default: 10s.")
    lock: Duration = Field(
        default=timedelta(seconds=10), description="For what another program has locked. Default: 10s."
    )
    statement: Duration = Field(
        default=timedelta(minutes=5), description="For one statement, where the database can stop it. Default: 5m."
    )


class SqlConnection(Strict):
    """A database."""

    type: Literal["sql"]
    url: Annotated[TextOrSecret, AfterValidator(check_address)] = Field(
        description="Address of the database: sqlite:///file.db, postgresql://user@host/name, or a reference to one "
        "that holds a password."
    )
    quota: SqlQuota = SqlQuota.model_construct()
    timeout: SqlTimeout = SqlTimeout.model_construct()


class FilesConnection(Strict):
    """A folder of files, on this machine or behind an fsspec address."""

    type: Literal["files"]
    url: TextOrSecret = Field(
        description="A folder, relative to the job file; or an fsspec address (sftp://host/folder), as a reference "
        "where it holds a password."
    )
    options: dict[str, OptionOrSecret] = Field(
        default_factory=dict,
        description="What the fsspec file system of the address is made with; secrets are references "
        "(example: key: {env: KEY}).",
    )
    quota: Quota = Quota.model_construct()


class InterfaceConnection(HttpConnection):
    """A system behind the models of a `cruds.load_config` file, over the client that crudsd makes for it."""

    type: Literal["interface"]
    file: Path = Field(
        description="The interface file; relative to the job file. Its package is imported, and importing runs it."
    )
    interface: str | None = Field(
        default=None, description="Which interface of the file. Default: the only one it has."
    )


def _rest_by_default(value: Any) -> Any:
    return {"type": "rest", **value} if isinstance(value, dict) and "type" not in value else value


Connection: TypeAlias = Annotated[
    RestConnection | SqlConnection | FilesConnection | InterfaceConnection,
    Field(discriminator="type"),
    BeforeValidator(_rest_by_default),
]
"""A system we talk to."""
