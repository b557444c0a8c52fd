"""Alerts as they are written: who is told, what is wrong with it, and what files may say it."""

from pathlib import Path
from typing import Any

import pytest

from daemon.spec import SecretRef, SpecError, Tells, WebhookAlert, check_secrets, job_revision, load, vault_references
from tests.unit.spec.files import GOOD, write

ALERTS = """\
alerts:
  ops: {type: webhook, url: {vault: ops-url}, headers: {Authorization: {env: OPS_TOKEN}}}
  cmd: {type: command, command: [/bin/true, a]}
  dead: {type: heartbeat, url: "https://ping.example.com/x", path: "{{ alert.job }}"}
"""


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(write(folder, text))
    return [f"{problem.line}: {problem.message}; {problem.cure}" for problem in caught.value.problems]


def _with(lines: tuple[str, ...]) -> str:
    before, name, after = GOOD.partition("  people:\n")
    return before + name + "".join(f"    {line}\n" for line in lines) + after + ALERTS


def test_what_a_job_says_counts_instead_of_what_is_said_of_all(tmp_path: Path) -> None:
    text = _with(("on_failure: []", "on_late: {to: cmd, after: 2h}")) + "on_failure: {to: [ops, cmd], after: 3}\n"
    tells = load(write(tmp_path, text + "on_recovery: ops\nheartbeat: dead\n")).spec.tells("people")

    assert tells.on_failure is not None
    assert (tells.on_failure.to, tells.on_recovery, tells.on_hold) == ([], ["ops"], None)
    assert tells.recipients == ("cmd", "ops", "dead")


def test_what_is_told_is_no_other_job(tmp_path: Path) -> None:
    plain, told = (load(write(tmp_path, text)).spec.jobs["people"] for text in (GOOD, _with(("on_failure: ops",))))

    assert job_revision(plain) == job_revision(told)


def test_files_of_jobs_may_bring_their_alerts_and_defaults_are_the_main_files(tmp_path: Path) -> None:
    part = "".join(line for line in ALERTS.splitlines(keepends=True) if "command" not in line)
    assert load(write(tmp_path, GOOD + "on_failure: ops\n", ops=part)).spec.alerts.keys() == {"ops", "dead"}

    with pytest.raises(SpecError) as caught:
        load(write(tmp_path, GOOD, ops=part + "on_failure: ops\n"))
    assert [problem.message for problem in caught.value.problems] == ["belongs in the main file"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_with(("on_failure: opps",)), "unknown alert 'opps'; did you mean 'ops'?"),
        (_with(("on_hold: [cmd, nobody]",)), "unknown alert 'nobody'; known alerts: ops, cmd, dead"),
        (GOOD + "on_failure: ops\n", "unknown alert 'ops'; there are none; add it under `alerts:`"),
        (
            _with(("on_failure: dead",)),
            "'dead' is a heartbeat, which tells of good runs only; write it as heartbeat",
        ),
        (_with(("heartbeat: ops",)), "'ops' is no heartbeat; name an alert of type heartbeat"),
        (
            _with(("on_late: ops",)),
            "nothing says when this job is late; say so (example: on_late: {to: [ops], after",
        ),
        (_with(("on_failure: {to: ops, after: 0}",)), "1"),
        (_with(("on_failure: {after: 2}",)), "to"),
    ],
)
def test_a_mistake_in_who_is_told_has_its_place_and_its_cure(tmp_path: Path, text: str, told: str) -> None:
    (found,) = problems(tmp_path, text)

    assert told in found


@pytest.mark.parametrize(
    ("alert", "told"),
    [
        ("{type: webhook, url: hooks.example.com/a}", "not an http address"),
        ("{type: webhook, url: 'https://a:b@example.com/'}", "credentials do not belong in an address"),
        ("{type: heartbeat, url: 'https://example.com/#a'}", "this address may have no #"),
        ("{type: heartbeat, url: 'https://example.com:port/'}", "not an http address"),
        ("{type: webhook, url: 'http://example.com/', headers: {X: {env: A}}}", "a secret would travel unencrypted"),
        ("{type: webhook, url: 'https://example.com/', body: {text: '{{ alrt.job }}'}}", "unknown name 'alrt'"),
        ("{type: heartbeat, url: 'https://example.com/', path: '{{ job }}'}", "unknown name 'job'"),
        ("{type: command, command: [bin/tell]}", "a program is named by its whole path, and is no shell line"),
        ("{type: command, command: []}", "at least 1 item"),
        ("{type: command, command: /bin/tell ops}", "list"),
        ("{type: pager}", "pager"),
    ],
)
def test_a_mistake_in_a_destination_has_its_place(tmp_path: Path, alert: str, told: str) -> None:
    (found,) = problems(tmp_path, f"{GOOD}alerts:\n  x: {alert}\n")

    assert found.startswith("10: ")
    assert told in found


def test_who_may_only_add_jobs_has_no_program_started(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(write(tmp_path, GOOD, ops=ALERTS))

    (problem,) = caught.value.problems
    assert problem.file.endswith("jobs.d/ops.yaml")
    assert (problem.line, problem.message) == (3, "a program that is started belongs in the main file")


def test_a_program_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "tell").touch(mode=0o600)
    command = "type: command, command"
    alerts = f"alerts:\n  a: {{{command}: [/nowhere/tell]}}\n  b: {{{command}: [{tmp_path}/tell]}}\n"

    first, second = load(write(tmp_path, GOOD + alerts)).warnings

    assert "crudsd.yaml:10:" in first
    assert "alert a starts /nowhere/tell, which is not there" in first
    assert "which may not be executed by this user" in second


def test_secrets_of_destinations_are_looked_for_like_all_others(tmp_path: Path) -> None:
    loaded = load(write(tmp_path, GOOD + ALERTS.replace("{env: OPS_TOKEN}", "{file: token}")))

    found = check_secrets(loaded, {})
    alert = loaded.spec.alerts["ops"]

    assert [problem.line for problem in found] == [10, 10]
    assert list(vault_references(loaded)) == ["ops-url"]
    assert isinstance(alert, WebhookAlert)
    assert isinstance(alert.headers["Authorization"], SecretRef)
    assert alert.headers["Authorization"].file == tmp_path / "token"


@pytest.mark.parametrize("said", [{"on_failure": "ops"}, {"on_failure": ["ops"]}, {"on_failure": {"to": ["ops"]}}])
def test_short_forms_mean_the_long_one(said: dict[str, Any]) -> None:
    assert Tells.model_validate(said) == Tells.model_validate({"on_failure": {"to": ["ops"], "after": 1}})
