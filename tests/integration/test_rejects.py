"""Rejects over real requests: how often they are tried, what stops a run, and what a person says to them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.errors import Exit
from daemon.sync.outcome import Ending
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.integration.test_bad_input import Scene, person, spec


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=2) as one:
        yield one


@pytest.fixture
def blind(server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Give a job that cannot look its target up, with one create whose answer was lost."""
    scene = Scene(server, tmp_path)
    bare = spec(server.url)
    for name in ("lookup", "match"):
        del bare["jobs"]["people"]["target"][name]
    scene.desk.write(bare)
    monkeypatch.setenv("TOKEN", "canary-good")
    scene.server.fault(Fault.close_after(), method="POST", path="^/users", nth=5, times=1)
    scene.desk.run()
    return scene


def test_a_create_with_an_unknown_end_is_listed_and_not_repeated(
    blind: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    blind.desk.run()

    code = main(["--config", str(blind.desk.settings.config), "rejects", "list", "people", "--json"])

    shown = json.loads(capsys.readouterr().out)
    assert code == Exit.DONE
    assert shown["total"] == 1
    assert "lost" in shown["rejects"][0]["reason"]
    assert max(blind.server.creates_by_key("users").values()) == 1


def test_a_dropped_reject_lets_the_next_run_create_the_record(blind: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    (key,) = blind.desk.rejects()
    blind.users.remove(key)  # the operator looked, and cleared the target by hand

    code = main(["--config", str(blind.desk.settings.config), "rejects", "drop", "people", key])
    result = blind.desk.run().result

    assert code == Exit.DONE
    assert (result.counts.created, result.counts.rejected) == (1, 0)
    assert blind.is_in_step()
    assert blind.desk.rejects() == []


def test_dropping_what_is_not_there_says_so(blind: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--config", str(blind.desk.settings.config), "rejects", "drop", "people", "E99999"])

    assert code == Exit.USAGE
    assert "no reject of E99999" in capsys.readouterr().err


def test_a_create_for_a_person_is_sent_again_only_when_the_person_is_sure(
    blind: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    (key,) = blind.desk.rejects()
    blind.users.remove(key)

    unsure = crudsd(blind, "retry", "people", key)
    every = crudsd(blind, "retry", "people", "--all")
    blind.desk.run()
    assert (unsure, every) == (Exit.USAGE, Exit.DONE)
    assert "the target may hold the record already" in capsys.readouterr().err
    assert blind.server.creates_by_key("users")[key] == 1

    sure = crudsd(blind, "retry", "people", key, "--yes")
    result = blind.desk.run().result

    assert sure == Exit.DONE
    assert (result.counts.created, result.counts.rejected) == (1, 0)
    assert blind.is_in_step()


# ---- how often it is tried ----


@pytest.fixture
def scene(server: MisbehavingServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Give a job whose target refuses one record."""
    monkeypatch.setenv("TOKEN", "canary-good")
    scene = Scene(server, tmp_path)
    scene.users.reject("E7", 422)
    return scene


def asked(scene: Scene, key: str = "E7") -> int:
    """Count the requests that were made for a record's sake, look-ups included."""
    writes = [one for one in scene.server.writes() if key.encode() in one.body]
    return len(writes) + sum(one.query.get("external_id") == key for one in scene.server.requests)


def posts(scene: Scene, key: str = "E7") -> int:
    return sum(f'"{key}"'.encode() in one.body for one in scene.server.writes())


def crudsd(scene: Scene, *words: str) -> int:
    return main(["--config", str(scene.desk.settings.config), "rejects", *words])


def test_a_record_that_is_refused_for_ever_is_written_in_three_of_ten_runs(scene: Scene) -> None:
    results, asked = [], []
    for _ in range(10):
        results.append(scene.desk.run().result)
        asked.append(posts(scene))

    # In the first run once more, after the others had gone through.
    assert asked == [2, 3, 4, 4, 4, 4, 4, 4, 4, 4]
    assert {result.ending for result in results} == {Ending.REJECTED}
    assert [result.counts.resting for result in results] == [0] * 3 + [1] * 7
    assert scene.desk.rejects() == ["E7"]


def test_while_it_rests_it_costs_no_request_at_all(scene: Scene) -> None:
    for _ in range(3):
        scene.desk.run()
    scene.server.forget()

    scene.desk.run()
    scene.desk.plan()

    assert asked(scene) == 0


def test_once_it_is_changed_it_is_tried_at_once(scene: Scene) -> None:
    for _ in range(4):
        scene.desk.run()
    scene.users.accept("E7")
    scene.people.put([person(7, name="Mended")])

    result = scene.desk.run().result

    assert (result.ending, result.counts.created) == (Ending.DONE, 1)
    assert scene.is_in_step()
    assert scene.desk.rejects() == []


def test_retry_has_the_next_run_try_it(scene: Scene) -> None:
    for _ in range(4):
        scene.desk.run()
    scene.users.accept("E7")
    assert scene.desk.run().result.counts.resting == 1

    assert crudsd(scene, "retry", "people", "E7") == Exit.DONE

    assert scene.desk.run().result.ending is Ending.DONE
    assert scene.is_in_step()


def test_a_refused_delete_is_tried_three_times_and_rests(scene: Scene) -> None:
    scene.users.accept("E7")
    scene.desk.run()
    scene.server.fault(Fault.answer(403, "no right to delete"), method="DELETE")
    scene.people.remove("E7")

    results = [scene.desk.run().result for _ in range(6)]

    assert sum(one.method == "DELETE" for one in scene.server.writes()) == 3
    assert [result.counts.deletes_rejected for result in results] == [1] * 6


# ---- the limit ----


def test_past_its_limit_a_run_stops_asking_and_keeps_what_went_through(scene: Scene) -> None:
    limited = spec(scene.server.url)
    limited["jobs"]["people"]["rejects"] = {"limit": 5}
    limited["connections"]["api"]["quota"] = {"concurrency": 2}
    scene.desk.write(limited)
    for number in range(0, 350, 2):
        scene.users.reject(f"E{number}", 403)

    result = scene.desk.run().result

    assert result.ending is Ending.FAILED
    assert "rejects.limit is 5" in result.error
    assert "403" in result.error
    writes = scene.server.writes()
    refused = [seen for seen in writes if int(seen.json()["external_id"].removeprefix("E")) % 2 == 0]
    assert 6 <= len(refused) <= 7
    assert len(writes) == result.counts.rejected + result.counts.created
    assert len(scene.users.by_key()) == result.counts.created > 0


def test_a_target_that_refuses_everything_is_left_alone_after_a_hundred(scene: Scene) -> None:
    scene.server.fault(Fault.answer(403, '{"error": "scope users.write is missing"}'), method="POST")

    result = scene.desk.run().result

    assert result.ending is Ending.FAILED
    assert "scope users.write is missing" in result.error
    assert 101 <= len(scene.server.writes()) <= 104
