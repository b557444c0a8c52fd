"""The whole product beside its peers and what is written by hand, in one run: `python -m bench.compare`.

Makes the peers' environments and the data below `.bench`, starts an API on this machine, runs the sections, prints
them, and with `--write` keeps each in its place in docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sqlite3
import sys
import time
from dataclasses import replace

from bench import cases, contenders, service_page
from bench.client import processor
from bench.rounds import api
from bench.sections import FULL, ONCE, PAGE, QUICK, SECTIONS, USUAL, WITH_PEERS, Scale


def machine() -> str:
    """Describe what it runs on."""
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores ({processor()}), {memory_gib:.0f} GiB, {system}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}. Compared with {contenders.versions()}."
    )


def measure(names: list[str], scale: Scale, *, write: bool) -> None:
    """Run these sections."""
    with api() as shown:
        print("warming up", file=sys.stderr)
        cases.warm_up(shown, peers=scale.peers)
        if write:
            service_page.write("machine", [machine()], PAGE)
        for name in names:
            before = os.getloadavg()[0]
            lines = SECTIONS[name](shown, scale)
            rounds = 1 if name in ONCE else scale.rounds
            times = "one round" if rounds == 1 else f"{rounds} interleaved rounds"
            day, after = time.strftime("%Y-%m-%d", time.gmtime()), os.getloadavg()[0]
            told = f"{day}, {times}, load {before:.1f} before it began, {after:.1f} at the end."
            section = [*lines[:2], told, "", *lines[2:]]
            print("\n".join(section), end="\n\n", flush=True)
            if write:
                # Beside the table with the peers, not in its place.
                own = f"{name}-alone" if name in WITH_PEERS and not scale.peers else name
                service_page.write(own, section, PAGE)


def main() -> None:
    """Install, measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sections", nargs="*", default=list(SECTIONS), help=f"of {', '.join(SECTIONS)}; default: all")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_const", const=QUICK, dest="scale", help="20,000 records, two rounds")
    size.add_argument("--full", action="store_const", const=FULL, dest="scale", help="1,000,000 records; hours")
    parser.add_argument("--rounds", type=int, help="instead of as many as belong to the size")
    parser.add_argument("--alone", action="store_true", help="crudsd and the yardsticks only, without the peers")
    parser.add_argument("--write", action="store_true", help=f"keep the sections in {PAGE.name}")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(SECTIONS):
        parser.error(f"there is no section {', '.join(unknown)}")
    scale = replace(options.scale or USUAL, peers=not options.alone)
    scale = replace(scale, rounds=options.rounds or scale.rounds)
    contenders.JOBS.mkdir(parents=True)
    if scale.peers:
        contenders.install()
    try:
        measure(options.sections, scale, write=options.write)
    finally:
        shutil.rmtree(contenders.JOBS, ignore_errors=True)


if __name__ == "__main__":
    main()
