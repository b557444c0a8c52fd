"""`crudsd serve` over the demo's two systems: in step while people come and go, killed in mid-run, drained."""

import os
import secrets
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from daemon.demo.compare import compare
from daemon.demo.config import write_folder
from daemon.demo.hr import Hr
from daemon.demo.systems import serving
from daemon.errors import Exit
from tests.e2e.harness import Folder, caught, ended, kill_9
from tests.e2e.slow_helpdesk import SlowHelpdesk
from tests.faults.processes import ROOT, program_of
from tests.faults.steps import Order

EMPLOYEES = 300
WITHIN_S = 20.0
BEAT_S = 0.5
"""How often a lease is renewed where a test waits for that."""


class Scene:
    """Both systems, a folder whose job runs every second, and what systemd would hear."""

    def __init__(self, hr: Hr, helpdesk: SlowHelpdesk, folder: Folder, ears: socket.socket) -> None:
        self.hr, self.helpdesk, self.folder, self._ears = hr, helpdesk, folder, ears

    @contextmanager
    def served(self, order: Order | None = None) -> Iterator[subprocess.Popen[str]]:
        with self.folder.started("serve", program=program_of(order)) as process:
            yield process

    def hears(self, beginning: str) -> bool:
        """Wait for a line that begins so among what is said to systemd."""
        while not any(line.startswith(beginning) for line in self._ears.recv(4096).decode().splitlines()):
            pass
        return True

    def is_in_step(self) -> bool:
        return compare(self.hr.active(), self.helpdesk.users()).differences == 0

    def assert_well(self) -> None:
        """Everybody has one user, nobody was ever given a second, and no user of an employee was deleted."""
        shown = compare(self.hr.active(), self.helpdesk.users())
        assert (shown.differences, shown.doubled) == (0, ())
        employed = {person["employee_no"] for person in self.hr.active()}
        assert employed.isdisjoint(self.helpdesk.deleted)
        assert self.helpdesk.created == len(self.helpdesk.deleted) + len(employed)

    def runs(self, condition: str) -> int:
        with closing(sqlite3.connect(self.folder.state)) as connection:
            (number,) = connection.execute(f"select count(*) from runs where {condition}").fetchone()
        return int(number)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    hr, helpdesk = Hr(employees=EMPLOYEES, fault_every=None), SlowHelpdesk(lose_every=40)
    with serving(hr, helpdesk) as systems, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ears:
        # A name without a place in the file system: a folder's path may be too long for a socket.
        name = f"crudsd-test-{secrets.token_hex(8)}"
        ears.bind(f"\0{name}")
        ears.settimeout(WITHIN_S)
        config = write_folder(tmp_path / "desk", systems.access)
        config.write_text(config.read_text().replace("every: 10s", "every: 1s"))
        yield Scene(hr, helpdesk, Folder(config.parent, NOTIFY_SOCKET=f"@{name}", PYTHONPATH=str(ROOT)), ears)


def test_a_service_keeps_both_systems_in_step_and_drains_when_it_is_told_to_end(scene: Scene) -> None:
    with scene.served() as process:
        assert scene.hears("READY=1")
        caught(process, scene.is_in_step, what="the first load", within_s=WITHIN_S)
        for _ in range(2):
            scene.hr.turn_over(edits=6, leavers=3, joiners=3)
            caught(process, scene.is_in_step, what="the changes", within_s=WITHIN_S)

        second = scene.folder.crudsd("serve")

        scene.helpdesk.late_s = 0.05
        before = scene.helpdesk.created
        scene.hr.join(30)
        caught(process, lambda: scene.helpdesk.created > before, what="a run in its middle", within_s=WITHIN_S)
        process.send_signal(signal.SIGTERM)
        assert scene.hears("STOPPING=1")
        code, _, err = ended(process)

    assert second.returncode == Exit.LOCKED
    assert f"{socket.gethostname()}, process {process.pid}" in second.stderr
    assert "stop that one" in second.stderr
    assert code == Exit.DONE, err
    assert "service.stopped" in err
    assert scene.runs("phase <> 'over'") == 0
    with closing(sqlite3.connect(scene.folder.state)) as connection:
        assert connection.execute("select count(*) from changes where fate = 'sent'").fetchone() == (0,)


def test_a_service_that_is_killed_goes_on_at_once_when_it_is_started_again(scene: Scene) -> None:
    scene.helpdesk.late_s = 0.01
    with scene.served() as process:
        caught(process, lambda: scene.helpdesk.created > EMPLOYEES // 4, what="a run in its middle", within_s=WITHIN_S)
        kill_9(process)
    assert scene.hears("READY=1")
    assert scene.helpdesk.created < EMPLOYEES

    began = time.monotonic()
    with scene.served() as process:
        assert scene.hears("READY=1")
        assert time.monotonic() - began < 10, "a lease of 30 s was waited for"
        caught(process, scene.is_in_step, what="the rest of the first load", within_s=WITHIN_S)
        assert scene.runs("ending = 'interrupted'") == 1
        assert scene.runs("trigger = 'resume'") == 1

        deleted = len(scene.helpdesk.deleted)
        scene.hr.turn_over(edits=0, leavers=12, joiners=0)
        caught(process, lambda: len(scene.helpdesk.deleted) > deleted, what="a delete", within_s=WITHIN_S)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(WITHIN_S)

    with scene.served() as process:
        assert scene.hears("READY=1")
        caught(process, scene.is_in_step, what="the rest of the deletes", within_s=WITHIN_S)
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)

    assert code == Exit.DONE, err
    scene.assert_well()


def test_a_changed_file_is_taken_up_on_sighup_and_one_that_is_no_good_is_refused(scene: Scene) -> None:
    config = scene.folder.path / "crudsd.yaml"
    good = config.read_text().replace("every: 1s", "cron: '0 0 29 2 *'")
    config.write_text(good)
    refused = "STATUS=the changed configuration is refused, the one before goes on: "
    scene.folder.environment["WATCHDOG_USEC"] = "2000000"  # it looks around four times in it
    with scene.served() as process:
        assert scene.hears("READY=1")
        config.write_text(good.replace("mode: mirror", "mode: mirrow"))
        process.send_signal(signal.SIGHUP)
        assert scene.hears(f"{refused}crudsd.yaml:")
        config.write_text(f"state: elsewhere.db\n{good}")
        process.send_signal(signal.SIGHUP)
        assert scene.hears(f"{refused}state: cannot change")
        config.write_text(good.replace("cron: '0 0 29 2 *'", "every: 1s"))
        process.send_signal(signal.SIGHUP)
        assert scene.hears("RELOADING=1")
        assert scene.hears("READY=1")
        caught(process, scene.is_in_step, what="a run by the new schedule", within_s=WITHIN_S)
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)

    assert code == Exit.DONE, err
    assert "did you mean" in err
    assert "service.reloaded" in err


@pytest.mark.edge(44)
def test_a_service_whose_state_was_taken_over_ends_and_not_as_if_it_were_asked_to(scene: Scene) -> None:
    with scene.served(Order(beat_s=BEAT_S)) as process:
        assert scene.hears("READY=1")
        with closing(sqlite3.connect(scene.folder.state, isolation_level=None)) as connection:
            connection.execute("update leases set owner = 'another', fence = fence + 1 where name = 'service'")
        code, _, err = ended(process)

    assert code == Exit.LOCKED, err
    assert "took over" in err
