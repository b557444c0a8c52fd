"""The wheel holds the migrations, and nothing that would land in somebody else's place."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    (packed,) = folder.glob("crudsd-*.whl")
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder / "unpacked")
    return folder / "unpacked"


def test_only_our_two_packages_are_on_top(wheel: Path) -> None:
    names = {path.name for path in wheel.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"cruds", "daemon"}


def test_every_migration_is_packed(wheel: Path) -> None:
    ours = {path.name for path in (PROJECT / "migrations" / "versions").glob("*.py")}
    assert ours
    assert {path.name for path in (wheel / "daemon" / "migrations" / "versions").glob("*.py")} == ours
    assert (wheel / "daemon" / "migrations" / "env.py").is_file()


def test_both_packages_are_typed(wheel: Path) -> None:
    assert (wheel / "cruds" / "py.typed").is_file()
    assert (wheel / "daemon" / "py.typed").is_file()


def test_the_packed_migrations_are_the_ones_that_run(wheel: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from daemon.store import database, schema\n"
        "assert database.__file__.startswith(sys.argv[1]), database.__file__\n"
        "state = database.open_database(sys.argv[2])\n"
        "schema.upgrade(state); schema.check(state); print(schema.current(state))"
    )
    # -P: not this folder, where the source stands; the wheel comes first on the path.
    run = subprocess.run(
        [sys.executable, "-P", "-c", code, str(wheel), str(tmp_path / "state.db")],
        env={"PYTHONPATH": str(wheel), "PATH": ""},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stdout.strip()) == (0, "0006"), run.stderr
