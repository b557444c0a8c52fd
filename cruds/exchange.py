"""One call from its first attempt to its answer: attempts, waits, redirects and renewals under one deadline.

    attempt ─▶ connection failed, or answer lost ─▶ policy: wait and repeat ─▶ attempt
           └─▶ 401 and a token can be renewed ───▶ once ──────────────────▶ attempt
           └─▶ 3xx ─────────────────────────────▶ followed or refused ────▶ attempt
           └─▶ status to retry ─────────────────▶ policy: wait and repeat ─▶ attempt
           └─▶ any other answer ▶ returned, whatever its status

Every attempt passes the gate, where there is one, and has left it before anything is waited for.

An error that leaves here is honest about the whole call: if any attempt may have been carried out, the error has
`sent`, and a "nothing reached the server" of the last attempt becomes an `AnswerLostError`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from .address import bare, with_params, without_params
from .cookies import Cookies
from .credentials import NO_PROOF, Credentials, Proof, merged_headers, proven_headers
from .events import EventKind, RequestEvent
from .exception import (
    AnswerLostError,
    ClientStoppedError,
    ConnectError,
    CrudsError,
    DeadlineError,
    RequestError,
)
from .gate import Gate
from .redirects import REDIRECTS, follow
from .response import Response
from .retries import RetryBudget, RetryPolicy, is_unprocessed, retry_after_of
from .ruling import Ruling
from .talk import Talk, where, whole_truth
from .transport import Body, Transport

_MOMENT_S = 0.001
"""What a gate takes that lets pass at once."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it is to be sent, headers of credentials apart."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None
    repeatable: bool
    """Whether sending it twice does no more than sending it once."""
    ends_at: float
    """The monotonic instant at which the whole call must be over; infinity for no limit."""
    max_bytes: int | None = None
    parse_float: Callable[[str], Any] | None = None
    is_authenticated: bool = True
    trusts: frozenset[str] = frozenset()
    """Origins among which a redirect takes everything along, credentials too; each other one is only its own."""
    is_home_only: bool = False
    """Redirects to other origins are refused even for reads."""
    is_redirectable: bool = True
    """False: a redirect is an answer like any other (the token endpoint, RFC 9700 section 4.12)."""
    judge: Callable[[Response], Ruling | None] | None = None
    """Asked about each answer before its status is looked at; None: nobody is."""
    receive: Callable[[Response, Body], None] | None = None
    """Handed a success and its body as it comes, and once more if a lost body is asked for again; None: read whole."""


class Exchange:
    """Makes calls over one transport with one policy. Safe to share between threads."""

    def __init__(  # noqa: PLR0913  what a client is made of, by keyword
        self,
        transport: Transport,
        policy: RetryPolicy,
        credentials: Credentials,
        *,
        stop: threading.Event,
        on_event: Callable[[RequestEvent], None] | None,
        random: Callable[[], float],
        budget: RetryBudget,
        cookies: Cookies | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._transport, self._policy, self._credentials = transport, policy, credentials
        self._cookies, self._gate = cookies, gate
        self._stop, self._on_event, self._random, self._budget = stop, on_event, random, budget

    def run(self, call: Call) -> Response:
        """Carry a call to its final answer, whatever its status.

        Raises the errors of `Transport.send`, `RedirectError`, `ClientStoppedError`, and what the gate raises.
        """
        talk = Talk(call)
        try:
            while True:
                answer = self._turn(talk)
                if answer is not None:
                    self._budget.earn()
                    return answer
        except CrudsError as error:
            lost = whole_truth(error, talk)
            if lost is not None:
                raise lost from error
            raise

    def _turn(self, talk: Talk) -> Response | None:
        """Make one attempt; None if the call goes on."""
        if self._stop.is_set():
            raise ClientStoppedError("stopped", **where(talk))
        got, proof = self._attempt(talk) if self._gate is None else self._attempt_through(self._gate, talk)
        if isinstance(got, Response):
            return self._after_answer(talk, got, proof)
        self._after_error(talk, got)
        return None

    def _attempt_through(self, gate: Gate, talk: Talk) -> tuple[Response | RequestError, Proof]:
        """Make one attempt behind the gate, whose time is not the call's."""
        came_at = monotonic()
        leave = gate(talk.call.method, bare(talk.call.url))
        waited_s = monotonic() - came_at
        if waited_s > _MOMENT_S:
            talk.call = replace(talk.call, ends_at=talk.call.ends_at + waited_s)
        answer: Response | None = None
        error: CrudsError | None = None
        try:
            got, proof = self._attempt(talk)
            answer, error = (got, None) if isinstance(got, Response) else (None, got)
        except CrudsError as caught:
            error = caught
            raise
        finally:
            leave(answer, error)
        return got, proof

    def _attempt(self, talk: Talk) -> tuple[Response | RequestError, Proof]:
        """Make one attempt; its answer, or the error after which it may be repeated, and the proof that went along."""
        proof = self._credentials.proof() if talk.call.is_authenticated else NO_PROOF
        headers = proven_headers(talk.call.headers, proof.headers) if proof.headers else talk.call.headers
        if self._cookies is not None:
            headers = merged_headers(self._cookies.headers(talk.call.url), headers)
        if monotonic() >= talk.call.ends_at:
            raise DeadlineError("the time of the call is used up", **where(talk))
        talk.attempts += 1
        try:
            answer = self._sent(talk, headers, proof)
        except (ConnectError, AnswerLostError) as error:
            return error, proof
        except RequestError as error:
            self._tell(EventKind.FAILURE, talk, error=error)
            raise
        if self._cookies is not None:
            self._cookies.note(answer.url, answer.headers)
        return replace(answer, attempts=talk.attempts) if talk.attempts > 1 else answer, proof

    def _sent(self, talk: Talk, headers: Mapping[str, str], proof: Proof) -> Response:
        """Send the call; a secret in its query is seen by the transport alone, and not by who looks at the answer."""
        if not proof.params:
            return self._transport.send(talk.call, headers)
        talk.call = replace(talk.call, url=without_params(talk.call.url, set(proof.params)))
        proven = replace(talk.call, url=with_params(talk.call.url, proof.params))
        return replace(self._transport.send(proven, headers), url=talk.call.url)

    def _after_error(self, talk: Talk, error: RequestError) -> None:
        """Wait for the next attempt, or raise the error."""
        talk.note_ambiguity(sent=error.sent)
        wait = self._policy.after_error(
            error, retry=talk.retries + 1, repeatable=talk.call.repeatable, random=self._random
        )
        if wait is None or not self._may_wait(talk, wait):
            self._tell(EventKind.FAILURE, talk, error=error)
            raise error
        self._tell(EventKind.RETRY, talk, wait=wait, error=error)
        self._wait(talk, wait)

    def _after_answer(self, talk: Talk, answer: Response, proof: Proof) -> Response | None:
        """Return the answer if it is final; None if the call goes on."""
        talk.last = answer
        is_followed = answer.status in REDIRECTS and talk.call.is_redirectable
        ruling = talk.call.judge(answer) if talk.call.judge is not None and not is_followed else None
        if ruling is not None:
            return self._on_order(talk, answer, proof, ruling)
        return self._by_status(talk, answer, proof)

    def _on_order(self, talk: Talk, answer: Response, proof: Proof, ruling: Ruling) -> Response | None:
        """Do with the answer what the caller's judge says."""
        if ruling is Ruling.RENEW and proof and not talk.has_renewed:
            talk.has_renewed = True
            if self._credentials.renew(proof):
                self._tell(EventKind.RENEWAL, talk, status=answer.status)
                return None
        if ruling is Ruling.RETRY:
            wanted = retry_after_of(answer.headers, utc_now)
            wait = self._policy.on_order(retry=talk.retries + 1, retry_after=wanted, random=self._random)
            if wait is not None and self._may_wait(talk, wait):
                self._tell(EventKind.RETRY, talk, status=answer.status, wait=wait)
                self._wait(talk, wait)
                return None
        self._tell(EventKind.ANSWER, talk, status=answer.status)
        return answer

    def _by_status(self, talk: Talk, answer: Response, proof: Proof) -> Response | None:
        """Do with the answer what its status says."""
        status = answer.status
        if status == 401 and self._renews(talk, answer, proof):
            self._tell(EventKind.RENEWAL, talk, status=status)
            return None
        if status in REDIRECTS and talk.call.is_redirectable:
            self._tell(EventKind.REDIRECT, talk, status=status)
            self._follow(talk, answer, proof)
            return None
        if status in {404, 410} and talk.call.method == "DELETE" and talk.may_be_done:
            self._tell(EventKind.ANSWER, talk, status=status)
            return replace(answer, repeated_delete=True)
        if status not in self._policy.status_codes:
            self._tell(EventKind.ANSWER, talk, status=status)
            return answer
        wanted = retry_after_of(answer.headers, utc_now)
        wait = self._policy.after_status(
            status,
            retry=talk.retries + 1,
            repeatable=talk.call.repeatable,
            retry_after=wanted,
            random=self._random,
        )
        if wait is None or not self._may_wait(talk, wait):
            self._tell(EventKind.ANSWER, talk, status=status)
            return answer
        talk.note_ambiguity(sent=not is_unprocessed(status, wanted))
        self._tell(EventKind.RETRY, talk, status=status, wait=wait)
        self._wait(talk, wait)
        return None

    def _renews(self, talk: Talk, answer: Response, proof: Proof) -> bool:
        """Whether another token is at hand after a 401 (RFC 6750 section 3.1); tried once in a call."""
        if talk.has_renewed or not proof or "insufficient_scope" in answer.headers.get("www-authenticate", ""):
            return False
        talk.has_renewed = True
        return self._credentials.renew(proof)

    def _follow(self, talk: Talk, answer: Response, proof: Proof) -> None:
        followed = follow(talk.call, answer, talk.hops, proof.params.values())
        if followed.method != talk.call.method:
            talk.written = talk.call
        talk.call, talk.hops = followed, talk.hops + 1

    def _may_wait(self, talk: Talk, wait: float) -> bool:
        """Whether another attempt fits into the deadline and the budget."""
        return monotonic() + wait < talk.call.ends_at and self._budget.spend()

    def _wait(self, talk: Talk, wait: float) -> None:
        talk.retries += 1
        if wait > 0 and self._stop.wait(wait):
            raise ClientStoppedError("stopped while waiting for the next attempt", **where(talk))

    def _tell(
        self,
        kind: EventKind,
        talk: Talk,
        *,
        status: int | None = None,
        wait: float | None = None,
        error: Exception | None = None,
    ) -> None:
        if self._on_event is not None:
            name = None if error is None else type(error).__name__
            call = talk.call
            self._on_event(RequestEvent(kind, call.method, bare(call.url), status, talk.attempts, wait, name))


def utc_now() -> datetime:
    """Return the machine's time, for a Retry-After date whose answer has no Date."""
    return datetime.now(UTC)
