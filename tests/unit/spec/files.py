"""A small valid job file, and a way to load changed ones."""

from pathlib import Path

GOOD = """\
version: 1
connections:
  hr: {host: https://hr.example.com}
jobs:
  people:
    source: {connection: hr, read: employees}
    key: record.id
    target: {connection: hr, create: users, update: "users/{{ target.id }}"}
"""


def good_but(*changes: tuple[str, str]) -> str:
    """Return the good file with some of its texts replaced."""
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def write(folder: Path, text: str = GOOD, **parts: str) -> Path:
    """Write crudsd.yaml and the files of jobs.d into a folder; return the former."""
    main = folder / "crudsd.yaml"
    main.write_text(text, encoding="utf-8")
    for name, part in parts.items():
        (folder / "jobs.d").mkdir(exist_ok=True)
        (folder / "jobs.d" / f"{name}.yaml").write_text(part, encoding="utf-8")
    return main
