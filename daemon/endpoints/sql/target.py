"""A table as a target: its rows are the records, its match columns their ids.

Writes go in batches, a transaction each. A batch that is refused kept nothing, so that the core makes it again in
parts, and one bad row is told apart. A row whose key is there is a conflict, as with any target: the core adopts it.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import select

from daemon.errors import ConfigError, EndpointError, RefusedError, UnavailableError
from daemon.spec import Job, TableTarget
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.explanation import Sending
from daemon.sync.ports import Accepted, Answer, TargetRecord, WholeRefusedError, Written
from daemon.values import Document

from .fitting import Memory, fitted, news
from .given import ENCODER
from .link import SqlLink
from .making import make_table
from .shape import Shape, reflect
from .table import BoundTable
from .trouble import ContendedError
from .writing import BULK, Row, carry_out, where_in

BATCH: Final = 1000
"""Rows in a transaction: enough that its commit costs little, and few enough that one bad row is soon found."""
PAGE: Final = 1000
"""Rows of the table's own list that are held at once."""
ATTEMPTS: Final = 3
"""How often a transaction is made that another one was in the way of."""
_VERBS: Final = {Kind.CREATE: "INSERT", Kind.UPDATE: "UPDATE", Kind.DELETE: "DELETE"}


class SqlTarget:
    """The table of one job. Its methods may be called by several threads."""

    def __init__(self, link: SqlLink, job: Job, target: TableTarget, memory: Memory) -> None:
        self._link = link
        self._job = job
        self._target = target
        self._memory = memory
        self._zone = ZoneInfo(target.timezone) if target.timezone is not None else None
        self._loading = threading.Lock()
        self._bound: BoundTable | None = None
        self.can_list = self.can_lookup = self.can_get = True
        self.replaces = self.has_idempotency = False

    # ---- before a run --------------------------------------------------------------------------------------------

    def prepare(self, writes: bool) -> None:  # noqa: FBT001 - the port `Ports.prepare`
        """Make sure that the table fits the job; where it is to be made, and the run `writes`, make it.

        Raises ConfigError with all that does not fit, and an EndpointError when the database cannot be asked.
        """
        shape = self._shape()
        before = self._memory.facts()
        if shape is None and (not self._target.create_table or (before and self._job.compare == "links")):
            raise ConfigError(self._gone() if self._target.create_table else self._absent())
        if shape is None and writes:
            self._make()
            shape = self._shape()
        if shape is None:
            return
        self._bind(shape)
        for sentence in news(shape, before):
            self._link.warn(sentence)
        if writes:
            self._memory.keep(shape)

    def _shape(self) -> Shape | None:
        if self._link.is_without_file and self._target.create_table:
            return None
        with self._link.read(f"looking at {self._target.table}") as connection:
            return reflect(connection, self._target.table, self._zone)

    def _make(self) -> None:
        self._link.make_file()
        with self._link.write(f"making {self._target.table}") as connection:
            make_table(connection, self._target)

    def _bind(self, shape: Shape) -> BoundTable:
        name = self._link.name
        match = fitted(self._job, self._target, shape, name, self._memory.facts())
        shown = None if self._job.map is None else [field.split(".")[0] for field in self._job.map]
        self._bound = BoundTable(name, shape, match, shown=shown, version=self._target.version, zone=self._zone)
        return self._bound

    def _table(self) -> BoundTable | None:
        """Return the table; None where it is still to be made."""
        with self._loading:
            if self._bound is not None:
                return self._bound
            shape = self._shape()
            if shape is None and not self._target.create_table:
                raise ConfigError(self._absent())
            return None if shape is None else self._bind(shape)

    def _absent(self) -> str:
        return (
            f"{self._link.name}: there is no table {self._target.table} that this user may see; make it, or say "
            "create_table: true and its columns in the job"
        )

    def _gone(self) -> str:
        full = ", and run it with --full" if self._job.source.incremental is not None else ""
        return (
            f"{self._link.name}: there is no table {self._target.table}, and at the last run there was one. Made anew "
            "it would stay empty, since the job takes the rows that it remembers for written; put the table back, or "
            f"have it filled anew: say `compare: target` in the job{full}"
        )

    # ---- reading -------------------------------------------------------------------------------------------------

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        """Yield the rows in one snapshot, page by page, then one End. Rows without a usable key are nobody's here."""
        table = self._table()
        pages = records = 0
        if table is not None:
            columns = [table.table.c[name] for name in table.shown]
            with self._link.snapshot(f"listing {self._target.table}") as connection:
                streamed = connection.execution_options(stream_results=True, max_row_buffer=PAGE)
                with closing(streamed.execute(select(*columns))) as rows:
                    for part in rows.partitions(PAGE):
                        page = tuple(one for row in part if (one := table.record(row)) is not None)
                        pages, records = pages + 1, records + len(page)
                        yield page
        yield End("the last row", max(pages, 1), records, None)

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        """Return the row whose match columns equal the key."""
        del document
        table = self._table()
        forms = table.forms(key) if table is not None else ()
        if table is None or not forms:
            return ()
        condition = [column.in_(values) for column, values in zip(table.keys, forms, strict=True)]
        columns = [table.table.c[name] for name in table.shown]
        with self._link.read(f"looking up {self._target.table}") as connection:
            found = [table.record(row) for row in connection.execute(select(*columns).where(*condition))]
        # A collation may find other texts equal than a key is; only what is written as the key may be is taken.
        fits = [one for one in found if one is not None and table.is_among(one.id, forms)]
        return tuple(replace(one, match=key) for one in fits)

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        """Return the row with this id."""
        del key, document
        table = self._table()
        place = table.place(target_id) if table is not None else None
        if table is None or place is None:
            return None
        columns = [table.table.c[name] for name in table.shown]
        with self._link.read(f"reading {self._target.table}") as connection:
            row = connection.execute(select(*columns).where(where_in(table, [place]))).first()
        return None if row is None else table.record(row)

    # ---- writing -------------------------------------------------------------------------------------------------

    def batch_size(self, kind: Kind) -> int:
        """Return how many rows go in one transaction."""
        del kind
        return BATCH if self._link.dialect in BULK else 1

    def create(self, change: Change) -> Written:
        """Insert the row."""
        written = self._alone(change)
        return written if isinstance(written, Written) else Written(None)

    def update(self, change: Change) -> Written:
        """Set the columns that differ."""
        written = self._alone(change)
        return written if isinstance(written, Written) else Written(change.target_id)

    def delete(self, change: Change) -> Accepted | None:
        """Remove the row, if it is there."""
        self._alone(change)
        return None

    def _alone(self, change: Change) -> Answer:
        rows, answers = self._rows([change])
        if rows:
            answers.update(self._together(rows))
        answer = answers[0]
        if isinstance(answer, EndpointError):
            raise answer
        return answer

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        """Carry out changes of one kind in one transaction, all that fit or none of them."""
        rows, answers = self._rows(changes)
        if rows:
            try:
                answers.update(self._together(rows))
            except RefusedError as error:
                raise WholeRefusedError(error, named=answers) from error
        return [answers[place] for place in range(len(changes))]

    def _rows(self, changes: Sequence[Change]) -> tuple[Sequence[Row], dict[int, Answer]]:
        """Return the changes with their values for the driver, and what is said of those that do not fit."""
        table = self._table()
        if table is None:
            raise ConfigError(self._absent())
        answers: dict[int, Answer] = {}
        rows: list[Row] = []
        for place, change in enumerate(changes):
            try:
                rows.append(_row(place, change, table))
            except RefusedError as error:
                answers[place] = error
        return rows, answers

    def _together(self, rows: Sequence[Row]) -> dict[int, Answer]:
        """Carry out the rows' changes in one transaction, all or none of them."""
        table = self._table()
        assert table is not None  # noqa: S101 - the rows were made for it
        kind = rows[0].change.kind
        doing = f"{_VERBS[kind]} {self._target.table}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._link.write(doing) as connection:
                    return carry_out(kind, connection, table, rows)
            except ContendedError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    # ---- for people ----------------------------------------------------------------------------------------------

    def shown(self, change: Change) -> tuple[Sending, ...]:
        """Return what would be sent for a change, as people may see it. Raises RefusedError for what does not fit."""
        try:
            table = self._table()
        except UnavailableError:
            table = None  # told already: it could not be asked for the record either
        if table is not None:
            _row(0, change, table)
        where = "" if change.kind is Kind.CREATE else f" {(change.target_id or '').replace(chr(31), '/')}"
        sent = (change.document or {}) if change.kind is Kind.CREATE else change.changed
        body = "" if change.kind is Kind.DELETE else msgspec.json.format(ENCODER.encode(sent).decode(), indent=0)
        url = f"{self._link.name}: {self._target.table}{where}"
        return (Sending(_VERBS[change.kind], url, {}, self._link.blot(body)),)


def _row(place: int, change: Change, table: BoundTable) -> Row:
    """Return a change with its values for the driver. Raises RefusedError, naming the column."""
    if change.kind is Kind.CREATE:
        values, target_id = table.new_row(change)
        return Row(place, change, values, (), target_id)
    at = table.place(change.target_id or "")
    values = table.values(change.changed) if change.kind is Kind.UPDATE else {}
    return Row(place, change, values, at if at is not None else (None,) * len(table.match))
