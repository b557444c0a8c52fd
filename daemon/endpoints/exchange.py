"""One HTTP exchange with a connection, its failures said in the core's words.

Foreign exceptions are translated here and nowhere else; the original stays as the cause.
"""

from collections.abc import Callable, Mapping
from copy import copy
from http import HTTPStatus
from typing import Self, TypeVar

import cruds
from cruds import exception as http
from cruds.address import bare
from cruds.exchange import utc_now
from cruds.retries import is_unprocessed, retry_after_of
from daemon.errors import (
    AuthError,
    ConflictError,
    CrudsdError,
    EndpointError,
    FatalError,
    GoneError,
    LoginNeededError,
    MalformedError,
    RefusedError,
    SkippedError,
    StaleError,
    StoppedError,
    TrustError,
    UnavailableError,
    UnknownError,
)
from daemon.spec import Retry, Then

from .attempts import UNPROCESSED, Attempts
from .blot import Blotter
from .call import Call
from .caller import NOBODY, Caller
from .judge import Judge
from .rate_headers import believed
from .rules import Rules
from .surroundings import Warn, unheard

T = TypeVar("T")

_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_STALE = frozenset({HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED})
"""What an update or delete gets when it does not fit the record as it is now: RFC 9110 15.5.10, 15.5.13, RFC 6585 3."""

_RULED: Mapping[Then | None, type[EndpointError]] = {
    Then.SKIP: SkippedError,
    Then.REJECT: RefusedError,
    Then.EXISTS: ConflictError,
    Then.GONE: GoneError,
    Then.FAIL: FatalError,
}
"""What a rule calls an answer, in the core's words."""

_PERHAPS_OURS = "what is in the way may be what an attempt before that has made"


class Exchange:
    """A connection's client. Shared by threads; sees that no failure goes by untranslated."""

    def __init__(
        self,
        name: str,
        client: cruds.Client,
        retry: Retry,
        attempts: Attempts,
        blot: Blotter,
        *,
        warn: Warn = unheard,
        rules: Rules | None = None,
    ) -> None:
        self.name = name
        self.client = client
        self._retry = retry
        self._attempts = attempts
        self._blot = blot
        self._warn = warn
        self._rules = rules
        """What the connection says of the answers to all its requests."""
        self._caller = NOBODY

    def on_behalf_of(self, caller: Caller) -> Self:
        """Return this exchange for one caller: same client, same quota, a turn of its own."""
        found = copy(self)
        found._caller = caller
        return found

    def send(self, call: Call) -> cruds.Response:
        """Make one call and return its answer, or raise the EndpointError that says what to think of it."""
        self._attempts.begin(in_hand=call.writes, is_keyed=call.idempotency is not None, caller=self._caller)
        rules = tuple(one for one in (call.rules, self._rules) if one is not None)
        judge = Judge(rules, self._warn, self._attempts.excuse) if rules else None
        try:
            # Said outright, since the library takes False for an order even where there is a key.
            repeatable = call.repeatable or call.idempotency is not None
            options: cruds.CallOptions = {"headers": call.headers, "repeatable": repeatable}
            if call.idempotency is not None:
                options["idempotency_key"] = call.idempotency
            if judge is not None:
                options["judge"] = judge
            response = self.client.request(call.method, call.uri, params=call.params, data=call.data, **options)
        except http.HTTPStatusError as error:
            is_ruled = error.status in call.ok or (judge is not None and judge.then is not None)
            if error.last_response is None or not is_ruled:
                raise self._by_status(call, error) from error
            response = error.last_response
        except http.CrudsError as error:
            raise self._by_kind(call, error) from error
        except ValueError as error:
            said = f"{self.name}: {call.method} {call.uri.partition('?')[0]}: {error}"
            raise RefusedError(self._blot(said)) from error
        if judge is not None and judge.then not in {None, Then.SUCCESS}:
            raise self._by_rule(call, judge.then, response)
        return response

    def judged(self, call: Call, result: cruds.Response, *, is_ok: bool, said: str) -> EndpointError | None:
        """Return what to think of a result inside the answer to the call just made, None where it is a success.

        `result` is that result as an answer of its own, and `call` the request that would have been answered so; `said`
        is what it says in its own words, `is_ok` whether that is a success unless a rule says otherwise. To be asked on
        the thread that sent the whole: what its attempts came to holds for each of its changes.
        """
        rules = (one for one in (call.rules, self._rules) if one is not None)
        then = next((then for one in rules if (then := one.of(result, self._warn)) is not None), None)
        if then not in {None, Then.SUCCESS}:
            return self._by_rule(call, then, result)
        if then is Then.SUCCESS or is_ok or result.status in call.ok:
            return None
        error = http.HTTPStatusError(
            result.status, result.headers, result.body, method=result.method, url=bare(result.url)
        )
        what = f"{self.name}: {result.method} {bare(result.url)}: the result for this change says {said or 'nothing'}"
        return self._by_status(call, error, what)

    def excerpt(self, answer: cruds.Response) -> str:
        """Return the beginning of an answer's body, without secrets."""
        return self._blot.excerpt(answer.body)

    def warn(self, message: str) -> None:
        """Tell the operator something about this connection, without its secrets."""
        self._warn(self._blot(message))

    def _by_rule(self, call: Call, then: Then | None, response: cruds.Response) -> EndpointError:
        status, excerpt = response.status, self._blot.excerpt(response.body)
        said = self._blot(
            f"{self.name}: {response.method} {bare(response.url)} answered with status code {status}, "
            f"for which on_response says {then}"
        )
        if then is Then.EXISTS and self._attempts.may_be_done:
            return UnknownError(f"{said}; {_PERHAPS_OURS}", status=status, excerpt=excerpt)
        if self._may_be_created(call):
            message = f"{said}; an attempt before that may have been carried out"
            return UnknownError(message, status=status, excerpt=excerpt)
        if then in _RULED:
            return _RULED[then](said, status=status, excerpt=excerpt)
        if then is Then.REFRESH_AUTH:
            message = f"{said}, and another token did not help; look at the credentials of connection {self.name}"
            return AuthError(message, status=status, excerpt=excerpt)
        wanted = self._refused_wait(retry_after_of(response.headers, utc_now), response.attempts)
        return UnavailableError(said, status=status, excerpt=excerpt, retry_after_s=wanted)

    def blot(self, text: str) -> str:
        """Return the text without this connection's secrets, and without what is called a secret."""
        return self._blot(text)

    def carry(self, call: Call, deed: Callable[[], T]) -> T:
        """Let a deed of somebody else's make its requests with this client, and return what it returns.

        `call` says what it is for. Raises what `send` does; whatever else the deed raises is its own fault, and says
        nothing of what it has sent. After a write that was answered well, no failure counts as a refusal.
        """
        self._attempts.begin(in_hand=call.writes, is_keyed=False, caller=self._caller)
        try:
            return deed()
        except http.HTTPStatusError as error:
            raise self._in_doubt(call, self._by_status(call, error)) from error
        except http.CrudsError as error:
            raise self._in_doubt(call, self._by_kind(call, error)) from error
        except CrudsdError:
            raise
        except Exception as error:  # whatever the code of an interface raises
            said = self._blot(f"{self.name}: {call.uri} raised {type(error).__name__}: {error}")
            raise (UnknownError(said) if call.writes else MalformedError(said)) from error

    def _in_doubt(self, call: Call, error: EndpointError) -> EndpointError:
        if not (call.creates and self._attempts.has_written):
            return error
        return UnknownError(f"{error}; a request before that was carried out", status=error.status)

    def _may_be_created(self, call: Call) -> bool:
        """Whether an attempt before the last one may have made a record."""
        return call.creates and not call.repeatable and self._attempts.may_be_done

    def _by_status(self, call: Call, error: http.HTTPStatusError, what: str | None = None) -> EndpointError:
        said = self._blot(what or f"{self.name}: {error}")
        excerpt = self._blot.excerpt(error.body)
        status = error.status
        refusal = _refusal(call, status)
        if refusal is ConflictError and self._attempts.may_be_done:
            return UnknownError(f"{said}; {_PERHAPS_OURS}", status=status, excerpt=excerpt)
        if status in UNPROCESSED:
            return self._unavailable(call, error, said, excerpt)
        if self._may_be_created(call):
            message = f"{said}; an attempt before that may have been carried out"
            return UnknownError(message, status=status, excerpt=excerpt)
        if (reason := self._auth_failure(error)) is not None:
            return AuthError(f"{said}; {reason}", status=status, excerpt=excerpt)
        if call.creates and not call.repeatable and (status >= 500 or status == HTTPStatus.REQUEST_TIMEOUT):
            return UnknownError(f"{said}; it may have been carried out", status=status, excerpt=excerpt)
        if status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT, HTTPStatus.REQUEST_TIMEOUT} or (
            status >= 500 and not call.writes
        ):
            return UnavailableError(said, status=status, excerpt=excerpt)
        return refusal(said, status=status, excerpt=excerpt)

    def _unavailable(self, call: Call, error: http.HTTPStatusError, said: str, excerpt: str) -> UnavailableError:
        wanted = self._refused_wait(error.retry_after, error.attempts)
        is_lost = call.creates and not call.repeatable and not is_unprocessed(error.status, error.retry_after)
        may_be_done = is_lost or self._may_be_created(call)
        said = f"{said}; it may have been carried out" if may_be_done else said
        return UnavailableError(
            said, status=error.status, excerpt=excerpt, retry_after_s=wanted, may_be_done=may_be_done
        )

    def _auth_failure(self, error: http.HTTPStatusError) -> str | None:
        """Return why an answer is about who we are, and not about this request; None where it is not."""
        if error.status == HTTPStatus.UNAUTHORIZED:
            return f"the credentials of connection {self.name} are refused"
        if error.status == HTTPStatus.FORBIDDEN and "insufficient_scope" in error.headers.get("www-authenticate", ""):
            return f"the token's scope is not enough; ask for more in auth.scope of connection {self.name}"
        return None

    def _refused_wait(self, wait_s: float | None, attempts: int) -> float | None:
        """Return the wait that was asked for, if it was too long for a call; None where the tries were used up."""
        retry = self._retry
        if wait_s is None or (wait_s <= retry.max_wait.total_seconds() and attempts >= retry.attempts):
            return None
        return believed(wait_s)

    def _by_kind(self, call: Call, error: http.CrudsError) -> EndpointError:
        said = self._blot(f"{self.name}: {error}")
        lost = call.writes and getattr(error, "sent", False)
        match error:
            case http.ClientStoppedError():
                return UnknownError(said) if lost and not call.repeatable else StoppedError(said)
            case http.TLSError():
                cure = "check the certificate, or name its authority in tls.ca_file"
                return TrustError(f"{said}; {cure}")
            case http.OAuthAccessTokenError() | http.TokenStateError():
                return _without_token(said, error, f"run `crudsd auth login {self.name}`")
            case http.AnswerLostError() | http.DeadlineError() | http.GateClosedError() if lost:
                return UnknownError(f"{said}; it may have been carried out")
            case http.AnswerLostError() | http.DeadlineError() | http.ConnectError() | http.GateClosedError():
                return UnavailableError(said, retry_after_s=_believed(getattr(error, "wait_s", None)))
            case http.BodyError() | http.ResponseTooLargeError() | http.PageError():
                return MalformedError(said)
            case _:
                return RefusedError(said)


def _without_token(said: str, error: http.OAuthAccessTokenError | http.TokenStateError, cure: str) -> EndpointError:
    match error:
        case http.OAuthAccessTokenError(kind=http.OAuthErrorKind.TEMPORARY):
            return UnavailableError(said, retry_after_s=_believed(error.retry_after))
        case http.ReauthorizationRequiredError():
            return LoginNeededError(f"{said.removesuffix('; log in again')}; {cure}")
        case _:
            return AuthError(said)


def _believed(wait_s: float | None) -> float | None:
    return None if wait_s is None else believed(wait_s)


def _refusal(call: Call, status: int) -> type[EndpointError]:
    if call.creates:
        return ConflictError if status == HTTPStatus.CONFLICT else RefusedError
    if status in _GONE and (call.writes or call.gets):
        return GoneError
    return StaleError if call.writes and status in _STALE else RefusedError
