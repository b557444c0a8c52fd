"""`crudsd rejects`: a person settles what the program must not decide."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.cli import main
from daemon.errors import Exit
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.integration.test_bad_input import Scene, spec


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
    monkeypatch.setenv("TOKEN", "good")
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
