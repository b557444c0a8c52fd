"""`crudsd schedule`: what lies ahead, without state, network or secrets."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from daemon.cli import main
from daemon.errors import Exit


def job(schedule: dict[str, Any] | None) -> dict[str, Any]:
    sides = {"source": {"connection": "hr", "read": "people"}, "target": {"connection": "hr", "create": "users"}}
    return {"mode": "append", "key": "record.id", "map": {"a": "record.a"}, **sides} | (
        {} if schedule is None else {"schedule": schedule}
    )


@pytest.fixture
def config(tmp_path: Path) -> Path:
    auth = {"type": "bearer", "token": {"env": "NOT_SET_ANYWHERE"}}
    jobs = {
        "nightly": job({"cron": "30 2 * * *", "timezone": "Europe/Berlin", "jitter": "10m"}),
        "often": job({"every": "15m"}),
        "then": job({"after": "often"}),
        "once": job({"at": ["2001-01-01T00:00"]}),
        "asked": job(None),
    }
    file = tmp_path / "crudsd.yaml"
    connections = {"hr": {"host": "a.test", "auth": auth}}
    file.write_text(yaml.safe_dump({"version": 1, "connections": connections, "jobs": jobs}, sort_keys=False))
    return file


def told(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["--config", str(config), "schedule", *words]) == Exit.DONE
    return capsys.readouterr().out


def test_each_job_has_a_line_with_its_next_start(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(config, capsys).splitlines()

    assert lines[0].split("  ")[0] == "JOB"
    cells = {line.split()[0]: line for line in lines[1:]}
    assert list(cells) == ["nightly", "often", "then", "once", "asked"]
    assert "cron 30 2 * * * (Europe/Berlin)" in cells["nightly"]
    assert "every 15 min 00 s" in cells["often"]
    assert "after often has ended well" in cells["then"]
    assert cells["once"].split()[-2:] == ["-", "-"]
    assert "only when asked" in cells["asked"]
    assert [path.name for path in config.parent.iterdir()] == ["crudsd.yaml"], "no state was made"


def test_one_job_shows_its_next_starts_in_its_zone_and_its_delay(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = told(config, capsys, "nightly", "--limit", "3").splitlines()

    assert lines[0] == "nightly: cron 30 2 * * * (Europe/Berlin)"
    assert lines[1].startswith("  each start is ")
    assert len(lines) == 5
    assert all(" 02:3" in line and line.endswith(" UTC") for line in lines[2:])


def test_moments_that_have_passed_are_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(config, capsys, "once").splitlines() == ["once: at 1 moment (UTC)", "  all its moments have passed"]


def test_json_has_fire_times_and_starts(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = datetime.now(UTC)

    jobs = {one["job"]: one for one in json.loads(told(config, capsys, "--json", "--limit", "2"))["jobs"]}

    often = [datetime.fromisoformat(fire["starts_at"]) for fire in jobs["often"]["fires"]]
    assert before < often[0] <= before + timedelta(minutes=16)
    assert often[1] - often[0] == timedelta(minutes=15)
    nightly = jobs["nightly"]
    late = datetime.fromisoformat(nightly["fires"][0]["starts_at"]) - datetime.fromisoformat(
        nightly["fires"][0]["fire_time"]
    )
    assert late.total_seconds() == nightly["delay_s"] > 0
    assert (jobs["asked"]["schedule"], jobs["asked"]["fires"], jobs["once"]["fires"]) == (None, [], [])


def test_a_job_that_is_not_there_is_named_with_the_nearest(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(config), "schedule", "nightyl"]) == Exit.USAGE
    assert "did you mean nightly?" in capsys.readouterr().err
