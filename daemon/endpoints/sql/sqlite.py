"""SQLite as a system: what its connections are told, and how it gives back what it keeps without a type."""

import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from daemon.sync.canonical import decode


def sqlite_engine(file: Path, *, lock_s: float) -> Engine:
    """Return an engine for a file, which is not made here. A lock is waited for as long as `lock_s`."""
    _give_types()
    address = f"file:{quote(str(file.absolute()))}?mode=rw"

    def connect() -> sqlite3.Connection:
        # isolation_level=None: the driver begins nothing by itself; the hook below does, with the lock we ask for.
        connection = sqlite3.connect(
            address,
            uri=True,
            timeout=lock_s,
            isolation_level=None,
            check_same_thread=False,
            detect_types=sqlite3.PARSE_DECLTYPES,
        )
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, max_overflow=-1, hide_parameters=True)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("crudsd_begin", "BEGIN"))

    return engine


def _give_types() -> None:
    """Say how a column's declared type makes a value of what SQLite keeps for it.

    For this process, and for connections that ask for it (`detect_types`): ours to a job's databases, and no others.
    Those for dates stand in place of the driver's own, which do not know what offsets are.
    """
    for name in ("json", "jsonb"):
        sqlite3.register_converter(name, _json)
    for name in ("boolean", "bool"):
        sqlite3.register_converter(name, _boolean)
    for name in ("numeric", "decimal"):
        sqlite3.register_converter(name, _number)
    for name in ("date", "timestamp", "datetime"):
        sqlite3.register_converter(name, bytes.decode)


def _json(stored: bytes) -> Any:
    try:
        return decode(stored)
    except ValueError:
        return stored.decode()  # a column of this type may hold anything


def _boolean(stored: bytes) -> Any:
    return {b"0": False, b"1": True}.get(stored, stored.decode())


def _number(stored: bytes) -> Any:
    text = stored.decode()
    try:
        return int(text) if text.lstrip("-").isdigit() else Decimal(text)
    except ArithmeticError:
        return text
