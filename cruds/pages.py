"""Pagination as logic without a socket: a page's facts in, the next request or the declared end out.

A read ends only for a reason that the paging declares. Whatever else could look like an end (a token or a page
seen before, a clamped last page, a missing list, `max_pages`) is a `PageError`: what was read is not complete.

    pager.first() ─▶ PageRequest ─▶ (fetch) ─▶ PageFacts ─▶ pager.after() ─▶ PageRequest ... ─▶ End
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .address import Host, bare, without_params
from .exception import PageError
from .links import joined, next_address, next_link


class PageType(StrEnum):
    """How a service names its pages."""

    NONE = "none"
    """All at once."""
    PAGE = "page"
    """By number."""
    OFFSET = "offset"
    """By how many records come before."""
    CURSOR = "cursor"
    """By a token that each page gives for the next."""
    NEXT_URL = "next_url"
    """By an address that each page gives for the next."""
    LINK = "link"
    """By the Link header (RFC 8288), rel=next."""

    @property
    def is_counted(self) -> bool:
        """Whether page numbers are known ahead, so that any page can be asked for without the one before."""
        return self in {PageType.PAGE, PageType.OFFSET}


class EndReason(StrEnum):
    """Why a read is complete."""

    SINGLE_PAGE = "single_page"
    NO_NEXT = "no_next"
    EMPTY_PAGE = "empty_page"
    TOTAL_REACHED = "total_reached"
    HAS_MORE_FALSE = "has_more_false"
    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Paging:
    """What the service declares about its pages. Paths are JMESPath into the page's document."""

    type: PageType = PageType.NONE
    param: str | None = None
    """The parameter for number, offset or cursor; None: named like the type."""
    start: int | None = None
    """The first number or offset; None: 1 for page, 0 for offset."""
    size: int | None = None
    """Records to ask for; None: the service's own choice. A shorter page is not the end: services cap."""
    size_param: str | None = None
    next: str | None = None
    """Where a page says the next cursor or address: a path, or `header:NAME`."""
    total: str | None = None
    """Where a page says how many records there are in all: a path, or `header:NAME`."""
    has_more: str | None = None
    """Where a page says whether there is another: a path, or `header:NAME`."""
    stop: str | None = None
    """A path that is true on the last page."""
    max_pages: int | None = None
    """More pages than this is an error, never an end; None: no limit."""

    def __post_init__(self) -> None:
        if self.type in {PageType.CURSOR, PageType.NEXT_URL} and not self.next:
            raise ValueError(f"paging of type {self.type} needs `next`")
        if self.size is not None and (self.size < 1 or not self.size_param):
            raise ValueError("paging with `size` needs a positive number and `size_param`")
        if self.max_pages is not None and self.max_pages < 1:
            raise ValueError("`max_pages` is at least 1")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What to ask for next."""

    uri: str
    params: Mapping[str, Any]
    token: str
    """Where this page is, as JSON text; `Pager.resume` takes it up again if it is `opaque`."""
    opaque: bool
    """True: the service's own token. False: a number, which means another page after the data moved."""


@dataclass(frozen=True, slots=True)
class PageFacts:
    """What there is to know about a page that arrived."""

    count: int
    """How many records it held."""
    url: str
    """The address it came from, with its query."""
    next: Any = None
    has_more: bool | None = None
    """None: not declared, or not said."""
    total: Any = None
    """As the service wrote it; a negative number, null or nonsense is no total."""
    link: str | None = None
    """The Link header; None without one."""
    fingerprint: bytes = b""
    """Of the records; empty if nobody made one, and then a repeated page is not noticed."""
    stop: bool | None = None


@dataclass(frozen=True, slots=True)
class End:
    """A read ended, for a declared reason."""

    reason: EndReason
    pages: int
    records: int
    """As many as were counted, from the page this pager began with."""
    total: int | None
    """What the service last said; None if it did not, or the read was resumed without its counts."""

    @property
    def agrees(self) -> bool | None:
        """Whether the service's total is the number of records seen; None without a total."""
        return None if self.total is None else self.total == self.records


class Pager:
    """Follows the pages of one read. Belongs to one thread and one read.

    `base` is the host with its path, as in `Client.host`. A next address is read like this: absolute, it must be on
    the base's origin or one of the `allowed_hosts`; with a slash in front, it is a path on the origin if it begins
    with the base's path, else it lies below the base; otherwise it is relative to its page (RFC 3986 section 5). It is
    followed as it is, without the parameters of the first request: the service put into it what it needs. Parameters
    to `leave_out` are credentials (`Client.secret_params`), which services repeat, and which no token should hold.
    """

    def __init__(
        self, paging: Paging, *, base: str, allowed_hosts: Iterable[str] = (), leave_out: Collection[str] = ()
    ) -> None:
        self._paging, self._host, self._leave_out = paging, Host.parse(base, allowed_hosts), frozenset(leave_out)
        self._param = paging.param or str(paging.type)
        self._uri, self._params = "", dict[str, Any]()
        self._position = 0
        self.pages, self.records = 0, 0
        self.total: int | None = None
        """What the service last said; with `pages` and `records`, what `resume` needs to count on."""
        self._counts_all = True
        self._tokens: dict[str, int] = {}
        self._fingerprints: dict[bytes, int] = {}

    def first(self, uri: str, params: Mapping[str, Any] | None = None) -> PageRequest:
        """Return the request for the first page."""
        self._begin(uri, params)
        if self._paging.type.is_counted:
            default = 1 if self._paging.type is PageType.PAGE else 0
            self._position = default if self._paging.start is None else self._paging.start
            return self._counted()
        return PageRequest(self._uri, self._params, token="", opaque=False)

    def resume(
        self,
        uri: str,
        params: Mapping[str, Any] | None,
        token: str,
        *,
        pages: int = 0,
        records: int = 0,
        total: int | None = None,
    ) -> PageRequest:
        """Return the request for the page of an opaque `token` that an earlier pager gave.

        With that pager's `pages`, `records` and `total` the counts go on and the end tells of the whole read. Tokens
        are remembered from here on, so a cycle through the pages before is noticed a round later. Raises ValueError
        for page and offset: their numbers mean other records by now, so the read starts again; PageError for an
        address that is not on the base's origin.
        """
        if self._paging.type.is_counted or self._paging.type is PageType.NONE or not token:
            raise ValueError(f"a read by {self._paging.type} starts again; it cannot be resumed")
        self._begin(uri, params)
        self.pages, self.records, self.total, self._counts_all = pages, records, total, pages > 0
        said = json.loads(token)
        return self._tokened(said if self._paging.type is PageType.CURSOR else self._address(said, self._host.base))

    def after(self, facts: PageFacts) -> PageRequest | End:
        """Return the request for the page after this one, or why there is none. Raises `PageError`."""
        self.pages += 1
        self.records += facts.count
        self.total = _sane_total(facts.total, self.total)
        self._refuse_repetition(facts)
        reason = self._reason(facts)
        if reason is not None:
            return End(reason, self.pages, self.records, self.total if self._counts_all else None)
        request = self._next(facts)
        if self._paging.max_pages is not None and self.pages >= self._paging.max_pages:
            raise self._error(f"max_pages is {self._paging.max_pages}, and there are more")
        return request

    # ---- below: one question each ----

    def _begin(self, uri: str, params: Mapping[str, Any] | None) -> None:
        own = {self._param} if self._paging.type in {PageType.PAGE, PageType.OFFSET, PageType.CURSOR} else set()
        # Where a feed begins and where it goes on may be one parameter (`since`): the first page is asked as given.
        ours = own if self._paging.type.is_counted else set()
        size: dict[str, Any] = {}
        if self._paging.size is not None and self._paging.size_param:
            size = {self._paging.size_param: self._paging.size}
        self._uri = without_params(uri, own | size.keys())
        self._params = {name: value for name, value in (params or {}).items() if name not in ours} | size

    def _reason(self, facts: PageFacts) -> EndReason | None:
        """Return the declared reason to end here, None to go on."""
        if self._paging.type is PageType.NONE:
            return EndReason.SINGLE_PAGE
        if facts.stop:
            return EndReason.STOP
        if facts.has_more is False:
            return EndReason.HAS_MORE_FALSE
        if self._paging.type.is_counted:
            return self._counted_reason(facts)
        if _is_absent(self._said_next(facts)):
            if facts.has_more:
                raise self._error("the service says there is more, and gives no next")
            return EndReason.NO_NEXT
        return None

    def _counted_reason(self, facts: PageFacts) -> EndReason | None:
        if self._paging.total and self.total is not None and self.records >= self.total:
            return EndReason.TOTAL_REACHED
        return EndReason.EMPTY_PAGE if facts.count == 0 and not facts.has_more else None

    def _said_next(self, facts: PageFacts) -> Any:
        return next_link(facts.link) if self._paging.type is PageType.LINK else facts.next

    def _next(self, facts: PageFacts) -> PageRequest:
        if self._paging.type.is_counted:
            self._position += 1 if self._paging.type is PageType.PAGE else facts.count
            return self._counted()
        said = self._said_next(facts)
        if isinstance(said, bool) or not isinstance(said, str | int):
            raise self._error(f"the next page is given as {type(said).__name__}; a text or a number is needed")
        if self._paging.type is PageType.CURSOR:
            return self._tokened(said)
        if self.pages == 1:
            self._tokens.setdefault(json.dumps(facts.url), 1)
        return self._tokened(self._address(str(said), facts.url))

    def _counted(self) -> PageRequest:
        token = self._unseen(self._position)
        return PageRequest(self._uri, self._params | {self._param: self._position}, token, opaque=False)

    def _tokened(self, value: str | int) -> PageRequest:
        token = self._unseen(value)
        if self._paging.type is PageType.CURSOR:
            return PageRequest(self._uri, self._params | {self._param: value}, token, opaque=True)
        return PageRequest(str(value), {}, token, opaque=True)

    def _unseen(self, value: str | int) -> str:
        """Return the token of a place in the read, which must not have been visited."""
        token = json.dumps(value)
        page = self._tokens.setdefault(token, self.pages + 1)
        if page != self.pages + 1:
            raise self._error(f"it leads back to page {page}: its next was given before")
        return token

    def _address(self, said: str, page_url: str) -> str:
        """Return the absolute address of a next page, which is on our origin."""
        if (target := next_address(said, page_url, self._host, self._leave_out)) is None:
            raise self._error(f"its next address is not on {self._host.origin}: {bare(joined(page_url, said))}")
        return target

    def _refuse_repetition(self, facts: PageFacts) -> None:
        if facts.count == 0 or not facts.fingerprint:
            return
        page = self._fingerprints.setdefault(facts.fingerprint, self.pages)
        if page != self.pages:
            raise self._error(f"it holds the same records as page {page}")

    def _error(self, message: str) -> PageError:
        return PageError(message, page=self.pages)


def _sane_total(said: Any, before: int | None) -> int | None:
    """Return the total a service said, or what it said before if this is none: -1, null, text, a fraction."""
    if isinstance(said, str) and said.strip().isascii() and said.strip().isdigit():
        return int(said)
    if isinstance(said, int) and not isinstance(said, bool) and said >= 0:
        return said
    return before


def _is_absent(said: Any) -> bool:
    return said is None or said is False or said == ""
