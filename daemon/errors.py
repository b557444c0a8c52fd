"""What can go wrong, as a tree that answers two questions by type: whose fault is it, and may it be tried again.

    CrudsdError
    ├── ConfigError            the operator's: a file, a setting, a key or a schema must change          exit 78
    ├── UsageError             the operator's: the command asks for something that is not there          exit 2
    ├── LockedError            nobody's: somebody else holds the lease; try again later                  exit 7
    ├── StateError             ours or the disk's: the state database cannot be read or written          exit 1
    │   └── LeaseLostError     another process took the lease; nothing more may be committed             exit 7
    └── EndpointError          the other system's
        ├── UnavailableError   asking later may help: connection, 5xx, 429, time-outs                    exit 6
        │   └── PutOffError        this one of several changes in a request; sent alone it may go through  exit 6
        ├── AuthError          credentials are refused; a person must look                               exit 1
        │   └── LoginNeededError   a person has to log in, with `crudsd auth login`                  exit 1
        ├── TrustError         the system's certificate is not trusted; a person must look           exit 1
        ├── RefusedError       the system will never accept this request (4xx)
        ├── StaleError         the target record moved on (409, 412, 428); read again, the change may be made
        │   └── GoneError      there is no such target record any more (404, 410)
        ├── ConflictError      the target has such a record already (409)
        ├── SkippedError       a rule of the job file says that this record is not written
        ├── FatalError         a rule of the job file says that this answer ends the run
        ├── UnknownError       the answer was lost: the write may or may not have been carried out
        ├── StoppedError       nobody's: the work was asked to stop while it waited                  exit 130
        └── MalformedError     the answer is not what the job file promises: HTML, a missing path, a repeated page

Messages say what was attempted, on what, what came back, and what to do. Secrets and bodies stay out of them,
except for an excerpt that the endpoint has cut and redacted.
"""

from enum import IntEnum


class Exit(IntEnum):
    """The documented exit codes. An unknown code must be treated as a failure."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    REJECTED = 3
    """Some records were rejected; the others went through."""
    PENDING = 4
    """Changes are pending (`plan --detailed-exitcode` only)."""
    HELD = 5
    """A guard withheld changes."""
    UNAVAILABLE = 6
    """A remote system could not be reached or refused for now; the same command may succeed later."""
    LOCKED = 7
    """Another process holds the lease of this job."""
    CONFIG = 78
    """Bad configuration; restarting does not help (sysexits EX_CONFIG)."""
    INTERRUPTED = 130
    """Stopped by SIGINT or SIGTERM; what was begun is finished and committed."""


class CrudsdError(Exception):
    """Root of everything this program raises on purpose."""

    exit = Exit.ERROR


class ConfigError(CrudsdError):
    """Something in a file, a setting, the key or the schema must change before this can work."""

    exit = Exit.CONFIG


class UsageError(CrudsdError):
    """The command names something that does not exist or does not fit."""

    exit = Exit.USAGE


class LockedError(CrudsdError):
    """The lease is held by somebody else; `owner` says who."""

    exit = Exit.LOCKED

    def __init__(self, message: str, *, owner: str) -> None:
        super().__init__(message)
        self.owner = owner


class StateError(CrudsdError):
    """The state database cannot be read or written. Nothing was sent without a journal row."""


class LeaseLostError(StateError):
    """Another process took over. Whatever this one still holds must not be committed."""

    exit = Exit.LOCKED


class EndpointError(CrudsdError):
    """The other system did not do what was asked.

    `status` is the HTTP status or None where there was no answer; `excerpt` is the beginning of the answer's
    body, cut and redacted by the endpoint, or an empty text.
    """

    def __init__(self, message: str, *, status: int | None = None, excerpt: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.excerpt = excerpt


class UnavailableError(EndpointError):
    """Asking later may help.

    `retry_after_s` is the wait that the system asked for, in seconds, where it is longer than a call may take.
    `may_be_done` says of a create that it may have been carried out all the same; else what was asked surely was not.
    """

    exit = Exit.UNAVAILABLE

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        excerpt: str = "",
        retry_after_s: float | None = None,
        may_be_done: bool = False,
    ) -> None:
        super().__init__(message, status=status, excerpt=excerpt)
        self.retry_after_s = retry_after_s
        self.may_be_done = may_be_done


class PutOffError(UnavailableError):
    """Of several changes in one request, the system had no time for this one. Sent alone, it may have."""


class AuthError(EndpointError):
    """The credentials are refused, or no token could be had for a reason that waiting does not mend."""


class LoginNeededError(AuthError):
    """The session of a person is over, or was never made. Nothing but `crudsd auth login` helps."""


class TrustError(EndpointError):
    """The system could not prove who it is (TLS), so nothing was sent to it."""


class RefusedError(EndpointError):
    """The system will never accept this request as it is."""


class StaleError(EndpointError):
    """The target record is not the version we knew, or the target wants to be told which one we know."""


class GoneError(StaleError):
    """The target has no record of this id any more."""


class ConflictError(EndpointError):
    """The target already has a record that this create would double."""


class SkippedError(EndpointError):
    """The answer is one for which the job file says `then: skip`: the record is left out, and that is no fault."""


class FatalError(EndpointError):
    """The answer is one for which the job file says `then: fail`: nothing more may be sent."""


class UnknownError(EndpointError):
    """The request may or may not have been carried out: its answer was lost."""


class MalformedError(EndpointError):
    """The answer is not what the job file promises, so nothing may be concluded from it."""


class StoppedError(EndpointError):
    """The work was asked to stop, between two steps or while it waited for the other system."""

    exit = Exit.INTERRUPTED
