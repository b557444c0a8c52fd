"""A table as it stands in the database: its columns, what each takes, and what is unique in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

from sqlalchemy import Connection, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    DateTime,
    Double,
    Enum,
    Float,
    Integer,
    LargeBinary,
    NullType,
    Numeric,
    SmallInteger,
    String,
    TypeEngine,
)
from sqlalchemy.types import BigInteger as Big
from sqlalchemy.types import Uuid as UuidType

from . import figures
from .moments import Day, Moment
from .takes import Bytes, Choice, Many, Takes, Text, Tree, Truth, Uuid


@dataclass(frozen=True, slots=True)
class Column:
    """One column."""

    name: str
    says: str
    """Its type, as the database writes it."""
    takes: Takes
    type: TypeEngine[Any]
    """What SQLAlchemy is told of it: nothing on SQLite, where values go as they are."""
    nullable: bool
    filled: bool
    """Whether the database gives it a value where a new row has none."""
    computed: bool
    """Whether it can only be read."""

    @property
    def needed(self) -> bool:
        """Whether a new row must have a value for it."""
        return not (self.nullable or self.filled or self.computed)


@dataclass(frozen=True, slots=True)
class Shape:
    """A table's columns in their order, and what is unique."""

    name: str
    """With its schema where it has one."""
    columns: Mapping[str, Column]
    primary: tuple[str, ...]
    """The columns of the primary key; empty without one."""
    unique: tuple[frozenset[str], ...]
    """Each set of columns that is unique in the whole table, the primary key among them."""

    @property
    def told(self) -> str:
        """Its columns, for people."""
        return ", ".join(self.columns)


def split(table: str) -> tuple[str | None, str]:
    """Return the schema, None without one, and the name."""
    schema, _, name = table.rpartition(".")
    return schema or None, name


def reflect(connection: Connection, table: str, zone: tzinfo | None) -> Shape | None:
    """Return the table's shape; None when there is no such table."""
    schema, name = split(table)
    found = inspect(connection)
    try:
        columns = found.get_columns(name, schema=schema)
    except NoSuchTableError:
        return None
    primary = tuple(found.get_pk_constraint(name, schema=schema).get("constrained_columns") or ())
    unique = [frozenset(one["column_names"]) for one in found.get_unique_constraints(name, schema=schema)]
    for index in found.get_indexes(name, schema=schema):
        names = index.get("column_names") or []
        # One that leaves rows out, or is made of expressions, does not keep a key from coming twice.
        partial = any(
            option.endswith("_where") and value is not None
            for option, value in index.get("dialect_options", {}).items()
        )
        if index.get("unique") and not partial and None not in names and not index.get("expressions"):
            unique.append(frozenset(name for name in names if name is not None))
    dialect = connection.dialect.name
    return Shape(
        name=table,
        columns={one["name"]: _column(one, dialect, zone, primary) for one in columns},
        primary=primary,
        unique=tuple(dict.fromkeys([frozenset(primary), *unique] if primary else unique)),
    )


def _column(one: ReflectedColumn, dialect: str, zone: tzinfo | None, primary: tuple[str, ...]) -> Column:
    type_ = one["type"]
    # SQLite gives its row number to a primary key of this very type.
    counts = dialect == "sqlite" and primary == (one["name"],) and str(type_) == "INTEGER"
    takes = _takes(type_, dialect, zone)
    return Column(
        name=one["name"],
        says=_says(type_),
        takes=takes,
        type=_bound(type_, takes, dialect),
        nullable=bool(one.get("nullable", True)) and one["name"] not in primary,
        filled=one.get("default") is not None
        or bool(one.get("identity"))
        or one.get("autoincrement") is True
        or counts,
        computed=bool(one.get("computed")),
    )


def _says(type_: TypeEngine[Any]) -> str:
    return "of a type that is not known here" if isinstance(type_, NullType) else str(type_)


def _bound(type_: TypeEngine[Any], takes: Takes, dialect: str) -> TypeEngine[Any]:
    if dialect == "sqlite" or (isinstance(takes, Text) and not isinstance(type_, String)):
        return NullType()
    if isinstance(takes, Tree):
        # Without this a null would be kept as JSON's null, which is no NULL to the database.
        return postgresql.JSONB(none_as_null=True) if str(type_) == "JSONB" else JSON(none_as_null=True)
    return type_


_BITS: Final[tuple[tuple[type[TypeEngine[Any]], int], ...]] = ((SmallInteger, 16), (Big, 64), (Integer, 32))


_SIMPLE: Final[tuple[tuple[type[TypeEngine[Any]], Takes], ...]] = (
    (Boolean, Truth()),
    (LargeBinary, Bytes()),
    (UuidType, Uuid()),
)


def _takes(type_: TypeEngine[Any], dialect: str, zone: tzinfo | None) -> Takes:
    lite, has_nul = dialect == "sqlite", dialect != "postgresql"
    match type_:
        case ARRAY():
            return Many(_takes(type_.item_type, dialect, zone))
        case Enum():
            return Choice(tuple(type_.enums))
        case String():
            return Text(type_.length, has_nul=has_nul)
        case JSON():
            return Tree(figures.Exact(floats=True) if lite else None, has_nul=has_nul or str(type_) == "JSON")
    simple = next((takes for one, takes in _SIMPLE if isinstance(type_, one)), None)
    # What is not known here is given as text, and the database says what it thinks of it.
    return simple or _number_or_time(type_, lite, zone) or Text(None, has_nul=has_nul, identifies=False)


def _number_or_time(type_: TypeEngine[Any], lite: bool, zone: tzinfo | None) -> Takes | None:  # noqa: FBT001
    match type_:
        case Integer():
            bits = next(bits for one, bits in _BITS if isinstance(type_, one))
            return figures.Whole(64 if lite and bits == 32 else bits)
        case Float() | Double():
            return figures.Float()
        case Numeric():
            scale = type_.scale if type_.precision is not None else None
            return figures.Exact(type_.precision, scale, floats=lite)
        case DateTime():
            digits = getattr(type_, "precision", None)
            return Moment(bool(type_.timezone), zone, 6 if digits is None else digits, as_text=lite)
        case Date():
            return Day(as_text=lite)
        case _:
            return None
