"""Lists that a model's method returns: whole, record by record, or page by page with the page among its arguments."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import Any

import xxhash

from cruds.exception import PageError
from cruds.pages import PageFacts, Pager, PageRequest, PageType, Paging
from daemon.errors import MalformedError
from daemon.spec import ListCall, compile_expression
from daemon.sync.certificate import End
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page
from daemon.values import MISSING, Json

from .envelope import Path, encode
from .models import MethodTemplate, Model
from .rest_read import REASONS

PAGE_RECORDS = 1_000
"""Records that make a page, where the method returns them all."""


class CallList:
    """A list that a method returns. Compiled once; each `pages` is one read, on one thread."""

    def __init__(self, model: Model, call: ListCall, *, page_records: int = PAGE_RECORDS) -> None:
        self._page_records = page_records
        self._template = MethodTemplate(model, call)
        self._call, self._model = call, model
        paginate = call.paginate
        self._find = {
            name: Path(where)
            for name in ("next", "total", "has_more")
            if (where := getattr(paginate, name)) is not None
        }
        self._stop = compile_expression(paginate.stop) if paginate.stop is not None else None
        self.names = self._template.names
        """The top-level names that its arguments read."""

    def pages(self, scope: Mapping[str, Any]) -> Iterator[tuple[int, tuple[bytes, ...]] | End]:
        """Yield the pages, each with its number from 1, then one End. Raises as `Source.read`."""
        arguments = self._template.arguments(scope)
        if self._call.paginate.type == "none":
            yield from self._at_once(arguments)
        else:
            yield from self._by_page(arguments)

    def _at_once(self, arguments: Mapping[str, Any]) -> Iterator[tuple[int, tuple[bytes, ...]] | End]:
        number, count = 0, 0
        for batch in self._batches(self._template.make(arguments)):
            number, count = number + 1, count + len(batch)
            yield number, batch
        doubt = f"nothing says that {self._template.said} returns the whole list; if it does, say complete: true"
        doubts = () if self._call.complete else (doubt,)
        yield End("the end of what the method returns", max(number, 1), count, None, doubts=doubts)

    def _batches(self, returned: Any) -> Iterator[tuple[bytes, ...]]:
        """Yield the records a page at a time: those of a list at once, those of a generator as they come."""
        size = self._page_records
        if not isinstance(returned, Iterator):
            records = self._records(returned)
            yield from (records[start : start + size] for start in range(0, len(records), size))
            return
        if self._template.records is not None:
            raise self._wrong("a generator, and there is no path into that: leave records out")
        with closing(_Closable(returned)):
            while batch := self._template.carry(lambda: list(islice(returned, size))):
                yield tuple(self._encoded(record) for record in batch)

    def _by_page(self, arguments: Mapping[str, Any]) -> Iterator[tuple[int, tuple[bytes, ...]] | End]:
        paginate = self._call.paginate
        paging = Paging(
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
        pager = Pager(paging, base=self._model.exchange.client.host)
        step: Any = pager.first("", arguments)
        totals: set[int | None] = set()
        while isinstance(step, PageRequest):
            returned = self._template.make(step.params)
            records = self._records(returned)
            try:
                step = pager.after(self._facts(returned, records, pager.pages + 1))
            except PageError as error:
                raise MalformedError(f"{self._model.exchange.name}: {self._template.said}: {error}") from error
            totals |= {pager.total} - {None}
            yield pager.pages, records
        by_number = paginate.type in {"page", "offset"} and step.pages > 1
        yield End(
            REASONS[step.reason],
            step.pages,
            step.records,
            step.total,
            by_number=by_number,
            totals_differ=len(totals) > 1,
        )

    def _facts(self, returned: Any, records: tuple[bytes, ...], number: int) -> PageFacts:
        found = {name: path.search(returned) for name, path in self._find.items()}
        told = {name: None if value is MISSING else value for name, value in found.items()}
        more = told.get("has_more")
        stops = None
        if self._stop is not None:
            stops = bool(self._stop({"page": {"count": len(records), "number": number}, "body": returned}))
        return PageFacts(
            count=len(records),
            url="",
            next=told.get("next"),
            has_more=more if isinstance(more, bool) else None,
            total=told.get("total"),
            link=None,
            fingerprint=xxhash.xxh3_128_digest(b"\n".join(records)) if records else b"",
            stop=stops,
        )

    def _records(self, returned: Any) -> tuple[bytes, ...]:
        path = self._template.records
        found: Json = returned if path is None else path.search(returned)
        if path is not None and (found is MISSING or found is None):
            raise self._wrong(f"nothing at the records path {path.text!r}")
        if not isinstance(found, (list, tuple)):
            raise self._wrong(f"{type(found).__name__}, not a list" + ("; say records" if path is None else ""))
        return tuple(self._encoded(record) for record in found)

    def _encoded(self, record: Any) -> bytes:
        try:
            return encode(record)
        except (TypeError, ValueError, RecursionError) as error:
            raise self._wrong(f"a record that is no JSON: {error}") from error

    def _wrong(self, what: str) -> MalformedError:
        return MalformedError(f"{self._model.exchange.name}: {self._template.said} returned {what}")


class _Closable:
    """An iterator that can be closed, whether it knows of that or not."""

    def __init__(self, records: Iterator[Any]) -> None:
        self.close = getattr(records, "close", lambda: None)


class CallSource:
    """A job's source in an interface."""

    def __init__(self, model: Model, call: ListCall, *, page_records: int = PAGE_RECORDS) -> None:
        self._list = CallList(model, call, page_records=page_records)

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the pages, then one End. A read is not taken up in its middle."""
        if resume is not None:
            raise MalformedError("a call cannot be taken up in the middle of its list")
        for step in self._list.pages(scope):
            yield step if isinstance(step, End) else Page(*step)
