"""What a reader can do once the story is told: look at the files, or have both systems go on."""

import os
import shutil
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from .config import JOB
from .systems import Systems, churn

CHURN = 4
"""Employees who change at each step: two are edited, one leaves, one joins."""

CHURN_EVERY_S = 5.0
"""Half the time between two runs of the job, so that every run finds something to do."""


def try_next(kept: Path | None, out: Callable[[str], None]) -> None:
    """Name three things to try. `kept` is the folder that stays, None when there is none."""
    out("")
    if kept is not None:
        out(f"The job file, its state and its key stay in {kept}; the two systems are gone.")
        out("")
    crudsd, config = _command(), "--config crudsd-new/crudsd.yaml"
    out("Try next:")
    for number, (line, meaning) in enumerate(
        (
            (f"{crudsd} demo --dir crudsd-new --serve", "the same, and then both systems go on and people change"),
            (f"{crudsd} serve {config}", "in another terminal: keep up with them until Ctrl-C"),
            (f"{crudsd} plan {JOB} {config}", "after an edit of that file: what it would mean"),
        ),
        start=1,
    ):
        out(f"  {number}. {line}")
        out(f"     {meaning}")


def _command() -> str:
    """Return what to type for this program: its name where the shell finds it, else the way to it from here."""
    if shutil.which("crudsd") is not None:
        return "crudsd"
    here = os.path.relpath(sys.argv[0])
    return here if Path(here).name == "crudsd" else "crudsd"


def go_on(
    systems: Systems,
    folder: Path,
    out: Callable[[str], None],
    stop: threading.Event,
    *,
    every_s: float = CHURN_EVERY_S,
) -> None:
    """Change a few employees every so many seconds, and tell of it, until Ctrl-C or `stop`."""
    control = systems.control.url
    out("")
    out(f"Both systems go on, and a few people change every {every_s:g} seconds. In another terminal:")
    crudsd, config = _command(), f"--config {folder / 'crudsd.yaml'}"
    for command, meaning in (
        (f"{crudsd} plan {JOB} {config}", "what a run would do now"),
        (f"{crudsd} serve {config}", "keep up with the changes until Ctrl-C"),
        (f"curl -X POST {control}/demo/outage", "empty the source; ?on=false ends it"),
        (f"curl {control}/demo/compare", "how far the systems are apart now"),
    ):
        out(f"  {command}")
        out(f"      {meaning}")
    out("Ctrl-C ends them.")
    out("")
    try:
        while not stop.wait(every_s):
            change, writes = churn(systems.hr, CHURN), systems.helpdesk_server.journal.writes
            out(f"HR system: {change}. Help desk: {writes:,} writes so far.")
    except KeyboardInterrupt:
        out("")
    out("Both systems are gone.")
