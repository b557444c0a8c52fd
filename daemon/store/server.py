"""A PostgreSQL server as the state database: how its address is read, and what every connection is told first."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from daemon.errors import ConfigError, StateError

from .trouble import server_message

if TYPE_CHECKING:
    from psycopg import Connection

POOL = 5
"""Connections that are kept open. A transaction takes milliseconds, and a server's connections are dear."""
OVERFLOW = 5
"""Connections beyond those, closed after use."""
IDLE_S = 60.0
"""After how long the server ends a transaction whose process stands still: it holds rows that a successor needs. A
process that is really at work asks many times a second."""

_LINK = {
    "application_name": "crudsd",
    "client_encoding": "utf8",
    "connect_timeout": "10",
    # Without these a server that vanished from the network is waited for, for two hours or for ever.
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}
"""How libpq is to keep the line, as far as the address says nothing of it."""
_SHOWN = ("host", "port", "service")
"""What the query of an address may hold and messages may show."""
_SETTINGS = (
    "SELECT set_config('lock_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false), "
    # A commit is durable when it returns: what the journal calls sent must be known after a power cut.
    "set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on' "
    "ELSE current_setting('synchronous_commit') END, false), "
    # A plan that was made while a table was empty, and kept, walked all links for each one: 1.5 ms a row after 4,000.
    "set_config('plan_cache_mode', 'force_custom_plan', false), "
    "set_config('default_transaction_read_only', CASE %s WHEN 'yes' THEN 'on' "
    "ELSE current_setting('default_transaction_read_only') END, false)"
)


def open_engine(address: str, *, read_only: bool, busy_timeout_s: float) -> tuple[Engine, str]:
    """Return an engine for a `postgresql://` address, and how messages call the place: without any password.

    Asks the server nothing yet. With `read_only`, the server will refuse whatever writes. A lock is waited for as long
    as `busy_timeout_s`. Raises ConfigError for an address that cannot be one, and when the driver is not installed.
    """
    try:
        url = make_url(address)
        if url.drivername not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ConfigError(f"state: {url.drivername}:// is not supported; write a path, or postgresql://host/name")
        if "@" in (url.host or ""):
            # What stands before it is the end of a password, which must not come into any message.
            raise ConfigError("state: an @ in the password must be written as %40")
        link = {name: value for name, value in _LINK.items() if name not in url.query}
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            pool_size=POOL,
            max_overflow=OVERFLOW,
            pool_timeout=busy_timeout_s,
            connect_args=link,
        )
    except (ArgumentError, NoSuchModuleError, ValueError):
        # From none of them: their text may quote the address, and with it a password.
        raise ConfigError("state: this is not an address of a database; write postgresql://host/name") from None
    except ImportError as error:
        raise ConfigError("state: PostgreSQL needs its driver; run `pip install 'crudsd[postgres]'`") from error
    location = _location(url)
    waits = [f"{max(round(seconds * 1000), 1)}ms" for seconds in (busy_timeout_s, IDLE_S)]
    _prepare_connections(engine, location, (*waits, "yes" if read_only else "no"))
    return engine, location


def _location(url: URL) -> str:
    query = {name: url.query[name] for name in _SHOWN if name in url.query}
    shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    return shown.render_as_string(hide_password=True)


def _prepare_connections(engine: Engine, location: str, settings: tuple[str, ...]) -> None:
    # Only here, and only now: whoever keeps the state in a file needs no driver.
    import psycopg  # noqa: PLC0415

    from .texts import keep_nul_characters  # noqa: PLC0415

    @event.listens_for(engine, "connect")
    def prepare(connection: "Connection[Any]", _: object) -> None:
        encoding = connection.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise ConfigError(
                f"{location}: the database's encoding is {encoding}, which cannot hold every text; make one with "
                "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            )
        keep_nul_characters(connection)
        try:
            connection.execute(_SETTINGS, settings)
            connection.commit()
        except psycopg.Error as error:
            raise StateError(server_message(location, error)) from None
