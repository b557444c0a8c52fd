"""What is remembered: looking changes nothing of it, and its size does not grow into memory."""

import sqlite3
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.app import open_app
from daemon.sync.outcome import Ending
from tests.edge_cases.pair import Pair, person
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.integration.harness import Desk

LISTS = Path(__file__).parents[2] / "bench" / "lists_server.py"
FIELDS = ("no", "name", "email", "street", "city", "country", "active", "salary", "title", "team")


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=9) as one:
        yield one


def dump(state: Path) -> list[str]:
    with sqlite3.connect(state) as connection:
        return list(connection.iterdump())


@pytest.mark.edge(45)
@pytest.mark.parametrize("is_cut_off", [False, True])
def test_looking_leaves_the_state_and_both_systems_as_they_were(
    server: MisbehavingServer, tmp_path: Path, is_cut_off: bool
) -> None:
    both = Pair(server, tmp_path)
    both.hire(*range(320))
    both.users.reject("E7")
    if is_cut_off:
        server.fault(Fault.close_after(), method="POST", nth=30, times=1)
        server.fault(Fault.answer(502), method="POST", nth=31, times=1000)
    both.run()
    server.behave()
    both.staff.remove("E300")
    both.hire(5, name="Other")
    both.hire(900)
    server.forget()
    before = dump(both.desk.state)

    for _ in range(2):
        both.desk.plan()
        with open_app(both.desk.settings) as app:
            for key in ("E5", "E7", "E300", "E900"):
                app.explain("people", key)

    assert dump(both.desk.state) == before
    assert server.writes() == []


@pytest.mark.edge(45)
def test_a_plan_that_breaks_off_leaves_the_state_as_it_was(server: MisbehavingServer, tmp_path: Path) -> None:
    both = Pair(server, tmp_path)
    both.hire(*range(320))
    both.run()
    both.hire(*range(400, 500))
    before = dump(both.desk.state)
    server.forget()
    server.fault(Fault.answer(502), method="GET", path="^/staff", nth=3, times=100)

    planned = both.desk.plan()

    assert planned.ending is Ending.UNAVAILABLE
    assert (dump(both.desk.state), server.writes()) == (before, [])


# ---- memory ------------------------------------------------------------------------------------------------------


@contextmanager
def lists(count: int) -> Iterator[str]:
    """Give the address of another process whose lists have so many records."""
    command = [sys.executable, str(LISTS), str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


def adopting(host: str) -> dict[str, Any]:
    pages = {"records": "data", "paginate": {"type": "cursor", "param": "page", "next": "next", "total": "total"}}
    target = {
        "connection": "api",
        "match": "no",
        "list": {"uri": "users", **pages},
        "create": {"uri": "users", "id": "id"},
        "update": {"uri": "users/{{ target.id }}", "body": "changed"},
        "delete": "users/{{ target.id }}",
    }
    source = {"connection": "api", "read": "people", **pages}
    job = {
        "mode": "mirror",
        "source": source,
        "key": "record.no",
        "map": {name: f"record.{name}" for name in FIELDS},
        "target": target,
    }
    return {"connections": {"api": {"host": host}}, "jobs": {"people": job}}


def peak_of(desk: Desk, count: int) -> int:
    """Run, and return how much more than at its start was in use at once, in bytes."""
    tracemalloc.start()
    try:
        result = desk.run().result
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (result.ending, result.counts.seen, result.counts.unchanged) == (Ending.DONE, count, count)
    return peak


READ_AHEAD = 2_000_000
"""Bytes of pages that are on their way where the machine is slow, at most; 55 for each record of the larger read."""


@pytest.mark.edge(20)
def test_ten_times_the_records_take_no_more_memory(tmp_path: Path) -> None:
    peaks = {}
    for count in (500, 4_000, 40_000):  # the first one loads what is loaded once
        folder = tmp_path / str(count)
        folder.mkdir()
        with lists(count) as host:
            desk = Desk(folder, adopting(host))
            peaks[count] = peak_of(desk, count), peak_of(desk, count)

    for small, large in zip(peaks[4_000], peaks[40_000], strict=True):
        assert large < small * 1.5 + READ_AHEAD, peaks


@pytest.mark.edge(20)
def test_a_list_of_one_huge_page_arrives_whole(server: MisbehavingServer, tmp_path: Path) -> None:
    both = Pair(server, tmp_path)
    both.staff.page_size = 5_000
    both.hire(*range(5_000))
    both.users.put(person(number) for number in range(5_000))
    pages = {"uri": "users", "records": "users", "paginate": {"type": "page", "param": "page"}}
    both.edit(target={**both.job["target"], "list": pages})

    result = both.run()

    assert (result.counts.unchanged, result.counts.adopted) == (5_000, 5_000)
    assert server.writes() == []
