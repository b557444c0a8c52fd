"""Good files become one frozen spec that remembers where each part was written."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pydantic
import pytest

from daemon.spec import (
    Job,
    Mode,
    RequestSource,
    SpecError,
    changed_blocks,
    has_moved,
    job_revision,
    job_selection,
    load,
)
from tests.unit.spec.files import GOOD, good_but, write

EXAMPLE = Path(__file__).with_name("people_to_helpdesk.yaml")


def test_the_example_of_the_design_loads() -> None:
    spec = load(EXAMPLE).spec

    job = spec.jobs["people-to-helpdesk"]
    assert job.mode is Mode.MIRROR
    assert isinstance(job.source, RequestSource)
    assert job.source.request.records == "data.items"
    assert job.map is not None
    assert job.map["email"].required
    assert job.guards.deletes.percent == Decimal(5)
    assert spec.http_connections["hr"].retry.backoff == 0.9


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    write(tmp_path)
    assert load(tmp_path).files == (tmp_path / "crudsd.yaml",)


def test_jobs_d_is_read_in_order_and_merged(tmp_path: Path) -> None:
    job = GOOD.split("jobs:\n")[1]
    write(tmp_path, b="version: 1\njobs:\n" + job.replace("people", "b"), a="jobs:\n" + job.replace("people", "a"))
    (tmp_path / "jobs.d" / "c.yml").write_text("connections:\n  desk: {host: desk.example.com}\n")
    (tmp_path / "jobs.d" / ".hidden.yaml").write_text("{")
    (tmp_path / "jobs.d" / "notes.txt").write_text("{")

    loaded = load(tmp_path / "crudsd.yaml")

    assert [file.name for file in loaded.files] == ["crudsd.yaml", "a.yaml", "b.yaml", "c.yml"]
    assert list(loaded.spec.jobs) == ["people", "a", "b"]
    assert list(loaded.spec.connections) == ["hr", "desk"]
    assert loaded.place_of(("jobs", "a", "key")) == f"{tmp_path / 'jobs.d' / 'a.yaml'}:4:5"


def test_a_place_that_was_not_written_is_the_nearest_around_it() -> None:
    loaded = load(EXAMPLE)
    assert loaded.place_of(("jobs", "people-to-helpdesk", "guards", "collapse")).endswith(":46:5")


def test_what_is_loaded_cannot_be_changed(tmp_path: Path) -> None:
    write(tmp_path)
    with pytest.raises(pydantic.ValidationError):
        load(tmp_path).spec.state = "x"  # type: ignore[misc]


def test_files_are_meant_from_the_folder_of_the_file_that_names_them(tmp_path: Path) -> None:
    part = (
        "connections:\n  desk: {host: a.b, auth: {type: bearer, token: {file: t.txt}}, tls: {ca_file: /etc/ca.pem}}\n"
    )
    write(tmp_path, a=part)

    connection = load(tmp_path).spec.http_connections["desk"]

    assert connection.auth.token.file == tmp_path / "jobs.d" / "t.txt"  # type: ignore[union-attr]
    assert connection.tls.ca_file == Path("/etc/ca.pem")


def test_keys_that_begin_with_x_are_a_place_for_anchors(tmp_path: Path) -> None:
    text = good_but(
        ("version: 1\n", "version: 1\nx-quota: &quota {requests: 300, per: 1m}\n"),
        ("{host: https://hr.example.com}", "{host: https://hr.example.com, quota: *quota}"),
    )
    write(tmp_path, text)
    assert load(tmp_path).spec.http_connections["hr"].quota.requests == 300


@pytest.mark.parametrize("text", ["version: 1\n", "version: 1\nconnections:\njobs:\n"])
def test_a_spec_without_jobs_is_a_spec(text: str, tmp_path: Path) -> None:
    write(tmp_path, text)
    assert load(tmp_path).spec.jobs == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version: 1\n", "", "version is missing"),
        ("version: 1", "version: 2", "version: expected 1"),
        (GOOD, "[1]", "expected `connections:` and `jobs:`"),
        (GOOD, "", "version is missing"),
        ("hr: {host", "HR: {host", "connections.HR: not a name"),
        ("key: record.id", "key: {a: 1}", "expected text, found a mapping"),
        ("key: record.id", "key: [record.id, 'record.']", r"key\[1\]: not an expression"),
        ("read: employees", "read: 5", "expected text or a mapping, found a number"),
        ("read: employees", "read: employees, records: 'a[['", "records: not a JMESPath"),
        ("read: employees", "read: employees, paginate: {type: pages}", "'pages' is not one of none, page"),
        ("read: employees", "read: 'employees/{{ record.id }}'", "unknown name 'record'"),
        ("create: users", "create: 'users/{{ record.id }}'", "write document.FIELD, of the record as it is mapped"),
        ("create: users", "create: 'users/{{ target.id }}'", "unknown name 'target'"),
        (
            "create: users",
            "create: users, match: no, lookup: {uri: users, params: {no: '{{ record.id }}'}}",
            "write document.FIELD",
        ),
        ("create: users", "create: users, match: no, list: 'users?no={{ key }}'", "templates are not known here"),
        (
            "create: users",
            "create: users, delete: 'users/{{ document.id }}'",
            "known here: idempotency_key, key, target",
        ),
        (
            "create: users",
            "create: users, match: no, list: {uri: users, version: 'header:ETag'}",
            "list.version: an answer with several records has no header for each",
        ),
        (
            "create: users",
            "create: users, match: no, lookup: {uri: users, version: 'header:ETag'}",
            "name the field of a record that holds it",
        ),
        ("create: users", "create: {uri: users, id: 'header:Location'}", "no header can stand here"),
        ("read: employees", "read: {uri: employees, method: POST, body: document}", "there is no document here"),
        ("create: users", "create: users, delete: {uri: a, method: POST, body: document}", "there is no document here"),
        (
            "create: users",
            "create: users, match: no, lookup: {uri: a, method: POST, body: changed}",
            "there is no changed here",
        ),
        ("create: users", "create: users, id: 'header:Location'", "no header can stand here"),
        ("read: employees", "read: employees, records: 'header:X'", "no header can stand here"),
        (
            "read: employees",
            "read: employees, paginate: {type: page, param: p, has_more: 'header:X-More'}",
            "no header can stand here",
        ),
        ("key: record.id", "key: record.id\n    schedule: {cron: '@dayly'}", "'@dayly' is not known here"),
        ("key: record.id", "key: record.id\n    schedule: {cron: '0 0 * *'}", "cron has five fields, this has 4"),
        ("key: record.id", "key: record.id\n    schedule: {at: 2026-12-24}", "a moment is a date and a time"),
        ("key: record.id", "key: record.id\n    schedule: {at: []}", "schedule.at"),
        ("key: record.id", "key: record.id\n    schedule: {every: 5}", "a duration is a number and a unit"),
        ("key: record.id", "key: record.id\n    schedule: {every: 0s}", "schedule.every: must be at least 1s"),
        ("key: record.id", "key: record.id\n    schedule: {every: 999ms}", "schedule.every: must be at least 1s"),
        ("key: record.id", "key: record.id\n    schedule: {jitter: 99999999999w, every: 1m}", "at most 36500d"),
        ("key: record.id", "key: record.id\n    timeout: 0s", "timeout: must be more than 0s"),
        ("https://hr.example.com", "https://hr.example.com, quota: {requests: 5, per: 0ms}", "must be more than 0s"),
        ("key: record.id", "key: record.id\n    schedule: {after: peple}", "unknown job 'peple'"),
        ("key: record.id", "key: record.id\n    guards: {deletes: lots}", "a share is a percentage"),
        ("key: record.id", "key: record.id\n    guards: {deletes: {}}", "say percent, count, or both"),
        ("key: record.id", "key: record.id\n    map: {a: record.a, a.b: record.b}", "'a' is a value already"),
        ("https://hr.example.com", "ftp://hr", "not an http address"),
        ("https://hr.example.com", "'https://hr?x=1'", "a base address has no"),
        ("host: https://hr.example.com", "host: a.b, headers: {X: '{{ record.x }}'}", "templates are not known here"),
        ("host: https://hr.example.com", "host: a.b, quota: {requests: '30'}", "write 30 without quotes"),
        ("host: https://hr.example.com", "host: a.b, auth: {token: {env: T}}", "type is missing"),
        ("host: https://hr.example.com", "host: a.b, auth: {type: oauth}", "did you mean 'oauth2'"),
        (
            "host: https://hr.example.com",
            "host: a.b, auth: {type: bearer, token: {env: A, file: b}}",
            "exactly one place",
        ),
    ],
)
def test_it_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, good_but((old, new)))
    with pytest.raises(SpecError, match=message):
        load(tmp_path)


def test_only_the_main_file_says_where_the_state_is(tmp_path: Path) -> None:
    write(tmp_path, a="state: other.db\n")
    with pytest.raises(SpecError, match="state: belongs in the main file"):
        load(tmp_path)


@pytest.mark.parametrize("host", ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:1"])
def test_credentials_may_go_to_this_machine_unencrypted(host: str, tmp_path: Path) -> None:
    write(tmp_path, good_but(("https://hr.example.com", f"'{host}', auth: {{type: bearer, token: {{env: T}}}}")))
    assert load(tmp_path).spec.http_connections["hr"].host == host


JOB = {
    "source": {"connection": "hr", "read": "employees"},
    "key": "record.id",
    "map": {"a": "record.a", "b": "record.b"},
    "target": {"connection": "hr", "create": "users", "update": "users/{{ target.id }}"},
}


def test_the_revision_is_the_same_for_what_means_the_same() -> None:
    longer = JOB | {
        "source": {"connection": "hr", "read": {"uri": "employees"}, "paginate": {"type": "none"}},
        "map": {"b": {"from": "record.b"}, "a": {"from": "record.a", "required": False}},
        "schedule": {"every": "5m"},
        "description": "x",
        "guards": {"deletes": 3},
        "mode": "create_only",
        "ignore": [],
    }
    assert job_revision(Job.model_validate(JOB)) == job_revision(Job.model_validate(longer))
    assert len(job_revision(Job.model_validate(JOB))) == 16


def test_how_long_the_target_may_be_behind_is_no_matter_of_the_revision() -> None:
    job = Job.model_validate(JOB)
    behind = job.model_copy(update={"target": job.target.model_copy(update={"settle": timedelta(minutes=5)})})
    assert job_revision(behind) == job_revision(job)


def test_the_revision_changes_with_what_is_read_mapped_or_written() -> None:
    variants = [
        JOB,
        JOB | {"key": "record.no"},
        JOB | {"where": "record.a"},
        JOB | {"ignore": ["fetched_at"]},
        JOB | {"map": {"a": "record.b", "b": "record.b"}},
        JOB | {"map": None},
        JOB | {"source": {"connection": "hr", "read": "people"}},
        JOB | {"target": {"connection": "hr", "create": {"uri": "users", "body": {"a": 1}}, "update": "u"}},
        JOB | {"target": {"connection": "hr", "create": {"uri": "users", "body": {"a": "1"}}, "update": "u"}},
        JOB
        | {"target": {"connection": "hr", "create": {"uri": "users", "body": {"a": Decimal("1.0")}}, "update": "u"}},
        JOB | {"target": {"connection": "hr", "create": {"uri": "users", "body": {"a": "1.0"}}, "update": "u"}},
    ]
    assert len({job_revision(Job.model_validate(variant)) for variant in variants}) == len(variants)


@pytest.mark.parametrize(
    ("edit", "blocks"),
    [
        ({"schedule": {"every": "1h"}, "guards": {"deletes": "1%"}}, ()),
        ({"map": None}, ("map",)),
        ({"ignore": ["fetched_at"]}, ("ignore",)),
        ({"where": "record.a"}, ("where",)),
        ({"key": "record.b", "map": {"a": "record.a"}}, ("key", "map")),
        ({"source": {"connection": "hr", "read": "leavers"}}, ("source",)),
        ({"target": {"connection": "hr", "create": "others", "update": "u"}}, ("target",)),
    ],
)
def test_two_selections_tell_which_blocks_of_a_job_were_edited(edit: dict[str, Any], blocks: tuple[str, ...]) -> None:
    before, now = (job_selection(Job.model_validate(one)) for one in (JOB, JOB | edit))

    assert changed_blocks(before, now) == blocks


@pytest.mark.parametrize(
    ("target", "moved"),
    [
        ({"connection": "hr", "create": "users", "update": "people/{{ target.id }}"}, False),
        ({"connection": "hr", "create": "users?notify=no", "update": "u"}, False),
        ({"connection": "hr", "create": "others", "update": "u"}, True),
        ({"connection": "other", "create": "users", "update": "u"}, True),
        ({"connection": "hr", "table": "users"}, True),
    ],
)
def test_a_target_has_moved_where_its_records_are_elsewhere(target: dict[str, Any], moved: bool) -> None:
    before, now = (job_selection(Job.model_validate(one)) for one in (JOB, JOB | {"target": target}))

    assert has_moved(before, now) is moved
    assert not has_moved(None, now)
    assert not has_moved("s1", now)


def test_a_first_read_was_not_edited_and_one_in_another_form_was_in_everything() -> None:
    now = job_selection(Job.model_validate(JOB))

    assert changed_blocks(None, now) == ()
    assert changed_blocks("s1", now) == ("source", "key", "where", "ignore", "map", "target", "for_each")
