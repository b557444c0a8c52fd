"""Redirects: which are followed, as what, and with which headers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urldefrag, urljoin, urlsplit

from .address import bare, origin_of, without_values
from .exception import RedirectError
from .response import Response
from .retries import SAFE_METHODS

if TYPE_CHECKING:
    from .exchange import Call

REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST = 5
"""A chain longer than this is a loop, or might as well be one."""
_IMPERSONAL = frozenset({"accept", "accept-encoding", "accept-language", "user-agent"})


def follow(call: Call, response: Response, hops: int, secrets: Collection[str] = ()) -> Call:
    """Return the request that a redirect asks for (RFC 9110 section 15.4).

    Raises `RedirectError` if it must not be made. A read follows every redirect; away from its origin it takes
    along only headers that say nothing about us and no parameter whose value is one of the `secrets`, and never from
    https to http. A write follows only within its origin: 303 with a GET, 307 and 308 as it is. After 301 and 302 of
    a write nobody knows what was meant, so they are not followed. All origins that the call `trusts` are like one.
    """
    location = response.headers.get("location")
    if not location:
        raise _refused("a redirect without a Location", call, response, None)
    try:
        target = urldefrag(urljoin(call.url, location)).url
        here, there = origin_of(call.url), origin_of(target)
    except ValueError as error:  # AddressError is one
        raise _refused("a redirect to something that is no http address", call, response, None) from error
    is_home = (here == there or {here, there} <= call.trusts) and "@" not in urlsplit(target).netloc
    reason = _objection(call, response.status, target, is_home=is_home, hops=hops)
    if reason:
        raise _refused(reason, call, response, target)
    followed = replace(call, url=target)
    if response.status == 303 and call.method != "HEAD":
        kept = {name: value for name, value in call.headers.items() if not name.lower().startswith("content-")}
        followed = replace(followed, method="GET", body=None, headers=kept, repeatable=True)
    if not is_home:
        plain = {name: value for name, value in followed.headers.items() if name.lower() in _IMPERSONAL}
        target = without_values(target, secrets)
        followed = replace(followed, url=target, headers=plain, is_authenticated=False)
    return followed


def _objection(call: Call, status: int, target: str, *, is_home: bool, hops: int) -> str | None:
    if hops >= _MOST:
        return f"more than {_MOST} redirects in a row"
    if call.url.startswith("https:") and target.startswith("http:"):
        return "a redirect from https to http"
    is_write = call.method not in SAFE_METHODS
    if is_write and not is_home:
        return "a write is redirected to another origin"
    if is_write and status in {301, 302}:
        return f"a {call.method} is answered with {status}; correct the uri"
    if not is_home and call.is_home_only:
        return "a redirect to another origin, where our certificate is not shown"
    return None


def _refused(reason: str, call: Call, response: Response, target: str | None) -> RedirectError:
    return RedirectError(
        f"{reason} (status code {response.status})",
        status=response.status,
        location=None if target is None else bare(target),
        method=call.method,
        url=bare(call.url),
        sent=True,
        last_response=response,
    )
