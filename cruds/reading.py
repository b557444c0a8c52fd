"""Reading a list page by page over a client: the loop that `cruds.pages` leaves to others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from .body import encode_json
from .exception import BodyError, PageError
from .pages import End, PageFacts, Pager, PageRequest, Paging
from .response import Response


@dataclass(frozen=True, slots=True)
class Page:
    """One page that arrived whole."""

    number: int
    """Counted from 1."""
    records: tuple[Any, ...]
    response: Response
    request: PageRequest


class Pages:
    """The pages of one read, in order, fetched as they are asked for. Can be gone through once, by one thread."""

    def __init__(
        self,
        fetch: Callable[[PageRequest], Response],
        base: str,
        paging: Paging,
        uri: str,
        records: str = "",
        params: Mapping[str, Any] | None = None,
        *,
        allowed_hosts: Iterable[str] = (),
        leave_out: Collection[str] = (),
    ) -> None:
        self._fetch, self._paging, self._records = fetch, paging, records
        self._pager = Pager(paging, base=base, allowed_hosts=allowed_hosts, leave_out=leave_out)
        self._request = self._pager.first(uri, params)
        self._pages = self._walk()
        self.end: End | None = None
        """Why the read ended; None while it has not, and for ever if it failed."""

    def __iter__(self) -> Iterator[Page]:
        return self._pages

    def _walk(self) -> Iterator[Page]:
        number = 0
        step: PageRequest | End = self._request
        while isinstance(step, PageRequest):
            number += 1
            response = self._fetch(step)
            records, facts = read_page(response, self._paging, self._records, number=number)
            after = self._pager.after(facts)
            yield Page(number, records, response, step)
            step = after
        self.end = step


def read_page(
    response: Response, paging: Paging, records: str, *, number: int = 1
) -> tuple[tuple[Any, ...], PageFacts]:
    """Return the records of a page, and its facts for the pager.

    Raises `PageError` if the answer is not JSON or there is no list at `records`: both look like an end, and are none.
    """
    try:
        document = response.data()
    except BodyError as error:
        raise PageError(str(error), page=number) from error
    if isinstance(document, bytes) or document is None:
        raise PageError(f"the answer is not JSON but {response.content_type or 'empty'}", page=number)
    found = _look_up(records, document, response) if records else document
    if not isinstance(found, list):
        raise PageError(f"there is no list at {records or 'the top of the document'!r}", page=number)
    more = _look_up(paging.has_more, document, response)
    stop = _look_up(paging.stop, document, response)
    return tuple(found), PageFacts(
        count=len(found),
        url=response.url,
        next=_look_up(paging.next, document, response),
        has_more=_truth(more),
        total=_look_up(paging.total, document, response),
        link=response.headers.get("link"),
        fingerprint=fingerprint(found),
        stop=None if paging.stop is None else bool(_truth(stop)),
    )


def fingerprint(records: list[Any]) -> bytes:
    """Return 16 bytes that are equal for equal records, whatever the order of their fields."""
    return blake2b(encode_json(records, stable=True), digest_size=16).digest()


def _look_up(where: str | None, document: Any, response: Response) -> Any:
    if where is None:
        return None
    if where.startswith("header:"):
        return response.headers.get(where.removeprefix("header:").strip())
    try:
        return jmespath.search(where, document)
    except JMESPathError as error:
        raise ValueError(f"{where!r} is no JMESPath: {type(error).__name__}") from error


def _truth(said: Any) -> bool | None:
    """Read yes and no as services write them; None for neither."""
    if isinstance(said, bool):
        return said
    if isinstance(said, int):
        return said != 0
    return {"true": True, "1": True, "false": False, "0": False}.get(str(said).lower())
