"""The comparison finds each kind of difference; otherwise the demo would praise itself."""

import pytest

from daemon.demo.compare import compare, compare_over_http
from daemon.demo.helpdesk import OWN_USERS, Helpdesk
from daemon.demo.hr import Hr
from daemon.demo.systems import serving
from daemon.values import Json, Record


def employee(number: str, **fields: Json) -> Record:
    base = {"given_name": "Zoë", "family_name": "Ó Briain", "work_email": "Z@EXAMPLE.COM", "mobile": None}
    return {"employee_no": number, **base, **fields}


def user(number: str, **fields: Json) -> Record:
    base = {"name": "Zoë Ó Briain", "email": "z@example.com", "locale": "en", "role": "requester"}
    return {"external_id": number, **base, **fields}


def test_equal_systems_are_equal_whatever_the_target_adds() -> None:
    found = compare([employee("E1"), employee("E2", language="fr")], [user("E1"), user("E2", locale="fr")])
    assert (found.employees, found.equal, found.differences) == (2, 2, 0)


@pytest.mark.parametrize(
    ("users", "group"),
    [
        ([], "missing"),
        ([user("E1", name="Zoë")], "different"),
        ([user("E1", email="Z@example.com")], "different"),
        ([user("E1", phone="1")], "different"),
        ([user("E1", locale=None)], "different"),
        ([user("E1"), user("E2")], "surplus"),
        ([user("E1"), user("E1")], "doubled"),
    ],
)
def test_a_difference_is_found(users: list[Record], group: str) -> None:
    found = compare([employee("E1")], users)
    assert found.differences == 1
    assert len(getattr(found, group)) == 1
    assert found.counts()[group] == 1


def test_users_of_the_help_desks_own_are_no_difference() -> None:
    assert compare([], [{"name": "Administrator"}]).own == ("Administrator",)


def test_the_comparison_over_http_reads_everything_past_the_odd_refusal() -> None:
    hr = Hr(employees=650)
    with serving(hr, Helpdesk()) as systems:
        found = compare_over_http(systems.access)
    assert hr.faults == 1
    assert (found.employees, len(found.missing), found.own) == (650, 650, OWN_USERS)
