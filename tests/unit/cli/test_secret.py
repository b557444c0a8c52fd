"""What `crudsd secret` takes, says, and never says."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon.cli import main
from tests.e2e.harness import CRUDSD

CONFIG = """\
version: 1
connections:
  hr: {host: "https://hr.example.com", auth: {type: bearer, token: {vault: hr-token}}}
jobs: {}
"""
AT = "connections.hr.auth.token ({}:3:"

Say = Callable[[bytes], None]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "crudsd.yaml"
    path.write_text(CONFIG)
    monkeypatch.setenv("CRUDSD_CONFIG", str(path))
    return path


@pytest.fixture
def key(config: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["key", "generate"]) == 0
    capsys.readouterr()
    return config.with_name("crudsd.key")


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Say:
    def say(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return say


def kept(folder: Path, name: str) -> str:
    """Return a secret as a run gets it."""
    from daemon.sealing import vault_lookup
    from daemon.settings import Settings
    from daemon.spec import load

    settings = Settings(config=folder / "crudsd.yaml", environment={})
    with vault_lookup(settings, load(settings.config)) as look_up:
        return look_up(name).reveal()


@pytest.mark.parametrize(
    ("entered", "value"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b"hunter2\n\n", "hunter2\n"),
        (b" hunter2 ", " hunter2 "),
        ("schlüssel".encode(), "schlüssel"),
        (b"-----BEGIN KEY-----\nx\n-----END KEY-----\n", "-----BEGIN KEY-----\nx\n-----END KEY-----"),
    ],
)
def test_a_value_comes_from_stdin_without_one_newline_at_its_end(
    key: Path, stdin: Say, capsys: pytest.CaptureFixture[str], entered: bytes, value: str
) -> None:
    stdin(entered)

    assert main(["secret", "set", "hr-token"]) == 0

    said = capsys.readouterr()
    assert (said.out, said.err) == ("The secret hr-token is kept, version 1.\n", "")
    assert kept(key.parent, "hr-token") == value


@pytest.mark.parametrize(
    ("entered", "complaint"),
    [
        (b"", "the value of hr-token is empty; nothing was kept"),
        (b"\n", "is empty"),
        (b" \n", "is empty"),
        (b"hunter2\xff", "is not UTF-8; a secret is text"),
        (b"hunter2" * 150_000, "has more than 1,000,000 bytes"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(
    key: Path, stdin: Say, capsys: pytest.CaptureFixture[str], entered: bytes, complaint: str
) -> None:
    stdin(entered)

    assert main(["secret", "set", "hr-token"]) == 2

    said = capsys.readouterr()
    assert complaint in said.err
    assert "hunter2" not in said.out + said.err
    assert main(["secret", "list"]) == 0
    assert capsys.readouterr().out == "There are no secrets.\n"


@pytest.mark.parametrize("name", ["Hr-Token", "a b", "-x", ""])
def test_a_name_that_no_job_file_could_hold_is_refused(
    key: Path, stdin: Say, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    stdin(b"hunter2")
    assert main(["secret", "set", "--", name]) == 2
    assert "is not a name for a secret" in capsys.readouterr().err


def test_a_value_is_no_argument(key: Path, stdin: Say, capsys: pytest.CaptureFixture[str]) -> None:
    stdin(b"")
    assert main(["secret", "set", "hr-token", "hunter2"]) == 2
    assert main(["secret", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"secrets": []}


def test_without_a_key_nothing_is_read_or_kept(config: Path, stdin: Say, capsys: pytest.CaptureFixture[str]) -> None:
    stdin(b"hunter2")
    assert main(["secret", "set", "hr-token"]) == 78
    assert "there is no key to seal the secret with; `crudsd key generate` makes one" in capsys.readouterr().err
    assert sys.stdin.read() == "hunter2"


def test_secrets_are_listed_with_their_use_and_without_their_values(
    key: Path, stdin: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("hr-token", "idle", "idle"):
        stdin(b"hunter2")
        main(["secret", "set", name])
    assert "Refer to it in the configuration as {vault: idle}." in capsys.readouterr().out

    assert main(["secret", "list"]) == 0
    used, idle = capsys.readouterr().out.splitlines()
    assert main(["secret", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["secrets"]

    assert used.startswith("hr-token  version 1, set 20")
    assert f"used by {AT.format(key.with_name('crudsd.yaml'))}" in used
    assert idle.startswith("idle  version 2, set 20")
    assert idle.endswith("used nowhere")
    assert [(one["name"], one["version"], len(one["used_at"])) for one in told] == [("hr-token", 1, 1), ("idle", 2, 0)]
    assert "hunter2" not in used + idle + repr(told)


def test_a_secret_that_is_used_is_forgotten_only_by_force(
    key: Path, stdin: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin(b"hunter2")
    main(["secret", "set", "hr-token"])
    place = AT.format(key.with_name("crudsd.yaml"))

    assert main(["secret", "remove", "hr-token"]) == 2
    assert f"the secret hr-token is used by {place}" in capsys.readouterr().err
    assert main(["secret", "remove", "hr-token", "--force"]) == 0

    said = capsys.readouterr()
    assert said.out == "The secret hr-token is forgotten.\n"
    assert f"warning: the configuration refers to it still: {place}" in said.err
    assert main(["secret", "remove", "hr-token", "--force"]) == 2


@pytest.mark.parametrize("verb", [["validate"], ["runs"], ["serve"]])
def test_a_missing_secret_is_told_at_its_place_with_the_cure(
    key: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    assert main(verb) == 78

    err = capsys.readouterr().err
    assert f"{key.with_name('crudsd.yaml')}:3:" in err
    assert "connections.hr.auth.token.vault: secret hr-token is not in the vault" in err
    assert "help: set it: crudsd secret set hr-token" in err


def test_once_it_is_set_the_configuration_is_valid(key: Path, stdin: Say, capsys: pytest.CaptureFixture[str]) -> None:
    stdin(b"hunter2")
    main(["secret", "set", "hr-token"])
    assert [main(["validate"]), main(["runs"])] == [0, 0]

    key.rename(key.with_name("away"))
    assert main(["validate"]) == 78
    assert "cannot be opened, for there is no key" in capsys.readouterr().err


def test_validate_makes_no_state_database(key: Path) -> None:
    assert main(["validate"]) == 78
    assert sorted(file.name for file in key.parent.iterdir()) == ["crudsd.key", "crudsd.yaml"]


def on_a_terminal(folder: Path, *words: str, typed: list[bytes]) -> tuple[int, bytes]:
    """Run `crudsd` on a terminal of its own, typing a line at each prompt; return its code and what was shown."""
    near, far = os.openpty()
    take_it = (
        "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
    )
    command = [sys.executable, "-c", take_it, str(CRUDSD), *words]
    shown = b""
    with subprocess.Popen(
        command,
        cwd=folder,
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
        env={**os.environ, "TERM": "dumb"},
    ) as process:
        os.close(far)
        try:
            for line in [*typed, b""]:
                while not shown.endswith(b": "):
                    shown += os.read(near, 1024)
                os.write(near, line + b"\n")
                shown += b"|"
        except OSError:
            pass  # it has ended, and its terminal with it
        code = process.wait(60)
    os.close(near)
    return code, shown


def test_on_a_terminal_it_is_asked_for_twice_and_never_shown(key: Path) -> None:
    code, shown = on_a_terminal(key.parent, "secret", "set", "hr-token", typed=[b"hunter2", b"hunter2"])

    assert code == 0, shown
    assert b"Value of hr-token: |" in shown
    assert b"The same again: |" in shown
    assert b"is kept, version 1" in shown
    assert b"hunter2" not in shown
    assert kept(key.parent, "hr-token") == "hunter2"


def test_two_values_that_differ_are_refused(key: Path) -> None:
    code, shown = on_a_terminal(key.parent, "secret", "set", "hr-token", typed=[b"hunter2", b"hunter3"])

    assert code == 2
    assert b"the two values are not the same; nothing was kept" in shown
    assert b"hunter" not in shown
