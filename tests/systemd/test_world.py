"""The machine around the service: no network yet, a clock that is set, a disk that is full, a journal that restarts."""

import base64

import pytest

from daemon.demo.config import JOB
from tests.servers.faketime import Faketime
from tests.servers.process import NotInstalledError

from .desk import Desk


def test_a_service_that_starts_before_the_network_makes_up_for_it_once_that_is_there(desk: Desk) -> None:
    """Names are what is missing: starting the unit brings up the loopback device, so that cannot be taken down."""
    desk.edit_config("host: http://127.0.0.1", "allow_insecure: true\n    host: http://systems.test")
    desk.start()
    desk.box.until(lambda: desk.runs("ending = 'unavailable'") > 0, what="a run that reaches nobody")
    assert "systems.test" in desk.messages()

    desk.box.sh("echo 127.0.0.1 systems.test >> /etc/hosts")

    desk.wait_until_in_step()
    assert (desk.shows("ActiveState"), desk.shows("NRestarts")) == ("active", "0")
    desk.assert_nothing_was_doubled_or_lost()


def test_a_clock_that_is_set_after_the_start_doubles_and_loses_nothing(desk: Desk) -> None:
    """As on a machine without a battery for its clock: it believes in 2020 until it has asked a time server."""
    try:
        clock = Faketime()
    except NotInstalledError as missing:
        pytest.skip(str(missing))
    library = base64.encodebytes(clock.library.read_bytes()).decode()
    desk.box.run("bash", "-c", "base64 -d > /srv/libfaketime.so", stdin=library)
    desk.box.put("/srv/clock", "-200000000s\n")
    desk.edit_config("every: 1s", "every: 1s, catch_up_window: 1m")
    named = {"LD_PRELOAD": "/srv/libfaketime.so", "FAKETIME_TIMESTAMP_FILE": "/srv/clock"}
    switches = {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    desk.drop_in("clock", "".join(f"Environment={name}={value}\n" for name, value in {**named, **switches}.items()))
    desk.start()
    desk.wait_until_in_step()
    assert desk.runs("created_at < date('now', '-5 years')") > 0

    desk.box.put("/srv/clock", "+0s\n")

    desk.box.until(lambda: "clock.jumped" in {event["event"] for event in desk.events()}, what="it notices")
    desk.change()
    desk.wait_until_in_step()
    assert desk.runs("created_at > date('now', '-5 years')") > 0
    assert (desk.shows("ActiveState"), desk.shows("NRestarts")) == ("active", "0")
    desk.assert_nothing_was_doubled_or_lost()


def test_a_full_disk_is_told_and_over_when_there_is_room_again(desk: Desk) -> None:
    state = "/var/lib/crudsd"
    desk.box.sh(f"mkdir {state}; mount -t tmpfs -o size=8m tmpfs {state}")
    desk.start()
    desk.wait_until_in_step()

    desk.box.sh(f"dd if=/dev/zero of={state}/ballast bs=4k 2>/dev/null || true")
    desk.change()
    desk.box.until(lambda: "disk is full" in desk.messages(), what="it says what is wrong")
    assert "err" in desk.box.run("journalctl", "--unit=crudsd", "--priority=err", "--output=cat").stdout
    desk.box.run("rm", f"{state}/ballast")

    desk.wait_until_in_step()
    desk.assert_nothing_was_doubled_or_lost()
    assert desk.as_service("db", "check").returncode == 0


def test_a_service_cannot_start_on_a_full_disk_and_comes_up_when_there_is_room(desk: Desk) -> None:
    state = "/var/lib/crudsd"
    desk.box.sh(f"mkdir {state}; mount -t tmpfs -o size=1m tmpfs {state}; dd if=/dev/zero of={state}/ballast || true")
    desk.drop_in("quick", "RestartSec=1s\n")

    assert desk.box.run("systemctl", "start", "crudsd", check=False).returncode
    desk.box.until(lambda: int(desk.shows("NRestarts")) > 0, what="it is tried again")
    assert "disk is full" in desk.messages()
    desk.box.sh(f"mount -o remount,size=16m {state}; rm {state}/ballast")

    desk.wait_until_in_step()


def test_the_journal_is_asked_for_a_job_also_after_it_was_restarted(desk: Desk) -> None:
    def ended() -> list[dict[str, str]]:
        return desk.journal(f"CRUDSD_JOB={JOB}", "CRUDSD_EVENT=run.ended")

    desk.example("journal")
    desk.start()
    desk.box.until(lambda: bool(ended()), what="a run is found by its fields")
    desk.box.run("systemctl", "restart", "systemd-journald")
    before = len(ended())
    desk.box.until(lambda: len(ended()) > before, what="it goes on")

    runs = ended()
    assert {(one["SYSLOG_IDENTIFIER"], one["_TRANSPORT"]) for one in runs} == {("crudsd", "journal")}
    done = [one for one in runs if one["CRUDSD_ENDING"] == "done"]
    assert {one["PRIORITY"] for one in done} == {"6"}
    assert all(one["MESSAGE"].startswith("run.ended ending=done ") for one in done)
    assert len({one["CRUDSD_RUN"] for one in runs}) == len(runs)
