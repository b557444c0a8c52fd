"""The ways in which an answer can go wrong, as values; the misbehaving server carries them out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import StrEnum
from typing import Literal, Self

Dialect = Literal["ietf", "draft-03", "x-delta", "x-epoch"]
HTML = b"<!doctype html><html><head><title>Sign in</title></head><body><h1>Sign in</h1></body></html>"


class Cut(StrEnum):
    """How an answer says its length, of which only half of the body arrives."""

    RIGHT_LENGTH = "right"
    """The length of the whole body; then the connection ends. A client can notice."""
    WRONG_LENGTH = "wrong"
    """The length of the half; the connection goes on. Only the JSON itself is cut."""
    CHUNKED = "chunked"
    """Chunks, without the last one. A client can notice."""
    NO_LENGTH = "none"
    """None: the end of the connection is the end of the body. Only the JSON itself is cut."""


class Listing(StrEnum):
    """How a list goes wrong while every answer looks well."""

    REPEATED_PAGE = "repeated page"
    TOKEN_CYCLE = "token cycle"
    CLAMPED_LAST_PAGE = "clamped last page"
    DRIFT = "drift"
    MISSING_RECORDS = "missing records"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with one answer. Made by the methods below; `|` joins two, the right one wins."""

    delay_s: float = 0
    """A wait before anything is done."""
    late_s: float = 0
    """A wait after it was done."""
    status: int | None = None
    """This answer instead of the honest one; None leaves it honest."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to whatever is answered."""
    body: bytes | None = None
    applied: bool = True
    """Whether a write is carried out although the answer goes wrong."""
    close: bool = False
    """End the connection instead of answering."""
    reset: bool = False
    """The same with a TCP reset."""
    cut: Cut | None = None
    drip_bytes: int = 0
    drip_pause_s: float = 0
    listing: Listing | None = None

    def __or__(self, other: "Fault") -> "Fault":
        plain = Fault()
        changed = {
            name: value for name in self.__dataclass_fields__ if (value := getattr(other, name)) != getattr(plain, name)
        }
        return replace(self, **{**changed, "headers": {**self.headers, **other.headers}})

    @classmethod
    def answer(
        cls, status: int, body: bytes | str = b"", *, applied: bool = False, headers: Mapping[str, str] | None = None
    ) -> Self:
        """This status and body instead of the honest answer; `applied`: a gateway gave up, the write was done."""
        raw = body.encode() if isinstance(body, str) else body
        return cls(status=status, body=raw, applied=applied, headers=headers or {})

    @classmethod
    def delay(cls, seconds: float) -> Self:
        """The honest answer after a wait; a write is carried out after it, too."""
        return cls(delay_s=seconds)

    @classmethod
    def late(cls, seconds: float) -> Self:
        """A write is carried out at once; its honest answer comes after a wait."""
        return cls(late_s=seconds)

    @classmethod
    def close_before(cls) -> Self:
        """The connection ends without an answer, and nothing was done."""
        return cls(close=True, applied=False)

    @classmethod
    def close_after(cls) -> Self:
        """The write is done; then the connection ends without an answer."""
        return cls(close=True)

    @classmethod
    def connection_reset(cls, *, applied: bool = False) -> Self:
        """The connection ends with a TCP reset."""
        return cls(reset=True, applied=applied)

    @classmethod
    def cut_body(cls, how: Cut = Cut.RIGHT_LENGTH) -> Self:
        """The honest answer, of whose body half arrives."""
        return cls(cut=how)

    @classmethod
    def drip(cls, piece_bytes: int = 1, pause_s: float = 0.05) -> Self:
        """The honest answer, in small pieces with a pause after each."""
        return cls(drip_bytes=piece_bytes, drip_pause_s=pause_s)

    @classmethod
    def html(cls, *, status: int = 200, applied: bool = False) -> Self:
        """A sign-in page, as a proxy or an expired session shows it."""
        return cls(status=status, body=HTML, applied=applied, headers={"Content-Type": "text/html; charset=utf-8"})

    @classmethod
    def envelope(cls, body: str = '{"ok": false, "error": {"code": "internal", "message": "try later"}}') -> Self:
        """An error that is told in the body, under status 200."""
        return cls(status=200, body=body.encode(), applied=False)

    @classmethod
    def too_many(cls, retry_after: int | datetime | str | None = None, *, status: int = 429) -> Self:
        """429 with Retry-After in seconds, as a date, or as whatever text; None leaves it out."""
        if isinstance(retry_after, datetime):
            retry_after = format_datetime(retry_after.astimezone(UTC), usegmt=True)
        headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
        return cls(status=status, body=b'{"error": {"code": "too_many_requests"}}', applied=False, headers=headers)

    @classmethod
    def rate_limit(cls, limit: int, remaining: int, reset_s: int, *, dialect: Dialect = "ietf") -> Self:
        """The honest answer, with the headers of a rate limit."""
        return cls(headers=rate_limit_headers(limit, remaining, reset_s, dialect))

    @classmethod
    def with_headers(cls, headers: Mapping[str, str]) -> Self:
        """The honest answer, with these headers added."""
        return cls(headers=headers)

    @classmethod
    def repeat_page(cls) -> Self:
        """A page after the first is what the list answered last, next page and all."""
        return cls(listing=Listing.REPEATED_PAGE)

    @classmethod
    def token_cycle(cls) -> Self:
        """From the third page on, the next page is said to be the second: A, B, A (cursor, link, next_url)."""
        return cls(listing=Listing.TOKEN_CYCLE)

    @classmethod
    def clamp_last_page(cls) -> Self:
        """A page beyond the last one is the last one again."""
        return cls(listing=Listing.CLAMPED_LAST_PAGE)

    @classmethod
    def drift(cls) -> Self:
        """After the answer the first record moves to the end, as an edited one does in a list by last change."""
        return cls(listing=Listing.DRIFT)

    @classmethod
    def missing_records(cls) -> Self:
        """A list answers 200 without the field that holds the records."""
        return cls(listing=Listing.MISSING_RECORDS)


def rate_limit_headers(limit: int, remaining: int, reset_s: int, dialect: Dialect) -> dict[str, str]:
    """The headers that say a rate limit, in one of the dialects in use."""
    if dialect == "ietf":
        return {
            "RateLimit-Policy": f'"default";q={limit};w={reset_s}',
            "RateLimit": f'"default";r={remaining};t={reset_s}',
        }
    reset = int(datetime.now(UTC).timestamp()) + reset_s if dialect == "x-epoch" else reset_s
    prefix = "RateLimit" if dialect == "draft-03" else "X-RateLimit"
    return {f"{prefix}-Limit": str(limit), f"{prefix}-Remaining": str(remaining), f"{prefix}-Reset": str(reset)}


@dataclass(slots=True)
class Rule:
    """A fault, when it strikes, and how often requests matched so far."""

    fault: Fault
    method: str | None
    path: re.Pattern[str]
    nth: int | None
    every: int | None
    times: int | None
    matched: int = 0
    struck: int = 0

    def strikes(self, method: str, path: str, target: str) -> bool:
        """Count a request, whose target is its path with its query; tell whether it is one of those to spoil."""
        if (self.method or method) != method or not (self.path.search(path) or self.path.search(target)):
            return False
        self.matched += 1
        if not self._is_due():
            return False
        self.struck += 1
        return True

    def _is_due(self) -> bool:
        if self.times is not None and self.struck >= self.times:
            return False
        if self.nth is not None and self.matched != self.nth and (self.times is None or self.matched < self.nth):
            return False
        return self.every is None or self.matched % self.every == 0
