"""The systems from outside: their control endpoint, their folder, their process."""

import json
import signal
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.demo.config import job_file, write_folder
from daemon.demo.helpdesk import Helpdesk
from daemon.demo.hr import Hr
from daemon.demo.systems import Systems, churn, serving
from daemon.errors import UsageError
from tests.unit.demo.conftest import Caller


@pytest.fixture
def systems() -> Iterator[Systems]:
    with serving(Hr(employees=40), Helpdesk()) as both:
        yield both


@pytest.fixture
def control(systems: Systems) -> Iterator[Caller]:
    caller = Caller(systems.control)
    yield caller
    caller.connection.close()


def test_a_change_is_told_by_employee_number(control: Caller, systems: Systems) -> None:
    told = control("POST", "/demo/change?n=8").body
    assert {name: len(numbers) for name, numbers in told.items()} == {"left": 2, "edited": 4, "joined": 2}
    assert len(systems.hr.active()) == 40


def test_an_outage_comes_and_goes(control: Caller, systems: Systems) -> None:
    assert control("POST", "/demo/outage").body == {"outage": True}
    assert control("POST", "/demo/outage?on=false").body == {"outage": False}
    assert control("POST", "/demo/outage?on=maybe").status == 400


def test_the_comparison_counts_differences(control: Caller) -> None:
    found = control("GET", "/demo/compare").body
    assert found == {
        "employees": 40,
        "equal": 0,
        "differences": 40,
        "missing": 40,
        "different": 0,
        "surplus": 0,
        "doubled": 0,
        "own": 2,
    }


def test_a_delete_of_somebody_who_is_employed_is_a_wrong_one(control: Caller, systems: Systems) -> None:
    desk = Caller(systems.helpdesk_server)
    bearer = f"Bearer {systems.helpdesk.token}"
    (gone,) = systems.hr.leave(1)
    for number in (gone, systems.hr.active()[0]["employee_no"]):
        made = desk("POST", "/v1/users", {"external_id": number, "name": "x"}, Authorization=bearer).body["user"]
        desk("DELETE", f"/v1/users/{made['id']}", Authorization=bearer)
    desk.connection.close()
    writes = control("GET", "/demo/writes").body
    assert writes["wrongly_deleted"] == 1
    assert [writes[name] for name in ("writes", "created", "deleted", "updates")] == [4, 2, 2, 0]


def test_churn_keeps_the_number_of_employees() -> None:
    hr = Hr(employees=100)
    for _ in range(20):
        churn(hr, 10)
    assert len(hr.active()) == 100


def test_the_folder_is_complete_and_its_secrets_are_private(systems: Systems, tmp_path: Path) -> None:
    config = write_folder(tmp_path / "demo", systems.access)
    assert config.read_text() == job_file(systems.access)
    assert systems.hr.client_secret not in config.read_text()
    assert (tmp_path / "demo/secrets/hr-client-secret").read_text() == systems.hr.client_secret
    for private in ("secrets/hr-client-secret", "secrets/helpdesk-token", "crudsd.key"):
        assert stat.S_IMODE((tmp_path / "demo" / private).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "demo/secrets").stat().st_mode) == 0o700


def test_a_folder_with_something_in_it_is_refused(systems: Systems, tmp_path: Path) -> None:
    (tmp_path / "crudsd.db").touch()
    with pytest.raises(UsageError, match="not empty"):
        write_folder(tmp_path, systems.access)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_serves_and_ends_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    command = [
        sys.executable,
        "-m",
        "daemon.demo.systems",
        "--employees",
        "5",
        "--calm",
        "--dir",
        str(tmp_path / "soak"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            places = json.loads(process.stdout.readline())
            with urllib.request.urlopen(f"{places['control']}/demo/compare", timeout=10) as answer:
                assert json.load(answer)["employees"] == 5
            assert (tmp_path / "soak/crudsd.yaml").read_text().count(places["hr"]) == 2
        finally:
            process.send_signal(number)
        assert process.wait(timeout=10) == 0
