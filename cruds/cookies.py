"""Cookies (RFC 6265): kept for one origin, shown to it and to no other."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from email.message import Message
from http.cookiejar import CookieJar
from urllib.request import Request

from urllib3 import HTTPHeaderDict

from .address import origin_of
from .keepalive import Fields

MOST_COOKIES = 300
"""RFC 6265 section 6.1 asks for at least 50 a domain; a server that sets more than this many is broken."""


class Cookies:
    """What one origin asked to be told again. Safe to share between threads.

    Scheme, host and port must match, which is narrower than the RFC: what a redirect to another origin sets is not
    kept, and a cookie for a whole domain goes to the one host that this client talks to.
    """

    def __init__(self, origin: str) -> None:
        self.jar = CookieJar()
        self._origin = origin
        self._lock = threading.Lock()

    def headers(self, url: str) -> dict[str, str]:
        """Return the Cookie header for this address; nothing if there is nothing to say."""
        if origin_of(url) != self._origin:
            return {}
        request = Request(url)  # noqa: S310  never opened: the jar asks it for host and path
        with self._lock:
            self.jar.add_cookie_header(request)
        said = request.get_header("Cookie")
        return {} if said is None else {"Cookie": said}

    def note(self, url: str, headers: Mapping[str, str]) -> None:
        """Keep what an answer from this address sets; a line with control characters is dropped whole."""
        said = headers.getlist("set-cookie") if isinstance(headers, HTTPHeaderDict | Fields) else []
        lines = [line for line in said if line.isprintable()]
        if not lines or origin_of(url) != self._origin:
            return
        with self._lock:
            if len(self.jar) < MOST_COOKIES:
                self.jar.extract_cookies(_Answer(lines), Request(url))  # type: ignore[arg-type]  # noqa: S310


class _Answer:
    """The one thing a jar wants of an answer: its header lines."""

    def __init__(self, lines: list[str]) -> None:
        self._head = Message()
        for line in lines:
            self._head["Set-Cookie"] = line

    def info(self) -> Message:
        return self._head
