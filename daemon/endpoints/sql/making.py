"""A table that is made from what the job says of its columns, where it is not there."""

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Column, Connection, MetaData, Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import (
    CHAR,
    JSON,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Double,
    Integer,
    LargeBinary,
    Numeric,
    String,
    Text,
    TypeEngine,
    Uuid,
)

from daemon.spec import TableTarget

from .shape import split

_TYPES: Final[Mapping[str, TypeEngine[Any]]] = {
    "text": Text(),
    "integer": BigInteger().with_variant(Integer(), "sqlite"),
    "decimal": Numeric(),
    "float": Double(),
    "boolean": Boolean(create_constraint=False),
    "datetime": DateTime(timezone=True),
    "date": Date(),
    "json": JSON().with_variant(JSONB(), "postgresql"),
    "uuid": Uuid().with_variant(CHAR(36), "sqlite"),
    "bytes": LargeBinary(),
}


def make_table(connection: Connection, target: TableTarget) -> None:
    """Make the table, its match columns as primary key. One that somebody made meanwhile is left as it is."""
    schema, name = split(target.table)
    columns = (
        Column(column, _type(said), primary_key=column in target.matched, autoincrement=False)
        for column, said in target.columns.items()
    )
    Table(name, MetaData(), *columns, schema=schema).create(connection, checkfirst=True)


def _type(said: str) -> TypeEngine[Any]:
    numbers = [int(number) for number in re.findall(r"\d+", said)]
    if said.startswith("text(") and numbers:
        return String(numbers[0])
    if said.startswith("decimal(") and len(numbers) == 2:
        digits, scale = numbers
        decimal: TypeEngine[Any] = Numeric(digits, scale)
        return decimal
    return _TYPES[said]
