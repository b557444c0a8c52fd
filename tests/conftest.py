"""What every test gets, no way to the outside network; what it may ask for, real servers shared by all."""

import contextlib
import ipaddress
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.servers.faketime import Faketime
    from tests.servers.fiu import Fiu
    from tests.servers.kinto import Kinto
    from tests.servers.oidc import Oidc
    from tests.servers.pocketbase import PocketBase
    from tests.servers.postgres import Postgres
    from tests.servers.pouchdb import PouchDB
    from tests.unit.endpoints.databases import Place

pytest_plugins = ["tests.watch"]

# Machines are shared and slow at times; that an example takes long is no fault.
hypothesis.settings.register_profile("crudsd", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "crudsd")

# Some hundred processes are started, each of which would compile the program anew where this is set. Before
# pytest-xdist starts its workers: they inherit it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

NUMBERS = (" points", " of the model")
"""How the names of properties end that are told as numbers in the end."""


class OutsideNetworkError(RuntimeError):
    """A test tried to leave this machine. No OSError: nothing shall take it for an outage and try again."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `make faults` ask for everything where `make test` takes a spread, and `make e2e` for a real systemd."""
    parser.addoption("--long", action="store_true", help="try every crash point, and not a spread of them")
    parser.addoption(
        "--box", action="append", metavar="RELEASE", help="boot this Debian for tests/systemd (bookworm or trixie)"
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say at how many points a process was struck, and how long the model ran: each test notes its own numbers."""
    points: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                points.update({name: value for name, value in report.user_properties if name.endswith(NUMBERS)})
    for name, number in sorted(points.items()):
        terminalreporter.write_line(f"{number:6,} {name}")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether everything is to be tried."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session", autouse=True)
def loopback_only() -> Iterator[None]:
    """Refuse every connection that does not stay on this machine."""

    def guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
        def stay_here(self: socket.socket, address: Any) -> Any:
            if not is_local(self.family, address):
                self.close()  # its owner tidies up after an OSError only
                raise OutsideNetworkError(f"a test may not connect to {address}")
            return connect(self, address)

        return stay_here

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        yield


def is_local(family: int, address: Any) -> bool:
    """Whether a socket address stays on this machine."""
    if family == socket.AF_UNIX:
        return True
    host = address[0].partition("%")[0]
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"", "localhost"}


# The servers below start when the first test asks for them, in each worker of pytest-xdist; tests that do are marked
# `servers`. They are shared: a test works in a collection of its own and clears a journal before counting.


@pytest.fixture(scope="session")
def kinto(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Kinto"]:
    """A running Kinto; see tests/servers/kinto.py."""
    from tests.servers.kinto import Kinto

    yield from started(lambda: Kinto(tmp_path_factory.mktemp("kinto")))


@pytest.fixture(scope="session")
def pocketbase(tmp_path_factory: pytest.TempPathFactory) -> Iterator["PocketBase"]:
    """A running PocketBase; see tests/servers/pocketbase.py."""
    from tests.servers.pocketbase import PocketBase

    yield from started(lambda: PocketBase(tmp_path_factory.mktemp("pocketbase")))


@pytest.fixture(scope="session")
def pouchdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator["PouchDB"]:
    """A running PouchDB server; see tests/servers/pouchdb.py."""
    from tests.servers.pouchdb import PouchDB

    yield from started(lambda: PouchDB(tmp_path_factory.mktemp("pouchdb")))


@pytest.fixture(scope="session")
def oidc(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Oidc"]:
    """A running oidc-provider; see tests/servers/oidc.py."""
    from tests.servers.oidc import Oidc

    yield from started(lambda: Oidc(tmp_path_factory.mktemp("oidc")))


@pytest.fixture(scope="session")
def postgres() -> Iterator["Postgres"]:
    """A running PostgreSQL; see tests/servers/postgres.py."""
    from tests.servers.postgres import Postgres

    yield from started(Postgres)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """What `state:` says: an empty state database of either kind, so that a test runs on both.

    On PostgreSQL the tables are there already; `schema.upgrade` does nothing then.
    """
    if request.param == "sqlite":
        return str(tmp_path / "state.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.state_database())


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def bare_state_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same of a database without tables, which the test may leave as it likes."""
    if request.param == "sqlite":
        return str(tmp_path / "state.db")
    server: Postgres = request.getfixturevalue("postgres")
    return server.url(server.empty_database())


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.servers)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator["Place"]:
    """A database of a job, without tables, of either kind, so that a test runs on both."""
    from tests.unit.endpoints.databases import PostgresPlace, SqlitePlace, emptied

    if request.param == "sqlite":
        yield SqlitePlace(tmp_path / "data.db")
        return
    server: Postgres = request.getfixturevalue("postgres")
    with emptied(PostgresPlace(server, request.getfixturevalue("job_database"))) as made:
        yield made


@pytest.fixture(scope="session")
def job_database(postgres: "Postgres") -> str:
    """The one database of a PostgreSQL server that jobs' tables are made in."""
    return postgres.empty_database()


@pytest.fixture(scope="session")
def fiu() -> Iterator["Fiu"]:
    """What lets the disk fail; see tests/servers/fiu.py."""
    from tests.servers.fiu import Fiu

    yield from started(lambda: contextlib.nullcontext(Fiu()))


@pytest.fixture(scope="session")
def faketime() -> Iterator["Faketime"]:
    """What sets the clock of a program; see tests/servers/faketime.py."""
    from tests.servers.faketime import Faketime

    yield from started(lambda: contextlib.nullcontext(Faketime()))


def started(make: Callable[[], Any]) -> Iterator[Any]:
    """Run a server while the tests last. Not installed: skip with the reason, or fail if `CI` is set."""
    from tests.servers.process import NotInstalledError

    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(make())
        except NotInstalledError as missing:
            if os.environ.get("CI"):
                pytest.fail(str(missing))
            pytest.skip(str(missing))
        yield server
