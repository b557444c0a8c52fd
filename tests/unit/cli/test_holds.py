"""What a person does about a hold: approve the run, or save a plan, look at it, and apply it."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.cli import main
from tests.fakes.misbehaving import Fault, MisbehavingServer

PEOPLE = 10


def spec(url: str, **job: Any) -> dict[str, Any]:
    people = {
        "mode": "mirror",
        "source": {"connection": "api", "read": "hr", "records": "hr"},
        "key": "record.external_id",
        "map": {"external_id": "record.external_id", "name": "record.name"},
        "target": {
            "connection": "api",
            "id": "id",
            "match": "external_id",
            "lookup": {"uri": "desk", "params": {"external_id": "{{ key }}"}, "records": "desk"},
            "create": "desk",
            "update": "desk/{{ target.id }}",
            "delete": "desk/{{ target.id }}",
        },
    }
    connection = {"host": url, "retry": {"attempts": 1}}
    return {"version": 1, "connections": {"api": connection}, "jobs": {"people": {**people, **job}}}


class Scene:
    """A job in step, as the command line sees it."""

    def __init__(self, server: MisbehavingServer, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.server = server
        self.folder = folder
        self.config = folder / "crudsd.yaml"
        self.file = folder / "people.plan"
        self._capsys = capsys
        server.collection("desk", paging="none", unique=["external_id"])
        self.edit()
        self.staff(range(PEOPLE))

    def edit(self, **job: Any) -> None:
        self.config.write_text(json.dumps(spec(self.server.url, **job)))

    def staff(self, numbers: Any, **names: str) -> None:
        hr = self.server.collection("hr", paging="none")  # in place of the one before
        hr.put({"external_id": f"p{one}", "name": names.get(f"p{one}", f"Person {one}")} for one in numbers)

    def call(self, *arguments: str) -> tuple[int, str]:
        """Return the exit code, and stdout and stderr together."""
        code = main([*arguments])
        captured = self._capsys.readouterr()
        return code, captured.out + captured.err

    def told(self, *arguments: str) -> tuple[int, Any]:
        """Return the exit code and the JSON of stdout."""
        code = main([*arguments, "--json"])
        return code, json.loads(self._capsys.readouterr().out)

    def held(self) -> str:
        """Make a run that withholds the deletes of three people, and return its id."""
        self.staff(range(PEOPLE - 3))
        code, told = self.told("run", "people")
        assert (code, told["counts"]["deletes_withheld"]) == (5, 3)
        return str(told["run"])

    def deleted(self) -> int:
        return sum(one.kind == "delete" for one in self.server.applied)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.folder / "crudsd.db") as connection:
            found = connection.execute(query).fetchall()
        connection.close()
        return found


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Scene]:
    with MisbehavingServer(seed=1) as server:
        scene = Scene(server, tmp_path, capsys)
        monkeypatch.setenv("CRUDSD_CONFIG", str(scene.config))
        assert scene.call("run", "people")[0] == 0
        server.forget()
        yield scene


# ---- approve ----


@pytest.mark.edge(39)
def test_a_held_run_is_approved_and_the_next_one_carries_it_out(scene: Scene) -> None:
    run = scene.held()

    code, said = scene.call("approve", run)
    assert (code, scene.deleted()) == (0, 0)
    assert f"Approved: 3 deletes of people that run {run} withheld." in said

    code, said = scene.call("run", "people")
    assert (code, scene.deleted()) == (0, 3)
    assert f"allowed by the approval of run {run}" in said
    assert scene.sql("SELECT count(*) FROM approvals") == [(0,)]
    assert scene.call("run", "people")[0] == 0
    assert scene.deleted() == 3


def test_a_held_run_says_how_it_is_approved_and_so_does_the_next_plan(scene: Scene) -> None:
    scene.staff(range(PEOPLE - 3))

    _, said = scene.call("run", "people")
    (run,) = [row[0] for row in scene.sql("SELECT id FROM runs WHERE ending = 'held'")]
    assert f"Cure: if they are right: crudsd approve {run}, and the next run carries out just these 3 deletes" in said
    assert "crudsd run people --allow-deletes 3" in said

    code, plan = scene.told("plan", "people")
    assert (code, plan["held_run"]) == (5, run)
    assert any(f"crudsd approve {run}" in cure for cure in plan["cures"])
    assert any("crudsd plan people --out FILE" in cure for cure in plan["cures"])


def test_a_job_stands_for_its_latest_run_if_that_is_held(scene: Scene) -> None:
    run = scene.held()

    code, told = scene.told("approve", "people")

    assert (code, told["job"], told["run"]) == (0, "people", run)
    assert told["digests"]["delete"].startswith("3-")


def test_now_does_the_run_at_once_and_tells_its_end_as_run_does(scene: Scene) -> None:
    run = scene.held()

    code, told = scene.told("approve", run, "--now")

    assert (code, told["ending"], told["counts"]["deleted"]) == (0, "done", 3)
    assert told["run"] != run


@pytest.mark.edge(39)
def test_an_approval_is_void_once_the_source_has_changed_and_is_used_up_with_that(scene: Scene) -> None:
    run = scene.held()
    scene.call("approve", run)
    scene.staff(range(PEOPLE - 4))

    code, said = scene.call("run", "people")

    assert (code, scene.deleted()) == (5, 0)
    assert f"the approval of run {run} is void: the source or the target has changed since" in said
    assert "(approved: 3, planned now: 4)" in said
    assert scene.sql("SELECT count(*) FROM approvals") == [(0,)]


def test_an_approval_outlives_a_run_that_could_not_even_read(scene: Scene) -> None:
    run = scene.held()
    scene.call("approve", run)
    scene.server.fault(Fault.answer(503), path="/hr")
    assert scene.call("run", "people")[0] == 6
    scene.server.behave()

    assert (scene.call("run", "people")[0], scene.deleted()) == (0, 3)


def test_approving_twice_is_as_good_as_once(scene: Scene) -> None:
    run = scene.held()

    assert [scene.call("approve", run)[0], scene.call("approve", run)[0]] == [0, 0]
    assert scene.sql("SELECT run FROM approvals") == [(run,)]
    assert (scene.call("run", "people")[0], scene.deleted()) == (0, 3)


def test_an_older_held_run_with_the_same_plan_may_be_approved(scene: Scene) -> None:
    run = scene.held()
    assert scene.call("run", "people")[0] == 5

    assert scene.call("approve", run)[0] == 0
    assert (scene.call("run", "people")[0], scene.deleted()) == (0, 3)


def test_what_cannot_be_approved_is_refused_with_what_helps(scene: Scene) -> None:
    done = scene.sql("SELECT id FROM runs")[0][0]
    assert scene.call("approve", "0000000000")[0] == 2
    code, said = scene.call("approve", done)
    assert (code, "is not held: it ended done" in said) == (2, True)

    older = scene.held()
    scene.staff(range(PEOPLE - 4))
    _, told = scene.told("run", "people")
    code, said = scene.call("approve", older)
    assert (code, "is held with another plan" in said, f"crudsd approve {told['run']}" in said) == (2, True, True)

    scene.staff(range(PEOPLE))
    assert scene.call("run", "people")[0] == 0
    code, said = scene.call("approve", older)
    assert (code, "nothing is held any more" in said) == (2, True)
    code, said = scene.call("approve", "people")
    assert (code, "is not held: it ended done" in said) == (2, True)
    assert scene.sql("SELECT count(*) FROM approvals") == [(0,)]


def test_an_incomplete_read_cannot_be_approved(scene: Scene) -> None:
    paginate = {"type": "page", "param": "page", "total": "n", "stop": "true"}
    scene.edit(source={"connection": "api", "read": "hr", "records": "hr", "paginate": paginate})
    body = json.dumps({"hr": [{"external_id": "p0", "name": "Person 0"}], "n": 5})
    scene.server.fault(Fault.answer(200, body, headers={"Content-Type": "application/json"}), path="/hr")
    code, told = scene.told("run", "people")
    assert (code, told["withheld"], told["counts"]["deletes_withheld"]) == (5, {}, 9)

    code, said = scene.call("approve", told["run"])

    assert code == 2
    assert "what helps is a read that arrives whole" in said


def test_an_edited_job_has_another_plan_whatever_was_approved(scene: Scene) -> None:
    run = scene.held()
    scene.call("approve", run)
    target = {**spec(scene.server.url)["jobs"]["people"]["target"], "delete": "/desk/{{ target.id }}"}
    scene.edit(target=target)

    code, said = scene.call("approve", run)
    assert (code, "was edited after run" in said) == (2, True)

    code, said = scene.call("run", "people")
    assert (code, scene.deleted()) == (5, 0)
    assert "is void: the job's source, key, where, ignore, map or target was edited since" in said


def test_a_run_of_a_job_that_is_gone_is_not_approved(scene: Scene) -> None:
    run = scene.held()
    gone = spec(scene.server.url)
    gone["jobs"]["others"] = gone["jobs"].pop("people")
    scene.config.write_text(json.dumps(gone))

    code, said = scene.call("approve", run)

    assert (code, "there is no such job any more" in said) == (2, True)


# ---- edited jobs ----


@pytest.mark.edge(43)
def test_a_narrower_filter_is_named_and_trips_until_a_person_approves_it(scene: Scene) -> None:
    scene.edit(where="record.external_id != 'p0'", guards={"deletes": "90%"})

    for _ in range(2):  # the second run has seen the new filter before, and must not take it for granted
        code, told = scene.told("run", "people")
        assert (code, told["counts"]["deletes_withheld"]) == (5, 1)
    said = {one["guard"]: one["message"] for one in told["verdicts"]}
    assert said["job"] == "the job's filter (where) has changed since its last complete read"
    assert said["deletes"] == "1 of 10 known records would be deleted, and the job's filter (where) has changed"
    assert scene.deleted() == 0

    assert scene.call("approve", "people", "--now")[0] == 0
    assert scene.deleted() == 1
    _, told = scene.told("plan", "people")
    assert [one["guard"] for one in told["verdicts"]] == []


@pytest.mark.edge(43)
def test_an_edited_map_is_named_where_it_makes_every_record_an_update(scene: Scene) -> None:
    scene.staff(range(PEOPLE + 5))
    assert scene.call("run", "people")[0] == 0
    scene.edit(map={"external_id": "record.external_id", "name": "record.name | upper"})

    code, said = scene.call("plan", "people")

    assert code == 5
    assert "guard job: the job's map has changed since its last complete read" in said
    assert "15 of 15 known records would be updated, the limit is 50 %" in said


# ---- plan --out, apply ----


def test_a_saved_plan_is_carried_out_and_a_second_time_does_nothing(scene: Scene) -> None:
    scene.staff([*range(PEOPLE - 3), 77], p1="Renamed")
    code, said = scene.call("plan", "people", "--out", str(scene.file))
    assert (code, f"Saved: crudsd apply {scene.file}" in said) == (5, True)
    assert scene.file.stat().st_mode & 0o777 == 0o600
    assert scene.server.writes() == []

    code, told = scene.told("apply", str(scene.file))
    assert (code, told["ending"], told["counts"]["withheld"]) == (0, "done", 0)
    counts = told["counts"]
    assert (counts["created"], counts["updated"], counts["deleted"]) == (1, 1, 3)

    scene.server.forget()
    code, told = scene.told("apply", str(scene.file))
    assert (code, told["counts"]["unchanged"]) == (0, PEOPLE - 2)
    assert scene.server.writes() == []


def test_a_plan_that_is_not_the_saved_one_writes_nothing_and_says_how_they_differ(scene: Scene) -> None:
    scene.staff([*range(PEOPLE - 3), 77])
    scene.call("plan", "people", "--out", str(scene.file))
    scene.staff([*range(PEOPLE - 4), 77, 78], p77="Other")

    code, said = scene.call("apply", str(scene.file))

    assert code == 5
    assert scene.server.writes() == []
    assert "2 planned now and not saved (delete p6, create p78)" in said
    assert "1 planned otherwise than saved (create p77)" in said
    assert "crudsd approve" not in said
    code, said = scene.call("approve", "people")
    assert (code, "its saved plan did not fit any more" in said) == (2, True)


def test_the_file_is_a_header_the_changes_and_a_proof(scene: Scene) -> None:
    scene.staff([*range(PEOPLE - 3), 77])

    _, shown = scene.told("plan", "people", "--out", str(scene.file))

    head, *changes, last = [json.loads(line) for line in scene.file.read_text().splitlines()]
    assert list(head)[:5] == ["crudsd_plan", "id", "revision", "saved_at", "digests"]
    assert {kind: digest.partition("-")[0] for kind, digest in head["digests"].items()} == {
        "create": "1",
        "delete": "3",
    }
    assert {name: head[name] for name in ("job", "counts", "verdicts", "certificate")} == {
        name: shown[name] for name in ("job", "counts", "verdicts", "certificate")
    }
    assert [{name: one[name] for name in shown["changes"][0]} for one in changes] == shown["changes"]
    assert last["end"] == len(changes)


def cut(text: str) -> str:
    return "".join(text.splitlines(keepends=True)[:-1])


def shortened(text: str) -> str:
    head, _, *rest = text.splitlines(keepends=True)
    return "".join([head, *rest])


def later(text: str) -> str:
    return text.replace('{"crudsd_plan":1', '{"crudsd_plan":2', 1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "is cut short, or was changed"),
        (lambda text: text[: len(text) // 2], "is cut short, or was changed"),
        (shortened, "is cut short, or was changed"),
        (lambda text: text.replace("p9", "p8"), "is cut short, or was changed"),
        (later, "was saved by a later crudsd"),
        (lambda _: "", "is no saved plan"),
        (lambda _: "\x00\xff not JSON", "is no saved plan"),
        (lambda _: "[1]\n", "is no saved plan"),
    ],
)
def test_a_file_that_is_not_a_whole_plan_is_refused(scene: Scene, damage: Any, said: str) -> None:
    scene.staff(range(PEOPLE - 3))
    scene.call("plan", "people", "--out", str(scene.file))
    scene.file.write_text(damage(scene.file.read_text()))

    code, out = scene.call("apply", str(scene.file))

    assert (code, said in out) == (2, True), out
    assert scene.server.writes() == []


def test_a_plan_of_an_edited_or_vanished_job_is_refused(scene: Scene) -> None:
    scene.staff(range(PEOPLE - 3))
    scene.call("plan", "people", "--out", str(scene.file))
    scene.edit(where="true")
    code, said = scene.call("apply", str(scene.file))
    assert (code, "was edited after the plan was saved" in said) == (2, True)

    gone = spec(scene.server.url)
    gone["jobs"]["others"] = gone["jobs"].pop("people")
    scene.config.write_text(json.dumps(gone))
    code, said = scene.call("apply", str(scene.file))
    assert (code, "there is no such job any more" in said) == (2, True)
    assert scene.call("apply", str(scene.folder / "missing"))[0] == 2


def test_another_file_is_never_overwritten_but_an_earlier_plan_is(scene: Scene) -> None:
    scene.server.forget()
    code, said = scene.call("plan", "people", "--out", str(scene.config))
    assert (code, "is no saved plan; it was left alone" in said) == (2, True)
    assert scene.call("plan", "people", "--out", str(scene.folder))[0] == 2
    assert scene.call("plan", "people", "--out", str(scene.folder / "no" / "plan"))[0] == 2
    assert scene.server.requests == ()

    assert [scene.call("plan", "people", "--out", str(scene.file))[0] for _ in range(2)] == [0, 0]
    assert [one.name for one in scene.folder.iterdir() if "plan" in one.name] == ["people.plan"]


def test_a_plan_whose_read_broke_off_is_not_saved(scene: Scene) -> None:
    scene.server.fault(Fault.answer(503), path="/hr")

    code, said = scene.call("plan", "people", "--out", str(scene.file))

    assert (code, "this plan is not complete, so it was not saved" in said) == (6, True)
    assert not scene.file.exists()


def test_a_plan_tells_of_changes_without_a_known_outcome_and_apply_waits_for_a_run(scene: Scene) -> None:
    scene.staff([*range(PEOPLE), 77])
    scene.server.fault(Fault.close_after(), method="POST", path="/desk", times=1)
    scene.server.fault(Fault.answer(503), method="GET", path="/desk", nth=2, times=1)
    scene.call("run", "people")
    scene.server.behave()
    assert scene.sql("SELECT count(*) FROM changes WHERE fate = 'unknown'") == [(1,)]

    _, said = scene.call("plan", "people", "--out", str(scene.file))
    assert "! 1 change of earlier runs has no known outcome; a run clears that up first" in said
    assert json.loads(scene.file.read_text().splitlines()[0])["unresolved"] == 1

    scene.server.forget()
    code, said = scene.call("apply", str(scene.file))
    assert (code, scene.server.writes()) == (5, [])
    assert "1 change of other runs has no known outcome" in said

    assert scene.call("run", "people")[0] == 0
    assert scene.told("plan", "people")[1]["unresolved"] == 0
