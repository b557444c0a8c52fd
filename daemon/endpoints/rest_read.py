"""Reading lists over REST, page by page."""

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import msgspec

import cruds
from cruds.exception import PageError
from cruds.pages import End as ListEnd
from cruds.pages import EndReason, PageFacts, Pager, PageRequest, PageType, Paging
from daemon.errors import MalformedError, UnavailableError
from daemon.spec import ListRequest, Paginate, compile_expression
from daemon.sync.certificate import End
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page
from daemon.values import Json

from .call import Call
from .envelope import Body, Content, CutError, Path
from .exchange import Exchange
from .frame import Frame, Steps
from .request import RequestTemplate

REASONS = {
    EndReason.SINGLE_PAGE: "the only page",
    EndReason.NO_NEXT: "no next page",
    EndReason.EMPTY_PAGE: "an empty page",
    EndReason.TOTAL_REACHED: "the total being reached",
    EndReason.HAS_MORE_FALSE: "has_more being false",
    EndReason.STOP: "the stop expression",
}
"""The declared reasons for an end, in the certificate's words."""


_DIGITS = re.compile(r"\d+")

UNCHANGED = "the source's word that nothing has changed (304)"

PAGE_ATTEMPTS = 3
"""How often a page is asked for whose JSON breaks off although its length is what was announced."""


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a list, opened."""

    number: int
    content: Content
    resume: str | None
    """What `RestList.pages` takes up the next page by; None where there is none, or only a number may lead to it."""
    at: datetime | None
    """What time it was there when the page was asked for; None where the answer has no Date."""
    cursor: Json
    """The token for the next read; None where there is none."""
    took_s: float
    """How long it was waited for."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a list goes on, and what came before; as JSON it is the text by which a read is taken up."""

    host: str
    """The tokens of one host say nothing to another."""
    token: str
    pages: int
    records: int
    total: int | None


class RestList:
    """A list request of a job. Compiled once; each `pages` is one read, on one thread."""

    def __init__(self, exchange: Exchange, request: ListRequest, *, what: str, token: str | None = None) -> None:
        """`token` says where an answer has the token for the next read: a header or a path."""
        self._token = _Finder(token)
        self._exchange = exchange
        self._template = RequestTemplate(request, method="GET")
        self._facts = _Facts(request.paginate)
        self._what = what
        records = self._template.records
        steps = records.steps or () if records is not None else ()
        self._frame = Frame(steps, [*self._facts.steps, *self._token.steps])

    @property
    def names(self) -> frozenset[str]:
        """The top-level names that its address, query, headers and own body read."""
        return self._template.names

    def pages(self, scope: Mapping[str, Any], resume: str | None = None) -> Iterator[ListPage | End]:
        """Yield the pages, from the one that `resume` leads to or the first, then one End for all of them.

        Raises an EndpointError for anything that is not a whole, new page, or that cannot be taken up.
        """
        call = self._template.render(scope, body=scope if self._template.has_own_body else None)
        client = self._exchange.client
        paging, home, friends = self._facts.paging, client.host, client.allowed_hosts
        pager = Pager(paging, base=home, allowed_hosts=friends, leave_out=client.secret_params)
        step: PageRequest | ListEnd = self._begin(pager, call, resume)
        by_number, totals = resume is None, {pager.total} - {None}
        etag = scope.get("cursor", {}).get("etag") if resume is None else None
        while isinstance(step, PageRequest):
            here = step.token
            page = self._page(call, step, pager.pages + 1, etag=etag if pager.pages == 0 else None)
            if page is None:
                yield End(UNCHANGED, 0, 0, None, unchanged=True)
                return
            try:
                step = pager.after(page.facts)
            except PageError as error:
                raise MalformedError(f"{self._exchange.name}: {self._what}: {error}") from error
            leads_on = self._resume(pager, step, here)
            by_number = by_number and leads_on is None
            totals = (totals | {pager.total}) - {None}
            yield ListPage(pager.pages, page.content, leads_on, page.at, page.cursor, page.took_s)
        yield End(
            REASONS[step.reason],
            step.pages,
            step.records,
            step.total,
            by_number=by_number and step.pages > 1,
            totals_differ=len(totals) > 1,
        )

    def _begin(self, pager: Pager, call: Call, resume: str | None) -> PageRequest:
        if resume is None:
            return pager.first(call.uri, call.params)
        said = f"{self._exchange.name}: {self._what}: cannot be taken up"
        try:
            place = msgspec.json.decode(resume, type=_Place)
            request = pager.resume(
                call.uri, call.params, place.token, pages=place.pages, records=place.records, total=place.total
            )
        except (ValueError, PageError) as error:
            raise MalformedError(f"{said}: {error}") from error
        if place.host != self._exchange.client.host:
            raise MalformedError(f"{said}: its token is from {place.host}")
        return request

    def _resume(self, pager: Pager, step: PageRequest | ListEnd, here: str) -> str | None:
        """Return the text by which the next page is taken up, where its token is more than a number.

        Many a next address, and many a cursor, is a page number or an offset in disguise: then it differs from the one
        before in nothing but digits. After a row before it has gone, it would pass over another one.
        """
        if not isinstance(step, PageRequest) or not step.opaque or not here:
            return None
        if _DIGITS.sub("#", step.token) == _DIGITS.sub("#", here):
            return None
        place = _Place(self._exchange.client.host, step.token, pager.pages, pager.records, pager.total)
        return msgspec.json.encode(place).decode()

    def _page(self, call: Call, step: PageRequest, number: int, *, etag: str | None) -> "_Answer | None":
        """Fetch and open one page; one whose JSON breaks off is asked for again before it is believed.

        None where the list is still the one of this ETag (RFC 9110 13.1.2).
        """
        what = f"{self._exchange.name}: {self._what}, page {number}"
        request = replace(call, uri=step.uri, params=step.params)
        if etag is not None:
            request = replace(request, headers={**request.headers, "If-None-Match": etag})
        for attempt in itertools.count(1):
            began = time.monotonic()
            response = self._exchange.send(request)
            took_s = time.monotonic() - began
            if etag is not None and response.status == HTTPStatus.NOT_MODIFIED:
                return None
            body = Body(response, what, self._frame)
            try:
                content = body.records(self._template.records)
                facts = self._facts.of(response, body, content, number)
                return _Answer(content, facts, asked_at(response, took_s), self._token.find(response, body), took_s)
            except CutError as error:
                if attempt == PAGE_ATTEMPTS:
                    raise UnavailableError(f"{error}; asked {attempt} times", status=response.status) from error
        raise AssertionError("unreachable")


@dataclass(frozen=True, slots=True)
class _Answer:
    """One page, and what came with it."""

    content: Content
    facts: PageFacts
    at: datetime | None
    cursor: Json
    took_s: float


def asked_at(response: cruds.Response, took_s: float) -> datetime | None:
    """Return the server's time when the request left, by its Date (RFC 9110 6.6.1); None without a good one.

    What was waited for, other attempts and all, is taken off: the server may have looked at its records at any time of
    it. Some seconds too early costs nothing; too late, and a record that was stored meanwhile is passed over.
    """
    try:
        said = parsedate_to_datetime(response.headers.get("date", ""))
    except ValueError:
        return None
    if said.tzinfo is None:
        said = said.replace(tzinfo=UTC)
    return said - timedelta(seconds=took_s)


class _Facts:
    """Finds in an answer what its pagination needs to know."""

    def __init__(self, paginate: Paginate) -> None:
        self._next = _Finder(paginate.next)
        self._total = _Finder(paginate.total)
        self._has_more = _Finder(paginate.has_more)
        self._stop = compile_expression(paginate.stop) if paginate.stop is not None else None
        self.paging = Paging(
            type=PageType(paginate.type),
            param=paginate.param,
            start=paginate.start,
            size=paginate.size,
            size_param=paginate.size_param,
            next=paginate.next,
            total=paginate.total,
            has_more=paginate.has_more,
            max_pages=paginate.max_pages,
        )

    @property
    def steps(self) -> tuple[Steps, ...]:
        """The paths of names at which it looks into a body."""
        return (*self._next.steps, *self._total.steps, *self._has_more.steps)

    def of(self, response: cruds.Response, body: Body, content: Content, number: int) -> PageFacts:
        more = self._has_more.find(response, body)
        return PageFacts(
            count=len(content.records),
            url=response.url,
            next=self._next.find(response, body),
            has_more=more if isinstance(more, bool) else None,
            total=self._total.find(response, body),
            link=response.headers.get("link"),
            fingerprint=content.fingerprint if content.records else b"",
            stop=self._stops(body, len(content.records), number),
        )

    def _stops(self, body: Body, count: int, number: int) -> bool | None:
        if self._stop is None:
            return None
        scope = {"page": {"count": count, "number": number}, "body": body.whole()}
        return bool(self._stop(scope))


class _Finder:
    """A place in an answer: a header, or a path into the body."""

    def __init__(self, where: str | None) -> None:
        self._header = where.partition(":")[2].strip() if where and where.lower().startswith("header:") else None
        self._path = Path(where) if where and self._header is None else None

    @property
    def steps(self) -> tuple[Steps, ...]:
        """The path of names in the body, where it is one."""
        return (self._path.steps,) if self._path is not None and self._path.steps else ()

    def find(self, response: cruds.Response, body: Body) -> Any:
        """Return what stands there; None when nothing does."""
        if self._header is not None:
            return response.headers.get(self._header)
        return body.find(self._path)


class RestSource:
    """A job's source over REST."""

    def __init__(self, exchange: Exchange, request: ListRequest, *, token: str | None = None) -> None:
        """`token` says where an answer has the token for the next read."""
        self._list = RestList(exchange, request, what=f"read {request.uri.partition('?')[0]}", token=token)

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the pages, from the one that `resume` leads to or the first, then one End."""
        for step in self._list.pages(scope, resume):
            if isinstance(step, End):
                yield step
            else:
                yield Page(
                    step.number,
                    step.content.records,
                    step.resume,
                    step.at,
                    cursor=step.cursor,
                    took_s=step.took_s,
                )
