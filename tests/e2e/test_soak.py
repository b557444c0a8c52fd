"""A short soak: the bench's own, with its own oracle; `make soak` takes ten minutes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_a_service_under_stress_loses_no_fire_and_no_record(long: bool) -> None:
    if not long:
        pytest.skip("40 s on both cores: only with --long")
    done = subprocess.run(
        [sys.executable, "-m", "bench.soak", "--seconds=40", "--jobs=40", "--tenants=8"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )

    # What memory does shows only in minutes.
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG") and " rose by " not in line]
    assert wrong == [], done.stdout
    assert "unexplained: 0." in done.stdout, done.stdout + done.stderr
