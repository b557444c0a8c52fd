"""Each mistake is told with its place, a caret and a cure: bad file on the left, the operator's screen on the right."""

from pathlib import Path

import pytest

from daemon.errors import ConfigError, Exit
from daemon.spec import Problem, SpecError, check_secrets, load
from tests.unit.spec.files import GOOD, good_but, write

HR = "{host: https://hr.example.com}"
KEY = "key: record.id"

TABLE = {
    "an unknown key": (
        good_but((HR, "{host: https://hr.example.com, qouta: {requests: 3}}")),
        """\
crudsd.yaml:3:38: error: connections.hr.qouta: unknown key
    3 |   hr: {host: https://hr.example.com, qouta: {requests: 3}}
      |                                      ^^^^^
      = help: did you mean 'quota'?
1 problem in 1 file""",
    ),
    "a key at the wrong place": (
        good_but(("read: employees", "read: employees, paginate: {type: none, records: a}")),
        """\
crudsd.yaml:6:70: error: jobs.people.source.paginate.records: unknown key
    6 |     source: {connection: hr, read: employees, paginate: {type: none, records: a}}
      |                                                                      ^^^^^^^
      = help: 'records' belongs in jobs.people.source
1 problem in 1 file""",
    ),
    "a word that is none of the known ones": (
        good_but((KEY, f"{KEY}\n    mode: miror")),
        """\
crudsd.yaml:8:11: error: jobs.people.mode: 'miror' is not one of mirror, upsert, update_only, create_only, append
    8 |     mode: miror
      |           ^^^^^
      = help: did you mean 'mirror'?
1 problem in 1 file""",
    ),
    "a limit on rejects that is neither a share nor a number": (
        good_but((KEY, f"{KEY}\n    rejects: {{limit: 5.5, keep: 30}}")),
        """\
crudsd.yaml:8:22: error: jobs.people.rejects.limit: expected text or a mapping, found a number
    8 |     rejects: {limit: 5.5, keep: 30}
      |                      ^^^
crudsd.yaml:8:33: error: jobs.people.rejects.keep: a duration is a number and a unit (example: 30s, 15m, 24h, 30d)
    8 |     rejects: {limit: 5.5, keep: 30}
      |                                 ^^
2 problems in 1 file""",
    ),
    "a mode whose requests are not declared": (
        good_but((KEY, f"{KEY}\n    mode: mirror")),
        """\
crudsd.yaml:5:3: error: jobs.people: mode mirror needs target.delete
    5 |   people:
      |   ^^^^^^
1 problem in 1 file""",
    ),
    "a duplicate key": (
        good_but((KEY, f"{KEY}\n    key: record.no")),
        """\
crudsd.yaml:8:5: error: jobs.people.key: this key stands on line 7 already
    8 |     key: record.no
      |     ^^^
      = help: keep one of the two
1 problem in 1 file""",
    ),
    "an unknown connection": (
        good_but(("{connection: hr, read", "{connection: hrr, read")),
        """\
crudsd.yaml:6:26: error: jobs.people.source.connection: unknown connection 'hrr'
    6 |     source: {connection: hrr, read: employees}
      |                          ^^^
      = help: did you mean 'hr'?
1 problem in 1 file""",
    ),
    "a template without quotes as a value": (
        good_but(("read: employees", "read: employees, params: {a: {{ cursor.start }}}")),
        """\
crudsd.yaml:6:59: error: jobs.people.source.params.a: YAML reads '{{' without quotes as a mapping
    6 |     source: {connection: hr, read: employees, params: {a: {{ cursor.start }}}}
      |                                                           ^^^^^^^^^^^^^^^^^^
      = help: quote it: "{{ cursor.start }}"
1 problem in 1 file""",
    ),
    "a template without quotes inside a text": (
        good_but(('"users/{{ target.id }}"', "users/{{ target.id }}")),
        """\
crudsd.yaml:8:53: error: YAML reads '{{' without quotes as a mapping
    8 |     target: {connection: hr, create: users, update: users/{{ target.id }}}
      |                                                     ^^^^^^^^^^^^^^^^^^^^^
      = help: quote it: "users/{{ target.id }}"
1 problem in 1 file""",
    ),
    "braces around an expression": (
        good_but((KEY, 'key: "{{ record.id }}"')),
        """\
crudsd.yaml:7:10: error: jobs.people.key: this field is an expression already
    7 |     key: "{{ record.id }}"
      |          ^^^^^^^^^^^^^^^^^
      = help: write it bare: record.id
1 problem in 1 file""",
    ),
    "an unknown name in an expression": (
        good_but((KEY, "key: recrod.id")),
        """\
crudsd.yaml:7:10: error: jobs.people.key: unknown name 'recrod'
    7 |     key: recrod.id
      |          ^^^^^^^^^
      = help: did you mean 'record'?
1 problem in 1 file""",
    ),
    "an unknown filter": (
        good_but((KEY, "key: record.id | trimm")),
        """\
crudsd.yaml:7:10: error: jobs.people.key: unknown filter 'trimm'
    7 |     key: record.id | trimm
      |          ^^^^^^^^^^^^^^^^^
      = help: did you mean 'trim'?
1 problem in 1 file""",
    ),
    "no where a boolean is due": (
        good_but((KEY, f"{KEY}\n    map: {{a: {{from: record.a, required: no}}}}")),
        """\
crudsd.yaml:8:41: error: jobs.people.map.a.required: expected true or false, found text
    8 |     map: {a: {from: record.a, required: no}}
      |                                         ^^
      = help: write false
1 problem in 1 file""",
    ),
    "a number with a leading zero": (
        good_but(("read: employees", "read: employees, params: {branch: 012}")),
        """\
crudsd.yaml:6:64: error: jobs.people.source.params.branch: 012 is a number in one YAML and text in another
    6 |     source: {connection: hr, read: employees, params: {branch: 012}}
      |                                                                ^^^
      = help: quote it: "012"
1 problem in 1 file""",
    ),
    "a missing key": (
        good_but((", read: employees", "")),
        """\
crudsd.yaml:6:5: error: jobs.people.source: read is missing
    6 |     source: {connection: hr}
      |     ^^^^^^
      = help: add `read: employees`
1 problem in 1 file""",
    ),
    "a list where text is due": (
        good_but((HR, "{host: [a, b]}")),
        """\
crudsd.yaml:3:14: error: connections.hr.host: expected text, found a list
    3 |   hr: {host: [a, b]}
      |              ^^^^^^
1 problem in 1 file""",
    ),
    "a tab": (
        good_but((f"hr: {HR}", "hr:\n\thost: a.b")),
        """\
crudsd.yaml:4:1: error: a tab is not allowed here
    4 |  host: a.b
      | ^
      = help: indent with spaces
1 problem in 1 file""",
    ),
    "an unclosed quote": (
        good_but((KEY, 'key: "record.id'), ('"users/{{ target.id }}"', "users")),
        """\
crudsd.yaml:7:10: error: this quote is not closed
    7 |     key: "record.id
      |          ^
      = help: close it
1 problem in 1 file""",
    ),
    "a bad indentation": (
        good_but((f"    {KEY}", f"   {KEY}")),
        """\
crudsd.yaml:7:4: error: the indentation fits no block above
    7 |    key: record.id
      |    ^
      = help: align this line with the others of its block
1 problem in 1 file""",
    ),
    "a forgotten colon": (
        good_but(("  people:", "  people")),
        """\
crudsd.yaml:6:11: error: this key does not fit here
    6 |     source: {connection: hr, read: employees}
      |           ^
      = help: end the line above with ':', or align this key with the one above
1 problem in 1 file""",
    ),
    "a bad cron line": (
        good_but((KEY, f"{KEY}\n    schedule: {{cron: '61 * * * *', timezone: Europe/Berln}}")),
        """\
crudsd.yaml:8:22: error: jobs.people.schedule.cron: not a cron schedule: bad minute
    8 |     schedule: {cron: '61 * * * *', timezone: Europe/Berln}
      |                      ^^^^^^^^^^^^
      = help: example: "*/15 6-20 * * mon-fri"
crudsd.yaml:8:46: error: jobs.people.schedule.timezone: unknown time zone 'Europe/Berln'
    8 |     schedule: {cron: '61 * * * *', timezone: Europe/Berln}
      |                                              ^^^^^^^^^^^^
      = help: did you mean 'Europe/Berlin'?
2 problems in 1 file""",
    ),
    "a secret in the file": (
        good_but((HR, "{host: a.b, auth: {type: bearer, token: hunter2}}")),
        """\
crudsd.yaml:3:47: error: connections.hr.auth.token: a secret is never written into the job file
    3 |   hr: {host: a.b, auth: {type: bearer, token: *******}}
      |                                               ^^^^^^^
      = help: refer to it (example: {env: NAME}, {file: path}, {credential: name}, {vault: name})
1 problem in 1 file""",
    ),
    "credentials in an address": (
        good_but((HR, "{host: 'https://ada:hunter2@hr.example.com'}")),
        """\
crudsd.yaml:3:14: error: connections.hr.host: credentials do not belong in an address
    3 |   hr: {host: 'https://***********@hr.example.com'}
      |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: remove them; use auth: {type: basic, username: …, password: {env: NAME}}
1 problem in 1 file""",
    ),
    "credentials over plain http": (
        good_but((HR, "{host: 'http://hr.example.com', auth: {type: bearer, token: {env: T}}}")),
        """\
crudsd.yaml:3:14: error: connections.hr.host: credentials would travel unencrypted
    3 |   hr: {host: 'http://hr.example.com', auth: {type: bearer, token: {env: T}}}
      |              ^^^^^^^^^^^^^^^^^^^^^^^
      = help: use https, or say allow_insecure: true
1 problem in 1 file""",
    ),
    "jobs that wait for each other": (
        good_but((KEY, f"{KEY}\n    schedule: {{after: people}}")),
        """\
crudsd.yaml:8:23: error: jobs.people.schedule.after: jobs wait for each other: people → people
    8 |     schedule: {after: people}
      |                       ^^^^^^
      = help: let one of them have cron or every
1 problem in 1 file""",
    ),
}


def screen(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, **parts: str) -> str:
    write(folder, text, **parts)
    monkeypatch.chdir(folder)
    with pytest.raises(SpecError) as caught:
        load(Path("crudsd.yaml"))
    return str(caught.value)


@pytest.mark.parametrize(("text", "shown"), TABLE.values(), ids=TABLE.keys())
def test_the_operator_sees(text: str, shown: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert screen(tmp_path, monkeypatch, text) == shown


def test_problems_of_two_files_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main = good_but((KEY, "key: recrod.id"))
    broken = "jobs: {\n"
    twice = "jobs:\n  people: {}\n"

    assert screen(tmp_path, monkeypatch, main, a=broken, b=twice) == (
        """\
crudsd.yaml:7:10: error: jobs.people.key: unknown name 'recrod'
    7 |     key: recrod.id
      |          ^^^^^^^^^
      = help: did you mean 'record'?
jobs.d/a.yaml:1:8: error: a value is missing here
    1 | jobs: {
      |        ^
      = help: write it, or close the bracket
jobs.d/b.yaml:2:3: error: jobs.people: this name stands at crudsd.yaml:5:3 already
    2 |   people: {}
      |   ^^^^^^
      = help: rename one of the two
3 problems in 3 files"""
    )


def test_a_missing_environment_variable_is_told_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, good_but((HR, "{host: a.b, auth: {type: bearer, token: {env: HR_SECRET}}}")))
    monkeypatch.chdir(tmp_path)

    problems = check_secrets(load(Path("crudsd.yaml")), {}, None)

    assert str(SpecError(problems)) == (
        """\
crudsd.yaml:3:53: error: connections.hr.auth.token.env: environment variable HR_SECRET is not set
    3 |   hr: {host: a.b, auth: {type: bearer, token: {env: HR_SECRET}}}
      |                                                     ^^^^^^^^^
      = help: set HR_SECRET, or refer to a file or credential instead (example: {file: secret.txt})
1 problem in 1 file"""
    )


def test_a_file_that_is_not_there_has_no_caret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecError) as caught:
        load(Path("crudsd.yaml"))
    assert str(caught.value) == (
        "crudsd.yaml: error: cannot be read: No such file or directory\n"
        "      = help: name the file with --config FILE; the README has one to begin with\n"
        "1 problem in 1 file"
    )


def test_a_broken_file_does_not_make_names_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = screen(tmp_path, monkeypatch, good_but((f"hr: {HR}", "hr: {host: a: b}")), a=GOOD.split("jobs:")[0])
    assert "unknown connection" not in shown

    shown = screen(tmp_path, monkeypatch, "connections: {\n", a="jobs:" + GOOD.split("jobs:")[1])
    assert "unknown connection" not in shown
    assert "version is missing" not in shown


def test_no_secret_shows_on_any_line_of_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for auth in (
        "{type: bearer, tokn: hunter2}",
        "{type: basic, username: ada, password: 'hunter2', x: 1}",
        "{type: oauth2, client_secret: hunter2}",
        "{type: header, name: X, value: hunter2, y: hunter2}",
        "{type: bearer, token: hunter2, token: b: c}",
        "{type: bearer, token: {evn: hunter2}}",
    ):
        assert "hunter2" not in screen(tmp_path, monkeypatch, good_but((HR, f"{{host: a.b, auth: {auth}}}")))
    assert "hunter2" not in screen(
        tmp_path, monkeypatch, good_but((HR, "{hots: a.b, headers: {Authorization: Bearer hunter2}}"))
    )


def test_a_long_line_is_cut_around_the_caret() -> None:
    line = "x" * 500 + "HERE" + "y" * 500

    shown = str(Problem("a.yaml", 3, 501, "", "wrong", None, line, 4)).splitlines()

    assert len(shown[1]) < 180
    assert shown[1][shown[2].index("^") :].startswith("HERE")


def test_problems_have_a_form_for_machines(tmp_path: Path) -> None:
    write(tmp_path, good_but((KEY, "key: recrod.id")))
    with pytest.raises(SpecError) as caught:
        load(tmp_path)
    assert [problem.as_dict() for problem in caught.value.problems] == [
        {
            "file": str(tmp_path / "crudsd.yaml"),
            "line": 7,
            "column": 10,
            "path": "jobs.people.key",
            "message": "unknown name 'recrod'",
            "cure": "did you mean 'record'?",
        }
    ]
    assert isinstance(caught.value, ConfigError)
    assert caught.value.exit is Exit.CONFIG
