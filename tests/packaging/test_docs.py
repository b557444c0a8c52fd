"""The pages tell the truth: links lead somewhere, commands exist, examples are valid, nothing private slipped in."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from daemon.errors import Exit
from daemon.spec import load

ROOT = Path(__file__).parents[2]

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^ {4}.*$|`[^`\n]+`", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
VERB = re.compile(r"(?:^|[ `/])(?:crudsd|as_service) ([a-z]+)(?: ([a-z]+))?", re.MULTILINE)
TARGET = re.compile(r"(?:^ *|`)make ([a-z0-9-]+)", re.MULTILINE)

MACHINE_PATH = re.compile(r"(?<![\w.:/}])/(?:[h]ome|Users|root|work)/\w")
REGISTRY = re.compile(r"[p]ypi\.org|python[h]osted|npm[j]s|proxy\.go[l]ang")
"""Written so that this file does not hold what it looks for."""


@cache
def files() -> tuple[Path, ...]:
    """Return what is, or is about to be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is not a checkout")
    return tuple(place for name in listed.stdout.split("\0") if name and (place := ROOT / name).is_file())


def pages() -> list[Path]:
    return [place for place in files() if place.suffix == ".md"]


def texts() -> Iterator[tuple[str, str]]:
    for place in files():
        try:
            yield str(place.relative_to(ROOT)), place.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def code_of(page: Path) -> str:
    return "\n".join(CODE.findall(page.read_text()))


def test_every_link_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages()
        for link in LINK.findall(FENCE.sub("", page.read_text()))
        if "://" not in link and not link.startswith(("#", "mailto:"))
        if not (page.parent / link.partition("#")[0]).exists()
    ]

    assert broken == []


def test_every_make_target_in_the_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = {name for page in pages() for name in TARGET.findall(code_of(page))}

    assert named
    assert named - targets == set()


def test_every_command_in_the_pages_exists() -> None:
    named = {words for page in pages() for words in VERB.findall(code_of(page))}

    verbs = commands_in(help_of())
    unknown = {verb for verb, _ in named if verb not in verbs}
    groups = {verb: commands_in(help_of(verb)) for verb in ("alerts", "auth", "db", "key", "rejects", "secret")}
    unknown |= {f"{verb} {word}" for verb, word in named if verb in groups and word not in groups[verb]}

    assert named
    assert unknown == set()


def help_of(*verb: str) -> str:
    answer = subprocess.run(
        [sys.executable, "-m", "daemon", *verb, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return answer.stdout


def commands_in(text: str) -> set[str]:
    return set(re.findall(r"^  ([a-z]+)(?:  |$)", text.partition("Commands:")[2], re.MULTILINE))


def test_the_readme_lists_every_exit_code() -> None:
    listed = re.findall(r"^\| (\d+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert [int(code) for code in listed] == sorted(Exit)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    page = (ROOT / "docs/decisions/0002-dependencies.md").read_text()

    extras = [name for extra in project["project"]["optional-dependencies"].values() for name in extra]
    declared = [*project["project"]["dependencies"], *extras, *project["dependency-groups"]["dev"]]
    names = [match[0] for text in declared if (match := re.match(r"[\w-]+", text))]

    assert [name for name in names if not re.search(rf"\b{re.escape(name)}\b", page)] == []


def test_the_annotated_example_is_a_valid_configuration() -> None:
    loaded = load(ROOT / "deploy/examples/crudsd.yaml")

    assert {job.mode for job in loaded.spec.jobs.values()} >= {"mirror", "upsert", "update_only"}


def test_the_readme_s_job_file_is_a_valid_configuration(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "crudsd.yaml").write_text(example)

    loaded = load(tmp_path / "crudsd.yaml")

    assert list(loaded.spec.jobs) == ["people-to-helpdesk"]


@pytest.mark.parametrize("private", [MACHINE_PATH, REGISTRY], ids=["machine path", "registry host"])
def test_no_file_names_a_machine_or_a_registry(private: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number}: {match[0]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if (match := private.search(line))
    ]

    assert found == []
