"""A source in memory that is read by offset while people come and go: rows move under the numbers."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from daemon.errors import EndpointError
from daemon.sync.certificate import End
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page

Edit: TypeAlias = Callable[[list[Any]], None]


class ShiftingSource:
    """Records in a list, asked for by offset. `says_total`: each page says how many there are at its moment."""

    def __init__(self, records: list[Any], *, page_size: int, says_total: bool) -> None:
        self.records = records
        self.page_size = page_size
        self.says_total = says_total
        self.total_is_off_by = 0
        self.readings = 0
        self.always: set[str] = set()
        """The keys that were there all the time since `watch`: the oracle."""
        self._edits: dict[tuple[int, int], list[Edit]] = defaultdict(list)
        self._errors: dict[tuple[int, int], EndpointError] = {}

    def watch(self) -> None:
        """Begin to count readings, and to note who is there all the time."""
        self.readings = 0
        self.always = self._keys()

    def edit(self, reading: int, page: int, edit: Edit) -> None:
        """Let something happen after a page of a reading was taken."""
        self._edits[reading, page].append(edit)

    def fail(self, reading: int, page: int, error: EndpointError) -> None:
        """Raise an error in place of a page."""
        self._errors[reading, page] = error

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the pages, then one End. Takes no resume: numbers cannot be taken up."""
        assert resume is None
        self.readings += 1
        number = count = 0
        totals = set()
        while True:
            number += 1
            if (self.readings, number) in self._errors:
                raise self._errors[self.readings, number]
            batch = self.records[count : count + self.page_size]
            count += len(batch)
            totals.add(len(self.records) + self.total_is_off_by if self.says_total else None)
            total = len(self.records) + self.total_is_off_by if self.says_total else None
            yield Page(number, tuple(msgspec.json.encode(record) for record in batch), None)
            self._happen(number)
            if not batch or (total is not None and count >= total):
                break
        yield End("an empty page", number, count, total, by_number=number > 1, totals_differ=len(totals) > 1)

    def _happen(self, page: int) -> None:
        for edit in self._edits.pop((self.readings, page), ()):
            edit(self.records)
            self.always &= self._keys()

    def _keys(self) -> set[str]:
        return {record["no"] for record in self.records}


def leave(key: str) -> Edit:
    """Somebody leaves, if she is there."""

    def edit(records: list[Any]) -> None:
        records[:] = [record for record in records if record["no"] != key]

    return edit


def join(record: Any, *, at: int) -> Edit:
    """Somebody comes, and gets this place in the list."""

    def edit(records: list[Any]) -> None:
        records.insert(at, record)

    return edit
