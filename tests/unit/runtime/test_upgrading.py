"""A state of an older crudsd is brought to this version's schema: whole or not at all, and with nobody else at work."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from daemon.clock import utc_clock
from daemon.errors import ConfigError, LeaseLostError, LockedError
from daemon.logs import get_logger
from daemon.runtime.notify import Notifier, Patience
from daemon.runtime.upgrading import Upgraded, upgrade
from daemon.store import schema
from daemon.store.database import Database, open_database
from daemon.store.health import Verdict, check
from daemon.store.leases import Leases, job_lease
from daemon.store.owner import Owner
from daemon.store.statements import execute
from daemon.store.tables import metadata
from tests.unit.store.places import ready

BEFORE = "0003"
QUIET = Notifier({})


def old(path: Path | str) -> Database:
    """Return a state as an older crudsd left it, with some history."""
    database = open_database(path)
    with database.migrate() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parents[3] / "migrations"))
        config.attributes.update(connection=connection, metadata=metadata)
        command.upgrade(config, BEFORE)
    with database.write() as connection:
        for number in range(300):
            execute(
                connection,
                "INSERT INTO runs (id, job, trigger, revision, phase, ending, counts, created_at, ended_at) "
                "VALUES (?, 'people', 'schedule', 'r', 'over', 'done', '{}', '2026-01-01', '2026-01-01')",
                (f"{number:03}",),
            )
    return database


def runs(database: Database) -> int:
    with database.read() as connection:
        return int(execute(connection, "SELECT count(*) FROM runs").scalar_one())


def is_sound(database: Database) -> bool:
    with database.read() as connection:
        return connection.exec_driver_sql("PRAGMA integrity_check").scalars().all() == ["ok"]


def upgraded(database: Database, *, notifier: Notifier = QUIET, keeps_copy: bool = True) -> Upgraded:
    return upgrade(database, clock=utc_clock, log=get_logger(), notifier=notifier, keeps_copy=keeps_copy)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Database]:
    with old(tmp_path / "state.db") as database:
        yield database


def test_an_older_state_is_copied_and_then_upgraded(state: Database, tmp_path: Path) -> None:
    copy = tmp_path / f"state.db.before-{schema.head()}"
    copy.write_text("of an attempt before")

    done = upgraded(state)

    assert done == Upgraded(BEFORE, schema.head(), copy)
    assert (schema.current(state), runs(state)) == (schema.head(), 300)
    with open_database(copy, read_only=True) as before:
        assert (schema.current(before), runs(before)) == (BEFORE, 300)
    assert sorted(path.name for path in tmp_path.iterdir() if "before" in path.name) == [copy.name]
    assert copy.stat().st_mode & 0o777 == 0o600
    assert Leases(state, utc_clock, Owner.here()).holders() == {}


def test_a_state_of_today_is_left_alone(tmp_path: Path) -> None:
    with ready(tmp_path / "state.db") as database:
        assert upgraded(database) == Upgraded(schema.head(), schema.head())

    assert [path.name for path in tmp_path.iterdir() if "before" in path.name] == []


def test_a_state_that_is_new_gets_its_tables(bare_state_url: str) -> None:
    with open_database(bare_state_url) as database:
        assert upgraded(database) == Upgraded(None, schema.head())
        schema.check(database)


def test_a_state_of_a_later_crudsd_is_refused(tmp_path: Path) -> None:
    with ready(tmp_path / "state.db") as database:
        with database.write() as connection:
            execute(connection, "UPDATE alembic_version SET version_num = '9999'")

        with pytest.raises(ConfigError, match="ahead: it is 9999"):
            upgraded(database)


def test_a_state_on_a_server_is_upgraded_without_a_copy(bare_state_url: str) -> None:
    with old(bare_state_url) as database:
        done = upgraded(database)

        assert (done.before, done.after, done.copy is None) == (BEFORE, schema.head(), database.file is None)
        assert runs(database) == 300


@pytest.mark.parametrize("lease", ["service", job_lease("people")])
def test_nothing_is_upgraded_under_somebody_at_work(state: Database, tmp_path: Path, lease: str) -> None:
    Leases(state, utc_clock, Owner.here()).acquire(lease)

    with pytest.raises(LockedError, match=f"{lease}: held by .*process {os.getpid()}"):
        upgraded(state)

    assert schema.current(state) == BEFORE
    assert [path.name for path in tmp_path.iterdir() if "before" in path.name] == []
    assert set(Leases(state, utc_clock, Owner.here()).holders()) == {lease}


def test_nothing_is_upgraded_by_one_who_slept_until_another_took_over(
    state: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slept(database: Database, path: Path, *, tick: object) -> None:
        with database.write() as connection:
            execute(connection, "UPDATE leases SET owner = 'another', fence = fence + 1")

    monkeypatch.setattr("daemon.runtime.upgrading.replace_backup", slept)

    with pytest.raises(LeaseLostError):
        upgraded(state)

    assert schema.current(state) == BEFORE


# ---- what systemd hears ----


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        ears.bind(str(tmp_path / "notify"))
        ears.setblocking(False)
        yield ears


def test_systemd_is_asked_for_time_before_anything_long_begins(
    state: Database, tmp_path: Path, systemd: socket.socket
) -> None:
    upgraded(state, notifier=Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}))

    said = systemd.recv(4096).decode().splitlines()
    assert said == [
        "EXTEND_TIMEOUT_USEC=300000000",
        f"STATUS=upgrading the state database from schema {BEFORE} to {schema.head()}",
    ]


def test_systemd_is_asked_again_only_after_a_while(tmp_path: Path, systemd: socket.socket) -> None:
    patience = Patience(Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}), "at work")

    for _ in range(1000):
        patience()

    systemd.recv(4096)
    with pytest.raises(BlockingIOError):
        systemd.recv(4096)


# ---- killed in its middle ----

STRUCK = """
import os, signal, sys
from daemon.clock import utc_clock
from daemon.logs import get_logger
from daemon.runtime import upgrading
from daemon.runtime.notify import Notifier
from daemon.store import database, schema

at, ticks = int(sys.argv[2]), 0
database._TICK_OPERATIONS = 50

class Struck(upgrading.Patience):
    def __call__(self):
        global ticks
        ticks += 1
        if ticks == at:
            os.kill(os.getpid(), signal.SIGKILL)

upgrading.Patience = Struck
with database.open_database(sys.argv[1]) as state:
    upgrading.upgrade(state, clock=utc_clock, log=get_logger(), notifier=Notifier({}), keeps_copy=True)
print(ticks)
"""


def struck(place: Path, at: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", STRUCK, str(place), str(at)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[3],
    )


def test_killed_at_any_point_it_leaves_a_state_that_the_next_start_upgrades(tmp_path: Path, long: bool) -> None:
    whole = tmp_path / "whole.db"
    old(whole).close()
    place = tmp_path / "state.db"
    old(place).close()
    clean = struck(whole, 0)
    ticks = int(clean.stdout.splitlines()[-1])
    assert ticks > 50, clean.stderr

    for at in range(1, ticks + 1, 1 if long else ticks // 4):
        assert struck(place, at).returncode == -signal.SIGKILL
        with open_database(place) as database:
            assert (schema.current(database), runs(database)) == (BEFORE, 300)
            assert is_sound(database)

    with open_database(place) as database:
        upgraded(database)
        schema.check(database)
        assert runs(database) == 300
        assert {finding.verdict for finding in check(database)} == {Verdict.OK}
