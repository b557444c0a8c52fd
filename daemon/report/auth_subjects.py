"""What is told of sessions, as promises: the values themselves are made on floors that a report does not know."""

from datetime import datetime
from typing import Protocol


class Status(Protocol):
    """How a connection's credentials stand. Moments are aware, in UTC."""

    @property
    def connection(self) -> str:
        """The connection's name."""

    @property
    def kind(self) -> str:
        """The type of its credentials; for OAuth2, the grant."""

    @property
    def who(self) -> str | None:
        """Who it is there."""

    @property
    def standing(self) -> str:
        """`valid`, `expired`, `needs_login`, `not_used`, `static` or `unreadable`."""

    @property
    def reason(self) -> str:
        """Why a login is needed, or why the token cannot be opened."""

    @property
    def since(self) -> datetime | None:
        """Since when a login is needed."""

    @property
    def server(self) -> str | None:
        """Where tokens come from."""

    @property
    def scope_asked(self) -> tuple[str, ...]:
        """The scope of the job file."""

    @property
    def scope_granted(self) -> tuple[str, ...] | None:
        """The scope of the token; None where none is kept, or its answer did not say."""

    @property
    def scope_missing(self) -> tuple[str, ...]:
        """What was asked for and not granted."""

    @property
    def expires_at(self) -> datetime | None:
        """When the token runs out."""

    @property
    def obtained_at(self) -> datetime | None:
        """When it was got or last renewed."""

    @property
    def renews(self) -> bool | None:
        """Whether the session goes on without a person when the token runs out."""
