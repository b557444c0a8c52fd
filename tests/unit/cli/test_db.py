"""`crudsd db` as an operator meets it."""

import json
import os
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from daemon.cli import main
from daemon.clock import utc_clock
from daemon.errors import Exit
from daemon.store import schema
from daemon.store.database import open_database
from daemon.store.leases import Leases
from daemon.store.owner import Owner


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "crudsd.yaml"
    file.write_text(yaml.safe_dump({"version": 1, "retention": {"runs": "1d", "changes": "1d"}}))
    return file


def db(config: Path, *words: str) -> int:
    return main(["--config", str(config), "db", *words])


def test_before_the_first_use_there_is_nothing_to_look_at(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["check"], ["backup", str(config.with_name("copy.db"))], ["prune"]):
        assert db(config, *words) != Exit.DONE
        assert "`crudsd db upgrade`" in capsys.readouterr().err
    assert [path.name for path in config.parent.iterdir()] == ["crudsd.yaml"]


def test_a_sound_state_is_looked_at_copied_and_pruned(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = config.with_name("copy.db")
    assert db(config, "upgrade") == Exit.DONE
    with closing(sqlite3.connect(config.with_name("crudsd.db"))) as connection, connection:
        connection.executemany(
            "INSERT INTO runs (id, job, trigger, revision, phase, ending, counts, created_at, ended_at) "
            "VALUES (?, 'people', 'schedule', 'r', 'over', 'failed', '{}', '2001-01-01', '2001-01-01')",
            [(f"{number:03}",) for number in range(30)],
        )
    capsys.readouterr()

    assert db(config, "check") == Exit.DONE
    assert "✓ file: every page and index is sound" in capsys.readouterr().out
    assert db(config, "backup", str(copy)) == Exit.DONE
    assert "written and checked" in capsys.readouterr().out
    assert db(config, "backup", str(copy)) == Exit.USAGE
    assert db(config, "prune") == Exit.DONE
    assert "10 runs and 0 changes were forgotten." in capsys.readouterr().out
    assert db(config, "check", "--json") == Exit.DONE
    told = json.loads(capsys.readouterr().out)
    assert (told["sound"], told["state"]) == (True, str(config.with_name("crudsd.db")))


def test_a_state_that_may_not_be_used_ends_with_1(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db(config, "upgrade")
    with closing(sqlite3.connect(config.with_name("crudsd.db"))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
    capsys.readouterr()

    assert db(config, "check") == Exit.ERROR
    assert "✗ schema: is 0001" in capsys.readouterr().out


def test_a_service_upgrades_nothing_by_a_configuration_that_is_no_good(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text("version: 1\nstaet: x.db\n")

    assert main(["--config", str(config), "serve", "--upgrade"]) == Exit.CONFIG

    assert "staet" in capsys.readouterr().err
    assert [path.name for path in config.parent.iterdir()] == ["crudsd.yaml"]


def test_an_upgrade_under_a_service_is_refused_with_its_name(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = config.with_name("crudsd.db")
    with open_database(place) as database:
        schema.upgrade(database)
        with database.write() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0003'")
        Leases(database, utc_clock, Owner.here()).acquire("service")

        assert db(config, "upgrade") == Exit.LOCKED

    assert f"service: held by {socket.gethostname()}, process {os.getpid()}" in capsys.readouterr().err
