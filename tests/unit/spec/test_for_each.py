"""What is wrong with the parents of a source is told before any run: unknown names, and parents nobody asks by."""

from pathlib import Path

import pytest

from daemon.spec import load
from tests.unit.spec.files import good_but, write
from tests.unit.spec.test_answers import problems

HR = "  hr: {host: https://hr.example.com}\n"
DB = "  db: {type: sql, url: 'sqlite:///a.db'}\n"
API = "  api: {type: interface, file: a.yaml, host: https://hr.example.com}\n"
CONNECTIONS = (HR, HR + DB + API)
SOURCE = "source: {connection: hr, read: employees}"
KEY = "    key: record.id\n"
TEAMS = "{as: team, connection: hr, read: teams}"
BY_QUERY = "{as: team, connection: db, query: 'SELECT id FROM teams'}"
LISTED = "{as: region, in: [eu, us]}"


def job(for_each: str, source: str, key: str = "record.id", **more: str) -> list[tuple[str, str]]:
    said = "".join(f"    {name}: {value}\n" for name, value in {"for_each": for_each, "key": key, **more}.items())
    return [CONNECTIONS, (SOURCE, f"source: {source}"), (KEY, said)]


def asks(query: str) -> str:
    return f'{{connection: db, query: "{query}"}}'


GOOD = {
    "a query by a field": job(BY_QUERY, asks("SELECT * FROM a WHERE team = :team_id"), "[team.id, record.id]"),
    "a query by a plain value": job(LISTED, asks("SELECT * FROM a WHERE region = :region")),
    "a query by requested parents": job(TEAMS, asks("SELECT * FROM a WHERE team = :team_id")),
    "a request by rows": job(BY_QUERY, '{connection: hr, read: "teams/{{ team.id }}/members"}'),
    "a request by its body": job(
        TEAMS, '{connection: hr, read: {uri: search, method: POST, body: {team: "{{ team.id }}"}}}'
    ),
    "a call by its arguments": job(
        LISTED,
        '{connection: api, call: person.get_list, complete: true, arguments: {region: "{{ region }}"}}',
        "[region, record.id]",
    ),
    "a query by both of two": job(
        "{as: team, connection: db, query: 'SELECT id FROM t WHERE r = :region', for_each: {as: region, in: [a]}}",
        asks("SELECT * FROM a WHERE team = :team_id AND region = :region"),
    ),
    "a query by the inner one, which asks by the outer one": job(
        "{as: team, connection: db, query: 'SELECT id FROM t WHERE r = :region', for_each: {as: region, in: [a]}}",
        asks("SELECT * FROM a WHERE team = :team_id"),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_parents_that_are_asked_by_are_accepted(name: str, tmp_path: Path) -> None:
    assert load(write(tmp_path, good_but(*GOOD[name]))).spec.jobs["people"].for_each is not None


BAD = {
    "a query by an unknown name": (
        job(BY_QUERY, asks("SELECT * FROM a WHERE team = :team_id AND at > :since")),
        "source.query",
        "nothing is known here as :since",
        "known here: :team_FIELD",
    ),
    "a query by a cursor that is not declared": (
        job(BY_QUERY, asks("SELECT * FROM a WHERE team = :team_id AND at > :cursor_start")),
        "source.query",
        "nothing is known here as :cursor_start",
        "declare `incremental:`, which knows it",
    ),
    "parents by a name of their own": (
        job(
            "{as: team, connection: db, query: 'SELECT id FROM t WHERE lead = :team_lead'}",
            asks("SELECT 1 AS id WHERE 1 = :team_id"),
        ),
        "for_each.query",
        "nothing is known here as :team_lead",
        "write the value into the query, or put quotes around a text",
    ),
    "outer parents by an inner name": (
        job(
            "{as: team, connection: db, query: 'SELECT id FROM t WHERE r = :region_id', "
            "for_each: {as: region, connection: db, query: 'SELECT id FROM r WHERE t = :team_id'}}",
            asks("SELECT 1 AS id WHERE 1 = :team_id"),
        ),
        "for_each.for_each.query",
        "nothing is known here as :team_id",
        "write the value into the query, or put quotes around a text",
    ),
    "a query that asks by nothing": (
        job(BY_QUERY, asks("SELECT * FROM a")),
        "for_each.as",
        "nothing in the request asks by 'team', so each would have the same records",
        'ask by it (example: read: "teams/{{ team.id }}/items")',
    ),
    "a query whose parameter only begins alike": (
        job(BY_QUERY, asks("SELECT * FROM a WHERE teams = :teams")),
        "for_each.as",
        "nothing in the request asks by 'team', so each would have the same records",
        'ask by it (example: read: "teams/{{ team.id }}/items")',
    ),
    "outer parents by whom nothing is asked": (
        job(
            "{as: team, connection: hr, read: teams, for_each: {as: region, in: [a]}}",
            '{connection: hr, read: "teams/{{ team.id }}"}',
        ),
        "for_each.for_each.as",
        "nothing in the request asks by 'region', so each would have the same records",
        'ask by it (example: read: "regions/{{ region.id }}/items")',
    ),
    "a call that asks by nothing": (
        job(LISTED, "{connection: api, call: person.get_list, complete: true}"),
        "for_each.as",
        "nothing in the request asks by 'region', so each would have the same records",
        'ask by it (example: read: "regions/{{ region.id }}/items")',
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_in_parents_is_told_with_its_place_and_its_cure(name: str, tmp_path: Path) -> None:
    changes, place, message, cure = BAD[name]

    assert (f"jobs.people.{place}", message, cure) in problems(tmp_path, *changes)
