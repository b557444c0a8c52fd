"""After the story: what to try, and systems that go on."""

import threading
from pathlib import Path

from daemon.demo.afterwards import go_on, try_next
from daemon.demo.helpdesk import Helpdesk
from daemon.demo.hr import Hr
from daemon.demo.systems import serving


def test_three_things_to_try_are_named() -> None:
    lines: list[str] = []
    try_next(None, lines.append)
    assert [line[:4] for line in lines if line[2:3].isdigit()] == ["  1.", "  2.", "  3."]


def test_the_folder_that_stays_is_named() -> None:
    lines: list[str] = []
    try_next(Path("somewhere"), lines.append)
    assert "somewhere" in "".join(lines)


def test_people_come_and_go_until_it_is_stopped() -> None:
    stop, lines = threading.Event(), list[str]()

    def out(line: str) -> None:
        lines.append(line)
        if sum(told.startswith("HR system: 2 edited, 1 left, 1 joined") for told in lines) == 3:
            stop.set()

    with serving(Hr(employees=40), Helpdesk()) as systems:
        before = {person["employee_no"] for person in systems.hr.active()}
        go_on(systems, Path("here"), out, stop, every_s=0.01)
        after = {person["employee_no"] for person in systems.hr.active()}
    assert (len(before - after), len(after - before)) == (3, 3)
    assert lines[-1] == "Both systems are gone."
