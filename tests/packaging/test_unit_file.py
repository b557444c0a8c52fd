"""The systemd unit: it parses, systemd accepts it, and it stays as narrow as it was."""

import shutil
import subprocess
from pathlib import Path

import pytest

from daemon.errors import Exit
from daemon.spec.secrets import SECRETS
from daemon.store.database import BUSY_TIMEOUT_S
from daemon.store.leases import TTL_S

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "crudsd.service"
EXPOSURE = 15
"""Ten times the score that may not be passed: 1.5, where 0 allows nothing and 10 everything."""

ANALYZE = shutil.which("systemd-analyze")
SYSUSERS = shutil.which("systemd-sysusers")

Sections = dict[str, dict[str, list[str]]]


def parsed(text: str) -> Sections:
    """Read a unit: sections, and in them every value of each key, since keys may repeat."""
    sections: Sections = {}
    for number, line in enumerate(text.splitlines(), 1):
        content = line.strip()
        if not content or content.startswith("#"):
            continue
        if content.startswith("["):
            sections[content.strip("[]")] = {}
            continue
        key, sign, value = content.partition("=")
        assert sign, f"line {number} is no assignment: {line}"
        list(sections.values())[-1].setdefault(key, []).append(value)
    return sections


@pytest.fixture
def service() -> dict[str, list[str]]:
    return parsed(UNIT.read_text())["Service"]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The unit as systemd-analyze can judge it here, where crudsd is not installed under /opt."""
    lines = UNIT.read_text().splitlines()
    stand_in = f"ExecStart={shutil.which('true')}"
    place = tmp_path / UNIT.name
    place.write_text("\n".join(stand_in if line.startswith("ExecStart=") else line for line in lines))
    return place


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if ANALYZE is None:
        pytest.skip("systemd-analyze is not installed here")
    return subprocess.run([ANALYZE, *arguments], capture_output=True, text=True, timeout=60, check=False)


def seconds(text: str) -> float:
    units = {"s": 1.0, "min": 60.0}
    number, unit = text.rstrip("smin"), text.lstrip("0123456789")
    return float(number) * units[unit or "s"]


def test_systemd_accepts_every_line(copy: Path) -> None:
    verdict = analyze("verify", "--man=no", str(copy))

    assert (verdict.returncode, verdict.stderr) == (0, "")


def test_the_service_is_exposed_no_more_than_it_was(copy: Path) -> None:
    verdict = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", str(copy))

    assert verdict.returncode == 0, verdict.stdout


def test_the_service_starts_the_installed_command(service: dict[str, list[str]]) -> None:
    assert service["Type"] == ["notify"]
    assert service["ExecStart"] == ["/opt/crudsd/bin/crudsd serve --config /etc/crudsd/crudsd.yaml"]


def test_a_bad_configuration_does_not_restart_all_night(service: dict[str, list[str]]) -> None:
    (statuses,) = service["RestartPreventExitStatus"]

    assert {str(int(Exit.CONFIG)), str(int(Exit.USAGE))} <= set(statuses.split())


def test_systemd_waits_longer_than_the_service_drains(service: dict[str, list[str]]) -> None:
    from daemon.runtime.work import Capacity

    (limit,) = service["TimeoutStopSec"]

    assert seconds(limit) > Capacity().drain_s


def test_only_the_service_reads_its_state(service: dict[str, list[str]]) -> None:
    assert service["StateDirectory"] == ["crudsd"]
    assert service["StateDirectoryMode"] == ["0700"]
    assert service["UMask"] == ["0077"]


def test_the_key_and_the_secrets_come_as_credentials(service: dict[str, list[str]]) -> None:
    assert service["LoadCredential"] == ["crudsd-key:/etc/crudsd/key", f"secret:{SECRETS}"]
    assert "Environment" not in service


def test_a_reload_is_the_signal_that_serve_takes_for_one(service: dict[str, list[str]]) -> None:
    assert service["ExecReload"] == ["/bin/kill -HUP $MAINPID"]


def test_the_watchdog_waits_longer_than_a_locked_state_is_waited_for(service: dict[str, list[str]]) -> None:
    (limit,) = service["WatchdogSec"]

    assert seconds(limit) > TTL_S + BUSY_TIMEOUT_S


def test_the_sandbox_leaves_python_its_pipes(service: dict[str, list[str]]) -> None:
    """Taking @ipc or @timer away stops every subprocess, and the look-up of users."""
    denied = {name.lstrip("~") for line in service["SystemCallFilter"] if line.startswith("~") for name in line.split()}

    assert not {"@ipc", "@timer"} & denied


def test_the_sandbox_leaves_crudsd_the_boot_id(service: dict[str, list[str]]) -> None:
    """ProcSubset=pid hides it: then a killed service would wait for its own leases to run out."""
    assert "ProcSubset" not in service


def test_run_is_closed_too(service: dict[str, list[str]]) -> None:
    """Neither systemd 252 nor 257 counts it to ProtectSystem=strict where the service has a /proc of its own."""
    assert service["ReadOnlyPaths"] == ["/run"]


def test_sysusers_makes_the_user_that_the_unit_names(service: dict[str, list[str]], tmp_path: Path) -> None:
    if SYSUSERS is None:
        pytest.skip("systemd-sysusers is not installed here")
    (tmp_path / "etc").mkdir()

    subprocess.run(
        [SYSUSERS, f"--root={tmp_path}", str(FOLDER / "crudsd.sysusers")], check=True, capture_output=True, timeout=60
    )

    users = [line.split(":")[0] for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    assert service["User"] == users
