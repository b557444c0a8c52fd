"""A command loads what it needs, and no more: neither time nor memory goes to systems that nobody named."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LIBRARY = ("cruds", "urllib3", "http.cookiejar")
SEALING = ("cryptography",)
DATABASES = ("daemon.endpoints.sql", "sqlalchemy.dialects.postgresql", "sqlalchemy.orm", "alembic", "psycopg")
SELDOM = ("rich", "fsspec", "daemon.endpoints.alert_http", "daemon.runtime.alert_command", "daemon.runtime.auth_desk")
STATE = ("sqlalchemy", "sqlite3", "asyncio", "structlog", "apscheduler", "daemon.store", "daemon.runtime")

REST = """
connections:
  hr: {host: "http://127.0.0.1:9", auth: {type: bearer, token: {env: TOKEN}}}
jobs:
  people:
    source: {connection: hr, read: people}
    key: record.id
    target: {connection: hr, match: id, lookup: users, create: users, update: "users/{{ target.id }}"}
"""
FILES = """
connections:
  here: {type: files, url: .}
jobs:
  people:
    source: {connection: here, path: people.jsonl}
    key: record.id
    target: {connection: here, path: copy.jsonl, match: id}
"""


def loaded(folder: Path, code: str, names: tuple[str, ...]) -> list[str]:
    """Return which of these modules a process has loaded after it did this in a folder."""
    after = f"\nimport sys; print('loaded:', *(name for name in {names!r} if name in sys.modules))"
    environment = {"PYTHONPATH": str(ROOT), "TOKEN": "t", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code + after],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    last = (done.stdout.splitlines() or [""])[-1]
    assert last.startswith("loaded:"), done.stderr
    return last.split()[1:]


def command(*words: str) -> str:
    return f"import sys; sys.argv[:] = ['crudsd', *{words!r}]\nfrom daemon.__main__ import main\nassert main() == 0\n"


def configured(folder: Path, blocks: str) -> Path:
    (folder / "crudsd.yaml").write_text(f"version: 1\n{blocks}", encoding="utf-8")
    (folder / "people.jsonl").write_text('{"id": 1}\n', encoding="utf-8")
    return folder


@pytest.mark.parametrize("blocks", [REST, FILES])
def test_to_validate_opens_no_state_and_makes_no_client(tmp_path: Path, blocks: str) -> None:
    names = (*LIBRARY, *SEALING, *DATABASES, *SELDOM, *STATE)

    assert loaded(configured(tmp_path, blocks), command("validate"), names) == []


def test_a_run_from_file_to_file_makes_no_client(tmp_path: Path) -> None:
    configured(tmp_path, FILES)
    loaded(tmp_path, command("db", "upgrade"), ())

    names = (*LIBRARY, *SEALING, *DATABASES, *SELDOM, "daemon.endpoints.rest_read", "daemon.endpoints.models")
    assert loaded(tmp_path, command("run", "people"), names) == []


def test_a_service_makes_a_client_when_a_job_first_needs_one(tmp_path: Path) -> None:
    configured(tmp_path, REST)
    loaded(tmp_path, command("db", "upgrade"), ())
    ready = (
        "import os\nfrom pathlib import Path\nfrom daemon.app import open_app\n"
        "from daemon.serving import ServedProgram\nfrom daemon.settings import Settings\n"
        "with open_app(Settings(config=Path('crudsd.yaml'), environment=os.environ)) as app:\n"
        "    ServedProgram(app).program()\n"
    )
    names = (*LIBRARY, *SEALING, *DATABASES, *SELDOM)

    assert loaded(tmp_path, ready, names) == []
    assert loaded(tmp_path, f"{ready}    app.connections.exchange('hr')\n", names) == [
        "cruds",
        "urllib3",
        "http.cookiejar",
    ]


def test_the_library_loads_what_signs_and_seals_with_the_first_key(tmp_path: Path) -> None:
    assert loaded(tmp_path, "import cruds; cruds.OAuth2, cruds.Client", SEALING) == []
