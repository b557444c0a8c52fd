"""Between records and rows of one table: what identifies a row, what a document sets, what a row holds.

A target id is the text of the match columns as a key would write it, with the separator of compound keys between them.
So a link leads to its row without another look, and a row is found by its key alone.
"""

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Column as SqlColumn
from sqlalchemy import MetaData, Table

from daemon.errors import RefusedError
from daemon.sync.canonical import key_text
from daemon.sync.change import Change
from daemon.sync.ports import TargetRecord
from daemon.values import MISSING, Document, Json

from .figures import Whole
from .given import given
from .shape import Column, Shape, split
from .takes import Text, same_texts

SEPARATOR: Final = "\x1f"
"""As in keys of several parts (`canonical.key_text`)."""


class BoundTable:
    """A table as one job uses it. Threads may share it."""

    def __init__(
        self,
        system: str,
        shape: Shape,
        match: Sequence[str],
        *,
        shown: Sequence[str] | None,
        version: str | None,
        zone: tzinfo | None,
    ) -> None:
        schema, name = split(shape.name)
        self.system = system
        self.shape = shape
        self.match = tuple(match)
        self.version = version
        self._zone = zone
        self.table = Table(
            name, MetaData(), *(SqlColumn(one.name, one.type) for one in shape.columns.values()), schema=schema
        )
        wanted = shape.columns if shown is None else dict.fromkeys([*match, *shown, *([version] if version else [])])
        self.shown = tuple(wanted)
        """The columns that are read of a row."""
        self.inserts: dict[tuple[str, ...], tuple[str, tuple[str, ...]]] = {}
        """By the columns of a row, the statement that inserts it, and the order of its values."""
        self._needed = tuple(one.name for one in shape.columns.values() if one.needed)
        self._binds = {
            one.name: (getattr(one.takes, "as_is", None), one.takes.bind)
            for one in shape.columns.values()
            if not one.computed
        }
        """For each column that may be set: values of which type are taken without a look, and how others are taken."""

    @property
    def keys(self) -> list[Any]:
        """The match columns, for statements."""
        return [self.table.c[name] for name in self.match]

    # ---- from rows -----------------------------------------------------------------------------------------------

    def record(self, row: Sequence[Any]) -> TargetRecord | None:
        """Return a row of the shown columns as a record; None where its match columns identify nothing."""
        document = {name: given(value, self._zone) for name, value in zip(self.shown, row, strict=True)}
        return self._identified(document)

    def _identified(self, document: Mapping[str, Json]) -> TargetRecord | None:
        parts = [document[name] for name in self.match]
        try:
            match = key_text(parts)
        except ValueError:
            return None
        version = document[self.version] if self.version is not None else None
        return TargetRecord(self._identity(parts), match, document, None if version is None else text_of(version))

    def identity_of(self, row: Sequence[Any]) -> str:
        """Return the id of a row of the match columns."""
        return self._identity([given(value, self._zone) for value in row])

    def _identity(self, parts: Sequence[Json]) -> str:
        texts = []
        for name, part in zip(self.match, parts, strict=True):
            text = text_of(part)
            value = self._column(name).takes.key(text)
            # The one kind of value that has several texts.
            texts.append(str(value) if isinstance(value, UUID) else text)
        return SEPARATOR.join(texts)

    # ---- from keys and ids ---------------------------------------------------------------------------------------

    def forms(self, key: str) -> tuple[tuple[Any, ...], ...]:
        """Return, for each match column, the values that this key may have there; empty when it has none."""
        parts = key.split(SEPARATOR)
        if len(parts) != len(self.match):
            return ()
        found = []
        for name, part in zip(self.match, parts, strict=True):
            takes = self._column(name).takes
            texts = same_texts(part) if isinstance(takes, Text) else (part,)
            found.append(tuple(value for text in texts if (value := takes.key(text)) is not None))
        return tuple(found) if all(found) else ()

    def place(self, target_id: str) -> tuple[Any, ...] | None:
        """Return the values of the match columns of this id; None for one that no row can have."""
        parts = target_id.split(SEPARATOR)
        if len(parts) != len(self.match):
            return None
        values = tuple(self._column(name).takes.key(part) for name, part in zip(self.match, parts, strict=True))
        return None if None in values else values

    def is_among(self, target_id: str, forms: tuple[tuple[Any, ...], ...]) -> bool:
        """Say whether this is the id of a row that such a key leads to."""
        place = self.place(target_id)
        return place is not None and all(value in form for value, form in zip(place, forms, strict=True))

    def version_value(self, text: str) -> Any:
        """Return a version for the driver."""
        assert self.version is not None  # noqa: S101 - asked only where there is one
        return self._column(self.version).takes.key(text)

    # ---- from documents ------------------------------------------------------------------------------------------

    def new_row(self, change: Change) -> tuple[dict[str, Any], str]:
        """Return the values of a new row, and its id. Raises RefusedError, naming the column."""
        document = change.document or {}
        row = self.values(document)
        for name in self._needed:
            if name not in row:
                raise self._refused(name, "nothing came, and it takes no null and has no default")
        if self._is_keyed(change.key, document):
            return row, change.key
        self._belongs(change.key, document)
        return row, self.id_after(change)

    def values(self, document: Document) -> dict[str, Any]:
        """Return the values that these fields set, by column. Raises RefusedError, naming the column."""
        row: dict[str, Any] = {}
        try:
            for name, value in document.items():
                as_is, bind = self._binds[name]
                row[name] = value if type(value) is as_is else self._null(name) if value is None else bind(value)
        except (KeyError, ValueError):  # one of them does not fit, and is named
            return {name: self._value(name, value) for name, value in document.items()}
        return row

    def id_after(self, change: Change) -> str:
        """Return the id of the change's row once the change is made."""
        set_ = change.changed if change.target_id is not None else (change.document or {})
        before = (change.target_id or "").split(SEPARATOR)
        before = before if len(before) == len(self.match) else [""] * len(self.match)
        return self._identity([set_.get(name, part) for name, part in zip(self.match, before, strict=True)])

    def _is_keyed(self, key: str, document: Document) -> bool:
        """Say whether the key stands in the one match column just as it is: then the row belongs, and is called so.

        False says nothing.
        """
        if len(self.match) != 1 or not key.isascii() or SEPARATOR in key:
            return False
        takes, value = self._column(self.match[0]).takes, document.get(self.match[0])
        is_whole = type(value) is int and isinstance(takes, Whole) and str(value) == key
        return is_whole or (value == key and type(value) is str and isinstance(takes, Text))

    def _belongs(self, key: str, document: Document) -> None:
        """Refuse a row that its own key would not find: made again after a lost answer, it would be another one."""
        parts = [document.get(name, MISSING) for name in self.match]
        for name, part in zip(self.match, parts, strict=True):
            if part is MISSING or part is None:
                raise self._refused(name, "nothing came, and it is what identifies the row")
        forms = self.forms(key)
        if not forms or not self.is_among(self._identity(parts), forms):
            shown = "/".join(map(text_of, parts))
            raise RefusedError(
                f"{self._here}: {', '.join(self.match)} would be {shown}, and the record's key is "
                f"{key.replace(SEPARATOR, '/')}; map the key into target.match, its parts in the same order",
                status=422,
            )

    def _value(self, name: str, value: Json) -> Any:
        column = self.shape.columns.get(name)
        if column is None:
            raise self._refused(name, f"there is no such column; it has {self.shape.told}")
        if column.computed:
            raise self._refused(name, "it is computed by the database and can only be read")
        if value is None:
            return self._null(name)
        try:
            return column.takes.bind(value)
        except ValueError as error:
            raise self._refused(name, f"it takes {column.takes.words}, and what came is {error}") from None

    def _null(self, name: str) -> Any:
        if self._column(name).nullable:
            return None
        raise self._refused(name, "null came, and it takes none")

    def _column(self, name: str) -> Column:
        return self.shape.columns[name]

    @property
    def _here(self) -> str:
        return f"{self.system}: {self.shape.name}"

    def _refused(self, name: str, why: str) -> RefusedError:
        return RefusedError(f"{self._here}.{name}: {why}", status=422)


def text_of(value: Json) -> str:
    """Return a value's text: a number's by its value, a text as it is."""
    if isinstance(value, str):
        return value
    try:
        return key_text(value)
    except ValueError:
        return str(value)
