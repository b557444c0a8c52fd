"""The wheel, installed as pip does it, is the program: its script starts, and finds all it needs.

What is in the wheel besides is in test_migrations.py.
"""

import configparser
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.errors import Exit

PROJECT = Path(__file__).parents[2]
VERBS = ("validate", "plan", "run", "serve", "db", "demo", "version")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder into which the wheel was installed, without its requirements: those of this venv serve."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    (wheel,) = folder.glob("crudsd-*.whl")
    target = folder / "installed"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, capture_output=True, timeout=120)
    return target


def crudsd(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the installed script where the source cannot be met."""
    return subprocess.run(
        [str(installed / "bin" / "crudsd"), *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(installed), "PATH": os.defpath, "HOME": str(folder), "NO_COLOR": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_no_test_bench_or_page_is_installed(installed: Path) -> None:
    files = {path.relative_to(installed) for path in installed.rglob("*") if path.suffix == ".py"}
    strays = {path for path in files if {"tests", "bench", "docs"} & set(path.parts) or path.name.startswith("test_")}
    assert strays == set()
    assert all(path.parts[0] in {"cruds", "daemon"} for path in files)


def test_every_module_of_the_source_is_installed(installed: Path) -> None:
    def modules(root: Path) -> Iterator[str]:
        for package in ("cruds", "daemon"):
            yield from (str(path.relative_to(root)) for path in (root / package).rglob("*.py"))

    missing = set(modules(PROJECT)) - set(modules(installed))
    assert missing == set()


def test_one_script_is_declared_and_it_is_ours(installed: Path) -> None:
    (info,) = installed.glob("crudsd-*.dist-info")
    entries = configparser.ConfigParser()
    entries.read_string((info / "entry_points.txt").read_text())
    assert dict(entries["console_scripts"]) == {"crudsd": "daemon.__main__:main"}
    assert [path.name for path in (installed / "bin").iterdir()] == ["crudsd"]


def test_the_installed_script_says_its_version_and_its_verbs(installed: Path, tmp_path: Path) -> None:
    version = crudsd(installed, tmp_path, "--version")
    helped = crudsd(installed, tmp_path, "--help")

    (info,) = installed.glob("crudsd-*.dist-info")
    assert version.stdout.strip() == f"crudsd {info.name.removeprefix('crudsd-').removesuffix('.dist-info')}"
    assert [verb for verb in VERBS if verb not in helped.stdout] == []


def test_the_installed_script_makes_a_state_database_and_judges_a_configuration(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "crudsd.yaml").write_text(json.dumps({"version": 1, "connections": {}, "jobs": {}}))

    upgraded = crudsd(installed, tmp_path, "db", "upgrade")
    again = crudsd(installed, tmp_path, "db", "upgrade")
    judged = crudsd(installed, tmp_path, "validate")

    assert upgraded.returncode == Exit.DONE, upgraded.stderr
    assert "from empty to schema" in upgraded.stdout
    assert "up to date" in again.stdout
    assert (tmp_path / "crudsd.db").is_file()
    assert judged.returncode == Exit.DONE, judged.stderr
    assert "0 connections and 0 jobs" in judged.stdout


def test_the_installed_program_is_what_ran(installed: Path, tmp_path: Path) -> None:
    code = "import cruds, daemon.app; print(cruds.__file__); print(daemon.app.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert all(line.startswith(str(installed)) for line in found.stdout.splitlines())
