"""The records that another job has linked, as the parents of a source's parts."""

from collections.abc import Iterator, Mapping
from typing import Any

from daemon.sync.canonical import encode, readable
from daemon.sync.certificate import End
from daemon.sync.parts import NOTHING
from daemon.sync.ports import Page

from .database import Database
from .links import SqlLinks

PAGE = 1_000
"""Links in one page."""


class LinkSource:
    """A source that gives each link of a job as a record: `key`, `id` of the target's record, and its `document`.

    What that job has not linked is no parent; what it has deleted is none any more. The document is null where it is
    not remembered.
    """

    def __init__(self, database: Database, job: str) -> None:
        self._links = SqlLinks(database, job)

    def read(self, resume: str | None = None, *, scope: Mapping[str, Any] = NOTHING) -> Iterator[Page | End]:
        """Yield the links in order of their arrival, then one End. A link made meanwhile comes in the next read."""
        del resume, scope
        after, number, records, upto = 0, 0, 0, self._links.highest()
        while batch := self._links.range(after, upto, PAGE):
            documents = self._links.documents([link.id for link in batch])
            after, number, records = batch[-1].id, number + 1, records + len(batch)
            yield Page(
                number,
                tuple(
                    encode({"key": readable(link.key), "id": link.target_id, "document": documents.get(link.id)})
                    for link in batch
                ),
            )
        yield End("the last link", max(number, 1), records, None)
