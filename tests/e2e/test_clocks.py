"""`crudsd serve` as a process with another time of day: through both clock changes, set forward and back, frozen."""

import contextlib
import itertools
import secrets
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from daemon.demo.http import Reply, Server
from daemon.errors import Exit
from tests.e2e.harness import Folder, caught, ended, until
from tests.servers.faketime import ClockFile, Faketime

WITHIN_S = 30.0
MISSED = "were missed: "
WATCHDOG_S = 2
"""The service looks around four times in it."""
BERLIN = {"timezone": "Europe/Berlin"}

Row = tuple[str, str]
"""The time of a fire in UTC, and how its run ended."""


class Watch:
    """A service with a clock of its own, over systems without any people in them."""

    def __init__(self, path: Path, faketime: Faketime, url: str, schedules: Mapping[str, Any]) -> None:
        path.mkdir()
        self.clock = ClockFile(path / "clock")
        self.ears = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"crudsd-test-{secrets.token_hex(8)}"
        self.ears.bind(f"\0{name}")
        self.ears.settimeout(WITHIN_S)
        systemd = {"NOTIFY_SOCKET": f"@{name}", "WATCHDOG_USEC": str(WATCHDOG_S * 1_000_000)}
        self.folder = Folder(path, spec(url, schedules), **faketime.environment(self.clock, within_s=1), **systemd)

    def set(self, moment: str) -> None:
        """Let it be this time in UTC from now on."""
        self.clock.set(round((datetime.fromisoformat(f"{moment}Z") - datetime.now(UTC)).total_seconds()))

    @contextmanager
    def served(self) -> Iterator[subprocess.Popen[str]]:
        with self.folder.started("serve") as process:
            self.hears("READY=1")
            yield process

    def hears(self, word: str) -> None:
        while word not in self.ears.recv(4096).decode().splitlines():
            pass

    def beats(self) -> None:
        """Wait for a proof of life that is younger than this call."""
        self.read_all()
        self.hears("WATCHDOG=1")

    def read_all(self) -> None:
        """Read what was said: the service is patient with a manager who does not, and tests are not."""
        self.ears.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while self.ears.recv(4096):
                pass
        self.ears.settimeout(WITHIN_S)

    def rows(self, job: str) -> list[tuple[str, str, str]]:
        """The fire times of a job's schedule in order, with how each run ended, and why."""
        self.read_all()
        sql = "SELECT fire_time, coalesce(ending, phase), error FROM runs WHERE job = ? AND trigger = 'schedule'"
        with closing(sqlite3.connect(self.folder.state)) as connection:
            found = connection.execute(f"{sql} ORDER BY fire_time", (job,)).fetchall()
        return [(f"{datetime.fromisoformat(at):%d %H:%M:%S}", ending, error) for at, ending, error in found]

    def fires(self, job: str) -> list[Row]:
        return [(at, ending) for at, ending, _ in self.rows(job)]

    def has_done(self, job: str, at: str) -> Callable[[], bool]:
        return lambda: (at, "done") in self.fires(job)

    def has_missed(self, job: str) -> Callable[[], bool]:
        return lambda: MISSED in str(self.rows(job))


def spec(url: str, schedules: Mapping[str, Any]) -> dict[str, Any]:
    def job(schedule: Any) -> dict[str, Any]:
        return {
            "schedule": schedule,
            "source": {"connection": "api", "read": "people", "records": "items"},
            "key": "record.no",
            "map": {"no": "record.no"},
            "target": {
                "connection": "api",
                "match": "no",
                "lookup": {"uri": "users", "params": {"no": "{{ key }}"}, "records": "items"},
                "create": "users",
                "update": "users/{{ target.id }}",
            },
        }

    return {
        "connections": {"api": {"host": url}},
        "jobs": {name: job(schedule) for name, schedule in schedules.items()},
    }


@pytest.fixture
def place(tmp_path: Path, faketime: Faketime) -> Iterator[Callable[..., Watch]]:
    """Makes services, all of them over one server."""
    with Server(lambda _: Reply(200, {"items": []})) as server, ExitStack() as stack:

        def make(name: str, **schedules: Any) -> Watch:
            watch = Watch(tmp_path / name, faketime, server.url, schedules)
            stack.callback(watch.ears.close)
            return watch

        yield make


def is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def moment(shown: str) -> float:
    return datetime.fromisoformat(f"2026-06-{shown}Z").timestamp()


def drained(process: subprocess.Popen[str]) -> str:
    """End a service, and return what it said."""
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process)
    assert code == Exit.DONE, err
    return err


@pytest.mark.servers
@pytest.mark.edge(51)
def test_a_service_fires_once_and_in_time_through_both_clock_changes(place: Callable[..., Watch]) -> None:
    schedules = {
        "fixed": {"cron": "30 2 * * *", **BERLIN},
        "half": {"cron": "*/30 * * * *", **BERLIN},
        "hourly": {"every": "1h"},
    }
    spring, autumn = place("spring", **schedules), place("autumn", **schedules)
    spring.set("2026-03-29T00:40:00")  # 01:40+01:00; there is no 02:30 on this day
    autumn.set("2026-10-25T00:10:00")  # 02:10+02:00; it is 02:30 twice

    with spring.served() as one, autumn.served() as other:
        for watch, process, job, before, at in (
            (spring, one, "fixed", "2026-03-29T00:59:59", "29 01:00:00"),
            (autumn, other, "fixed", "2026-10-25T00:29:59", "25 00:30:00"),
            (spring, one, "half", "2026-03-29T01:29:59", "29 01:30:00"),
            (autumn, other, "hourly", "2026-10-25T00:59:59", "25 01:00:00"),
            (spring, one, "hourly", "2026-03-29T01:59:59", "29 02:00:00"),
            (autumn, other, "half", "2026-10-25T01:29:59", "25 01:30:00"),
            (autumn, other, "hourly", "2026-10-25T01:59:59", "25 02:00:00"),
        ):
            watch.set(before)
            caught(process, watch.has_done(job, at), what=f"{job} at {at}", within_s=WITHIN_S)
        said = drained(one) + drained(other)

    def done(*times: str) -> list[Row]:
        return [(time, "done") for time in times]

    assert spring.fires("fixed") == done("29 01:00:00")
    assert spring.fires("half") == done("29 01:00:00", "29 01:30:00", "29 02:00:00")
    assert spring.fires("hourly") == done("29 01:00:00", "29 02:00:00")
    assert autumn.fires("fixed") == done("25 00:30:00")
    assert autumn.fires("half") == done("25 00:30:00", "25 01:00:00", "25 01:30:00", "25 02:00:00")
    assert autumn.fires("hourly") == done("25 01:00:00", "25 02:00:00")
    assert "fires.missed" not in said


@pytest.mark.servers
@pytest.mark.edge(51)
def test_a_clock_that_is_set_forward_makes_up_as_the_job_says_and_set_back_runs_nothing_twice(
    place: Callable[..., Watch],
) -> None:
    watch = place(
        "desk",
        last={"every": "30m"},
        none={"every": "30m", "catch_up": "none"},
        each={"every": "30m", "catch_up": "all", "catch_up_window": "100m"},
        fresh={"every": "2h"},
        tick={"every": "1s", "catch_up": "none"},
    )
    watch.set("2026-06-01T11:50:00")
    with watch.served() as process:
        watch.set("2026-06-01T11:59:59")
        caught(process, watch.has_done("last", "01 12:00:00"), what="a fire", within_s=WITHIN_S)
        watch.set("2026-06-01T15:10:00")
        caught(process, watch.has_done("each", "01 15:00:00"), what="what was missed", within_s=WITHIN_S)
        caught(process, watch.has_done("fresh", "01 14:00:00"), what="a fire of a new job", within_s=WITHIN_S)
        watch.beats()
        assert {job: watch.fires(job)[1:] for job in ("last", "none", "each", "fresh")} == {
            "last": [("01 14:30:00", "skipped"), ("01 15:00:00", "done")],
            "none": [("01 15:00:00", "skipped")],
            "each": [("01 13:30:00", "skipped"), *((f"01 {at}:00", "done") for at in ("14:00", "14:30", "15:00"))],
            "fresh": [("01 14:00:00", "done")],
        }
        assert "fires since 2026-06-01 12:30:00 UTC were missed: the latest makes" in watch.rows("last")[1][2]
        assert "fires since 2026-06-01 12:30:00 UTC were missed: catch_up is none" in watch.rows("none")[1][2]

        had = {job: watch.fires(job) for job in ("last", "none", "each", "fresh")}
        watch.set("2026-06-01T11:55:00")
        caught(process, lambda: "01 11:55" in str(watch.fires("tick")), what="a fire in the past", within_s=WITHIN_S)
        watch.beats()
        watch.set("2026-06-01T12:29:59")
        for job in ("last", "none", "each"):
            caught(process, watch.has_done(job, "01 12:30:00"), what="a fire that had not been", within_s=WITHIN_S)
        watch.beats()
        said = drained(process)

    for job, before in had.items():
        more = [] if job == "fresh" else [("01 12:30:00", "done")]
        assert watch.fires(job) == sorted([*before, *more])
    assert said.count('"clock.jumped"') == 4
    assert "do not run again" in said


@pytest.mark.servers
@pytest.mark.edge(51)
def test_a_service_that_was_frozen_makes_up_for_what_it_missed_and_says_why(place: Callable[..., Watch]) -> None:
    watch = place(
        "desk", last={"every": "1s"}, none={"every": "1s", "catch_up": "none"}, each={"every": "1s", "catch_up": "all"}
    )
    with watch.served() as process:
        caught(process, lambda: len(watch.fires("each")) > 1, what="a fire", within_s=WITHIN_S)
        process.send_signal(signal.SIGSTOP)
        until(lambda: is_stopped(process.pid), what="a service that stands still")
        # As long as a machine sleeps: its clock goes on, and what the service takes for time stands still.
        watch.clock.set(20)
        process.send_signal(signal.SIGCONT)
        for job in ("last", "none"):
            until(watch.has_missed(job), what=f"missed fires of {job}", within_s=WITHIN_S)
        until(lambda: len(watch.fires("each")) > 20, what="what was missed", within_s=WITHIN_S)
        watch.beats()
        watch.beats()
        said = drained(process)

    assert said.count('"clock.jumped"') == 1
    for job, words in (("last", "the latest makes up for them"), ("none", "catch_up is none")):
        row = next(row for row in watch.rows(job) if MISSED in row[2])
        assert (row[1], row[2].endswith(words)) == ("skipped", True)
    moments = [moment(at) for at, _ in watch.fires("each")]
    assert {later - before for before, later in itertools.pairwise(moments)} == {1}, "each was made up for"
    assert {"failed", "unavailable"}.isdisjoint(ending for _, ending in watch.fires("each"))
