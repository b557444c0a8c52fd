"""Alerts told over HTTP: posted to a webhook, or as the sign of life that a dead man's switch waits for."""

import threading
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlsplit, urlunsplit

import cruds
from cruds import exception as http
from daemon.errors import ConfigError, CrudsdError, RefusedError, TrustError, UnavailableError
from daemon.spec import (
    ALERTED,
    PINGED,
    AlertEvent,
    ExpressionError,
    HeartbeatAlert,
    HttpAlert,
    SecretRef,
    Template,
    WebhookAlert,
    address_trouble,
    compile_path,
    compile_template,
)
from daemon.values import MISSING

from .blot import Blotter
from .surroundings import Resolve, tls_options

_LONGEST_ANSWER = 65_536
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
"""Statuses below 500 after which another try may help."""
_SHORTEST_PART, _SHORTEST_TOKEN = 8, 16
"""From so many characters on, a part of a secret address is as secret; and a word of its path, which may be any."""
_SUFFIXES: Mapping[AlertEvent, str] = {AlertEvent.START: "/start", AlertEvent.FAILURE: "/fail"}


class _Client:
    """The client of one destination, made anew when its address or a header of it is rotated."""

    def __init__(self, name: str, alert: HttpAlert, resolve: Resolve, folder: Path) -> None:
        self._name, self._alert, self._resolve, self._folder = name, alert, resolve, folder
        self._client: cruds.Client | None = None
        self._made_of: tuple[Any, ...] = ()
        self._lock = threading.Lock()
        self.blot = Blotter()

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            self._client, self._made_of = None, ()

    def send(self, method: str, suffix: str = "", headers: Mapping[str, Any] | None = None, data: Any = None) -> None:
        """Make one request. Raises UnavailableError where another try may help, CrudsdError where none will."""
        address = self._address()
        given = {name: self._value(value) for name, value in (headers or {}).items()}
        url = urlunsplit(address._replace(path=address.path.rstrip("/") + suffix if suffix else address.path))
        try:
            self._open(address).request(method, url, headers=given, data=data)
        except http.HTTPStatusError as error:
            is_later = error.status >= 500 or error.status in _LATER
            excerpt = self.blot.excerpt(error.body)
            said = self._said(error) + (f": {excerpt}" if excerpt else "")
            raise (UnavailableError if is_later else RefusedError)(said, status=error.status) from error
        except http.TLSError as error:
            cure = "check the certificate, or name its authority in tls.ca_file"
            raise TrustError(f"{self._said(error)}; {cure}") from error
        except (http.ConnectError, http.AnswerLostError, http.DeadlineError) as error:
            raise UnavailableError(self._said(error)) from error
        except (http.CrudsError, ValueError) as error:
            raise RefusedError(self._said(error)) from error

    def _address(self) -> SplitResult:
        alert = self._alert
        url = self._value(alert.url, is_address=True)
        is_secret = isinstance(alert.url, SecretRef) and not alert.allow_insecure
        trouble = address_trouble(url, has_secret=is_secret)
        if trouble is not None:
            raise ConfigError(f"alerts.{self._name}.url: {trouble[0]}; {trouble[1]}")
        return urlsplit(url)

    def _value(self, value: str | SecretRef, *, is_address: bool = False) -> str:
        """Return a value, read anew, since secrets are rotated; what it shows of itself is blotted out from now on."""
        if isinstance(value, str):
            return value
        text = self._resolve(value).reveal().strip()
        self.blot.learn(text)
        if is_address:
            for part in _telling_parts(text):
                self.blot.learn(part)
        return text

    def _open(self, address: SplitResult) -> cruds.Client:
        made_of = (address.scheme, address.netloc)
        with self._lock:
            if self._client is None or made_of != self._made_of:
                if self._client is not None:
                    self._client.close()
                self._client, self._made_of = self._made(f"{address.scheme}://{address.netloc}"), made_of
            return self._client

    def _made(self, origin: str) -> cruds.Client:
        seconds = self._alert.timeout.total_seconds()
        try:
            return cruds.Client(
                origin,
                timeout=seconds,
                connect_timeout=seconds,
                read_timeout=seconds,
                retries=0,  # the line that it stands in tries again
                pool_size=1,
                max_response_bytes=_LONGEST_ANSWER,
                allow_insecure=self._alert.allow_insecure,
                **tls_options(self._alert.tls, self._folder),
            )
        except (ValueError, OSError, http.CrudsError) as error:
            raise ConfigError(self.blot(f"alerts.{self._name}: {error}")) from error

    def _said(self, error: Exception) -> str:
        return self.blot(f"alert {self._name}: {error}")


class WebhookSender:
    """Posts alerts. Used by one thread at a time, but for `close`."""

    events = frozenset(ALERTED)

    def __init__(self, name: str, alert: WebhookAlert, resolve: Resolve, folder: Path) -> None:
        self._name, self._headers = name, alert.headers
        self._tree = alert.body
        self._body: Template | None = None if alert.body is None else compile_template(alert.body)
        self._client = _Client(name, alert, resolve, folder)

    def send(self, event: AlertEvent, alert: Mapping[str, Any]) -> None:
        """Post it once."""
        del event
        self._client.send("POST", headers=self._headers, data=self.body(alert))

    def body(self, alert: Mapping[str, Any]) -> Any:
        """Return what is posted. Raises ConfigError for a template that cannot be rendered."""
        if self._body is None:
            return dict(alert)
        try:
            made = self._body.render({"alert": alert})
        except ExpressionError as error:
            raise ConfigError(f"alerts.{self._name}.body: {error}") from error
        lost = _lost(self._tree, made)
        if lost is not None:
            raise ConfigError(f"alerts.{self._name}.body{lost}: an alert has no such field")
        return made

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


class HeartbeatSender:
    """Asks the address of a dead man's switch. Used by one thread at a time, but for `close`."""

    def __init__(self, name: str, alert: HeartbeatAlert, resolve: Resolve, folder: Path) -> None:
        said = {AlertEvent.GOOD: True, AlertEvent.START: alert.start, AlertEvent.FAILURE: alert.fail}
        self.events = frozenset(event for event in PINGED if said[event])
        self._name, self._path = name, compile_path(alert.path.strip("/"))
        self._client = _Client(name, alert, resolve, folder)

    def send(self, event: AlertEvent, alert: Mapping[str, Any]) -> None:
        """Ask it once."""
        self._client.send("GET", self.suffix(event, alert))

    def suffix(self, event: AlertEvent, alert: Mapping[str, Any]) -> str:
        """Return what is added to the address. Raises ConfigError for a template that cannot be rendered."""
        try:
            path = self._path.render({"alert": alert})
        except ExpressionError as error:
            raise ConfigError(f"alerts.{self._name}.path: {error}") from error
        return (f"/{path}" if path else "") + _SUFFIXES.get(event, "")

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()


def trial(sender: WebhookSender | HeartbeatSender, alerts: Callable[[AlertEvent], Mapping[str, Any]]) -> str | None:
    """Return what is wrong with the templates of a destination, tried with one alert of each event; asks nobody."""
    for event in sender.events:
        try:
            if isinstance(sender, WebhookSender):
                sender.body(alerts(event))
            else:
                sender.suffix(event, alerts(event))
        except CrudsdError as error:
            return str(error)
    return None


def _lost(tree: Any, made: Any) -> str | None:
    """Return the place of what a template has left out; None where nothing is missing."""
    if made is MISSING:
        return ""
    pairs: Iterable[tuple[Any, Any]] = ()
    if isinstance(tree, Mapping):
        pairs = ((f".{key}", (value, made.get(key, MISSING))) for key, value in tree.items())
    elif isinstance(tree, list):
        pairs = ((f"[{number}]", pair) for number, pair in enumerate(zip(tree, made, strict=True)))
    found = (f"{place}{inner}" for place, pair in pairs if (inner := _lost(*pair)) is not None)
    return next(found, None)


def _telling_parts(url: str) -> tuple[str, ...]:
    """Return the parts of an address that are as secret as the whole: an error shows it without its query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ()
    bare = urlunsplit(parts._replace(query="", fragment=""))
    whole = [bare, bare.rstrip("/"), parts.path, parts.path.strip("/"), parts.query]
    values = [value for _, value in parse_qsl(parts.query)]
    tokens = [one for one in parts.path.split("/") if len(one) >= _SHORTEST_TOKEN]
    origin = f"{parts.scheme}://{parts.netloc}"
    return tuple(part for part in (*whole, *values, *tokens) if len(part) >= _SHORTEST_PART and part != origin)
