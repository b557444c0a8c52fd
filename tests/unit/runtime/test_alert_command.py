"""Alerts told by real programs: what they are given, what they are not, and how they end."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import RefusedError, UnavailableError
from daemon.runtime.alert_command import CommandSender
from daemon.spec import AlertEvent, CommandAlert
from daemon.values import Secret
from tests.canaries import seen_in
from tests.servers.process import until

ALERT = {"event": "failure", "job": "people", "run": "r1", "summary": "people failed: 404 – nicht da", "cause": ""}
WRITES = "import json, os, sys; json.dump([sys.stdin.read(), dict(os.environ), os.getcwd()], open(sys.argv[1], 'w'))"


def sender(*command: str, timeout: str = "20s", environment: dict[str, str] | None = None) -> CommandSender:
    said: dict[str, Any] = {"type": "command", "command": list(command), "timeout": timeout}
    given = {"PATH": os.environ["PATH"]} if environment is None else environment
    return CommandSender("ops", CommandAlert.model_validate(said), given)


def python(code: str, *arguments: str, **more: Any) -> CommandSender:
    return sender(sys.executable, "-c", code, *arguments, **more)


def test_a_program_gets_the_alert_on_its_stdin_and_the_most_of_it_in_its_environment(tmp_path: Path) -> None:
    python(WRITES, str(tmp_path / "out")).send(AlertEvent.FAILURE, ALERT)

    stdin, environment, folder = json.loads((tmp_path / "out").read_text())
    assert json.loads(stdin) == ALERT
    assert environment["CRUDSD_EVENT"] == "failure"
    assert environment["CRUDSD_JOB"] == "people"
    assert environment["CRUDSD_RUN"] == "r1"
    assert environment["CRUDSD_SUMMARY"] == ALERT["summary"]
    assert folder == "/"


def test_a_program_gets_nothing_of_our_environment_that_may_be_secret(tmp_path: Path) -> None:
    known = Secret("canary-in-a-harmless-name").reveal()
    ours = {
        "PATH": os.environ["PATH"],
        "HR_TOKEN": "canary-token-of-hr",
        "CRUDSD_KEY": "canary-key",
        "CREDENTIALS_DIRECTORY": "/run/credentials/crudsd",
        "HOME": f"/home/{known}",
    }

    python(WRITES, str(tmp_path / "out"), environment=ours).send(AlertEvent.FAILURE, ALERT)

    written = (tmp_path / "out").read_text()
    assert seen_in(written) == []
    assert not {"HR_TOKEN", "CRUDSD_KEY", "CREDENTIALS_DIRECTORY", "HOME"} & json.loads(written)[1].keys()


def test_arguments_are_no_shell_line(tmp_path: Path) -> None:
    python(WRITES, str(tmp_path / "$(touch x); rm *")).send(AlertEvent.FAILURE, ALERT)

    assert [file.name for file in tmp_path.iterdir()] == ["$(touch x); rm *"]


def test_what_a_program_said_is_told_when_it_fails_without_secrets_and_not_all_of_it() -> None:
    token = Secret("canary-of-a-webhook").reveal()
    code = f"print('x' * 1_000_000); print('smtp: 550 no such user {token}', flush=True); raise SystemExit(75)"

    with pytest.raises(UnavailableError, match=r"ended with 75: .*550 no such user \[") as caught:
        python(code).send(AlertEvent.FAILURE, ALERT)

    assert len(str(caught.value)) < 3_000


def test_a_program_that_reads_nothing_is_no_trouble() -> None:
    large = {**ALERT, "reason": "x" * 1_000_000}

    python("pass").send(AlertEvent.FAILURE, large)
    python("import os; os.close(0)").send(AlertEvent.FAILURE, large)


def test_a_program_that_leaves_a_child_with_its_output_is_over_when_it_is_over(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/pid"

    sender("/bin/sh", "-c", script).send(AlertEvent.FAILURE, ALERT)

    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("code", ["sleep 60", "exec >&- 2>&-; sleep 60", "while :; do echo; done"])
def test_a_program_that_does_not_end_is_ended_with_all_that_it_started(code: str, tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! > {tmp_path}/pid; {code}"

    with pytest.raises(UnavailableError, match=r"/bin/sh took longer than 0\.5 s and was ended"):
        sender("/bin/sh", "-c", script, timeout="500ms").send(AlertEvent.FAILURE, ALERT)

    child = int((tmp_path / "pid").read_text())
    until(lambda: not is_alive(child), what="its child has ended", within_s=20)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def test_the_end_of_the_service_ends_a_program() -> None:
    program, failed = sender("/bin/sleep", "60", timeout="60s"), threading.Event()

    def tell() -> None:
        with pytest.raises(UnavailableError, match="was ended by signal 9"):
            program.send(AlertEvent.FAILURE, ALERT)
        failed.set()

    thread = threading.Thread(target=tell)
    thread.start()
    while not failed.wait(0.01):
        program.close()
    thread.join(20)


@pytest.mark.parametrize(
    ("program", "reason"), [("/nowhere/tell", "No such file"), ("/etc/passwd", "Permission denied")]
)
def test_a_program_that_cannot_be_started_is_not_tried_again(program: str, reason: str) -> None:
    with pytest.raises(RefusedError, match=f"alert ops: {program} cannot be started: {reason}"):
        sender(program).send(AlertEvent.FAILURE, ALERT)
