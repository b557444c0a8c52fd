"""A quick look whether the product has become dearer: three small jobs, in ratios of one run. It ends with 1 if so.

The yardsticks are what crudsd has to do, written by hand, so a busy or another machine moves both. Of each ratio the
best round counts, and the limits are far above what is measured; they are lowered when the product becomes faster.
"""

from __future__ import annotations

import shutil
import sys

from bench import cases, contenders
from bench.rounds import Line, api
from bench.sections import find

RECORDS, CREATES, ROUNDS = 20_000, 1_000, 2
LIMITS = {"first": ("plain", 12.0), "again": ("manifest", 9.0), "creates": ("loop", 4.5)}
"""The most CPU, start and all, in that of the yardstick: about twice what was measured last."""


def best(lines: list[Line], base: str) -> float:
    """Return the smallest ratio of a round."""
    pairs = zip(find(lines, "crudsd").costs, find(lines, base).costs, strict=True)
    return min(ours.cpu_s / theirs.cpu_s for ours, theirs in pairs)


def main() -> int:
    """Measure; 1 when a limit is passed."""
    contenders.JOBS.mkdir(parents=True)
    table, others = contenders.into_table(peers=False), contenders.into_api(peers=False)
    try:
        with api() as shown:
            found = cases.into_table(shown, RECORDS, ROUNDS, table)
            found["creates"] = cases.into_api(shown, CREATES, ROUNDS, others)
    finally:
        shutil.rmtree(contenders.JOBS, ignore_errors=True)
    ratios = {what: best(found[what], base) for what, (base, _) in LIMITS.items()}
    for what, (base, most) in LIMITS.items():
        print(f"{what}: {ratios[what]:.1f} × {base}, at most {most:g}{'' if ratios[what] <= most else ': PASSED'}")
    return int(any(ratios[what] > most for what, (_, most) in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
