"""A person agrees on another device: what to show them, and when to ask again (RFC 8628)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from cruds.exception import OAuthAccessTokenError, OAuthErrorKind

from .answer import Granted, document_of, read_refusal, seconds_of

_INTERVAL_S = 5.0
"""RFC 8628 section 3.2: what holds if the server does not say."""
_SLOWER_S = 5.0
"""RFC 8628 section 3.5: what `slow_down` adds, for good."""
_LIFE_S = 600.0
"""For servers that leave out `expires_in`, which they must not."""
_LONGEST_INTERVAL_S = 300.0
"""Beyond this a person has long gone; it bounds what time-outs double."""
_FINAL = frozenset({"access_denied", "expired_token"})


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """A login that waits for a person. What is printed of it may be shown to them; the device code is not."""

    user_code: str
    verification_uri: str
    """Where they enter the code."""
    verification_uri_complete: str | None
    """The same with the code in it, for a link or a QR code; None if the server has none."""
    expires_at: datetime
    """Aware, UTC."""
    interval: float
    """Seconds between two questions."""
    device_code: str = field(repr=False)
    """Never to be shown or logged: who has it gets the token."""


def read_device_login(
    status: int, headers: Mapping[str, str], body: bytes, *, asked_at: datetime, retry_after: float | None
) -> DeviceLogin:
    """Return what to show the person. Raises `OAuthAccessTokenError` for everything else."""
    document = document_of(body)
    if "error" in document or not 200 <= status < 300:
        raise read_refusal(status, headers, document, retry_after, missing="no device_code")
    texts = [document.get(name) for name in ("device_code", "user_code")]
    uri = document.get("verification_uri", document.get("verification_url"))  # the second is Google's
    complete = document.get("verification_uri_complete")
    if not all(isinstance(text, str) and text and text.isprintable() for text in texts) or not _is_shown(uri):
        raise read_refusal(status, headers, document, retry_after, missing="no device_code, user_code and address")
    life = seconds_of(document.get("expires_in"))
    interval = seconds_of(document.get("interval"))
    return DeviceLogin(
        user_code=str(texts[1]),
        verification_uri=str(uri),
        verification_uri_complete=complete if _is_shown(complete) else None,
        expires_at=asked_at + timedelta(seconds=_LIFE_S if life is None else life),
        interval=_INTERVAL_S if interval is None else max(1.0, interval),
        device_code=str(texts[0]),
    )


class Polling:
    """When the token endpoint is asked again. Belongs to one thread; `now` is on the monotonic clock."""

    def __init__(self, login: DeviceLogin, *, left: float, monotonic: Callable[[], float]) -> None:
        self._interval = login.interval
        self._wait = login.interval
        self._monotonic = monotonic
        self._ends_at = monotonic() + left

    def next_wait(self) -> float:
        """Return the seconds to wait before asking. Raises `OAuthAccessTokenError` when the code ends before that."""
        if self._monotonic() + self._wait >= self._ends_at:
            raise OAuthAccessTokenError(
                "the device code is over and nobody has agreed: begin the login again",
                error="expired_token",
                kind=OAuthErrorKind.REAUTHORIZE,
            )
        return self._wait

    def note(self, error: OAuthAccessTokenError) -> None:
        """Take an answer that is no token into account, or raise it because it is final."""
        if error.error in _FINAL:
            error.kind = OAuthErrorKind.REAUTHORIZE
            raise error
        if error.kind is not OAuthErrorKind.TEMPORARY:
            raise error
        if error.error == "slow_down":
            self._interval += _SLOWER_S
        if error.error in {"slow_down", "authorization_pending"}:
            self._wait = self._interval
        else:  # no answer, or a server in trouble: back off (RFC 8628 section 3.5)
            self._wait = min(max(2 * self._wait, error.retry_after or 0.0), _LONGEST_INTERVAL_S)


def wait_for_person(polling: Polling, poll: Callable[[], Granted], *, wait: Callable[[float], object]) -> Granted:
    """Ask at the server's pace until a person has agreed. `wait` may raise, to end it; so may `poll`."""
    while True:
        wait(polling.next_wait())
        try:
            return poll()
        except OAuthAccessTokenError as error:
            polling.note(error)


def _is_shown(uri: Any) -> bool:
    """Whether this may be put before a person: an http(s) address, and no escape sequences."""
    if not isinstance(uri, str) or not uri.isprintable():
        return False
    try:
        return urlsplit(uri).scheme in {"https", "http"}
    except ValueError:
        return False
