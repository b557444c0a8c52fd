"""`crudsd plan` and `crudsd run` as processes: stopped, killed, doubled, misconfigured, and short of disk and rights.

The server's own journal says what was done; every test ends with what an operator would look at.
"""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import Exit
from tests.e2e.harness import CRUDSD, Folder, caught, ended, kill_9
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.faults.processes import fresh
from tests.faults.steps import Order

NAMES = ("external_id", "name", "email")
PEOPLE = 200


def person(number: int, **fields: Any) -> dict[str, Any]:
    return {"external_id": f"E{number}", "name": f"Name {number}", "email": f"p{number}@example.test", **fields}


def spec(host: str, *, tls: dict[str, Any] | None = None) -> dict[str, Any]:
    connection: dict[str, Any] = {
        "host": host,
        "auth": {"type": "bearer", "token": {"env": "TOKEN"}},
        "retry": {"attempts": 2, "backoff": 0.01, "max_wait": "1s"},
        "timeout": {"connect": "2s", "read": "10s", "total": "20s"},
    }
    if tls:
        connection["tls"] = tls
    paginate = {"type": "cursor", "param": "cursor", "next": "data.next_cursor", "total": "data.total"}
    return {
        "connections": {"api": connection},
        "jobs": {
            "people": {
                "mode": "mirror",
                "source": {"connection": "api", "read": "people", "records": "data.items", "paginate": paginate},
                "key": "record.external_id",
                "map": {name: f"record.{name}" for name in NAMES},
                "target": {
                    "connection": "api",
                    "match": "external_id",
                    "lookup": {"uri": "users", "params": {"external_id": "{{ key }}"}, "records": "users"},
                    "create": "users",
                    "update": {"uri": "users/{{ target.id }}", "body": "changed"},
                    "delete": "users/{{ target.id }}",
                },
            }
        },
    }


class Scene:
    """People, an empty list of users, and a folder whose job keeps the second in step with the first."""

    def __init__(self, server: MisbehavingServer, path: Path) -> None:
        self.server = server
        self.people = server.collection("people", paging="cursor")
        self.users = server.collection("users", paging="page")
        self.people.put(person(number) for number in range(PEOPLE))
        server.token("canary-good")
        self.folder = Folder(path, spec(server.url), TOKEN="canary-good")

    def crudsd(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.folder.crudsd(*arguments)

    def filled(self) -> None:
        """Be in step, with an empty journal."""
        assert self.crudsd("run", "people").returncode == Exit.DONE
        self.server.forget()

    def slowed(self, method: str) -> None:
        """Let these writes be carried out at once and answered late, so that one can be caught between the two."""
        self.server.fault(Fault.late(0.02), method=method, path="^/users")

    def done(self, kind: str) -> int:
        return sum(one.kind == kind for one in self.server.applied)

    def is_in_step(self) -> bool:
        held = [[one[name] for name in NAMES] for one in sorted(self.users.records(), key=lambda one: one["name"])]
        wanted = [[one[name] for name in NAMES] for one in sorted(self.people.records(), key=lambda one: one["name"])]
        return held == wanted

    def assert_well(self) -> None:
        """Both sides are equal, nobody was made twice, and nobody who is there was deleted."""
        assert self.is_in_step()
        assert max(self.server.creates_by_key("users").values(), default=1) == 1
        deleted = {one.key for one in self.server.applied if one.kind == "delete"}
        assert deleted.isdisjoint(self.people.by_key())


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with MisbehavingServer(seed=1) as server:
        yield Scene(server, tmp_path)


# ---- stopped and killed ----


def test_ctrl_c_finishes_what_is_in_hand_and_the_next_run_the_rest(scene: Scene) -> None:
    scene.slowed("POST")
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("create") >= 20, what="20 creates")
        process.send_signal(signal.SIGINT)
        code, out, err = ended(process)

    assert code == Exit.INTERRUPTED, out + err
    assert "once more: end at once" in err
    done = scene.done("create")
    assert 20 <= done < PEOPLE
    assert rows(scene.folder.state, "select count(*) from changes where fate = 'done'") == [(done,)]
    assert rows(scene.folder.state, "select count(*) from changes where fate = 'sent'") == [(0,)]

    assert scene.crudsd("run", "people").returncode == Exit.DONE
    scene.assert_well()


def test_a_second_ctrl_c_ends_at_once_and_nothing_is_doubled(scene: Scene) -> None:
    scene.server.fault(Fault.late(20), method="POST", path="^/users", nth=10, times=4)
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("create") >= 10, what="10 creates")
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        process.stderr.readline()
        assert "once more" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        process.wait(15)

    assert process.returncode == Exit.INTERRUPTED
    scene.server.behave()
    assert scene.crudsd("run", "people").returncode == Exit.DONE
    scene.assert_well()


@pytest.mark.parametrize("requests", [1, 5, 60], ids=["first create", "first commit", "mid run"])
def test_a_run_that_is_killed_among_its_creates_is_finished_without_a_double(scene: Scene, requests: int) -> None:
    scene.slowed("POST")
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("create") >= requests, what=f"{requests} creates")
        kill_9(process)
    assert scene.done("create") < PEOPLE

    after = scene.crudsd("run", "people")

    assert after.returncode == Exit.DONE, after.stdout + after.stderr
    scene.assert_well()
    (cut_off,) = rows(scene.folder.state, "select ending from runs where ending <> 'done'")
    assert cut_off == ("interrupted",)


def test_a_run_that_is_killed_among_its_updates_is_made_good_though_the_source_went_back(scene: Scene) -> None:
    scene.filled()
    scene.people.put(person(number, name=f"Mistake {number}") for number in range(80))
    scene.slowed("PATCH")
    with scene.folder.started("run", "people") as process:
        caught(process, lambda: scene.done("update") >= 20, what="20 updates")
        kill_9(process)
    scene.people.put(person(number) for number in range(80))

    after = scene.crudsd("run", "people")

    assert after.returncode == Exit.DONE, after.stdout + after.stderr
    scene.assert_well()


def test_a_run_that_is_killed_among_its_deletes_deletes_nobody_who_came_back(scene: Scene) -> None:
    scene.filled()
    for number in range(100):
        scene.people.remove(f"E{number}")
    scene.slowed("DELETE")
    with scene.folder.started("run", "people", "--allow-deletes", "100") as process:
        caught(process, lambda: scene.done("delete") >= 20, what="20 deletes")
        kill_9(process)
    assert scene.done("delete") < 100
    scene.server.forget()
    scene.people.put(person(number) for number in range(50))

    after = scene.crudsd("run", "people", "--allow-deletes", "100")

    assert after.returncode == Exit.DONE, after.stdout + after.stderr
    scene.assert_well()


@pytest.mark.edge(44)
def test_a_second_run_of_the_same_job_is_turned_away_and_told_by_whom(scene: Scene) -> None:
    scene.slowed("POST")
    with scene.folder.started("run", "people") as first:
        caught(first, lambda: scene.done("create") >= 1, what="the first create")
        first.send_signal(signal.SIGSTOP)  # however slow this machine is, it is not over before the second one begins
        second = scene.crudsd("run", "people")
        first.send_signal(signal.SIGCONT)
        code, out, err = ended(first)

    assert second.returncode == Exit.LOCKED
    assert f"{socket.gethostname()}, process {first.pid}" in second.stderr
    assert code == Exit.DONE, out + err
    scene.assert_well()


# ---- exit codes ----


def test_one_record_that_is_refused_ends_with_3_and_a_reason(scene: Scene) -> None:
    scene.users.reject("E7", 422)

    run = scene.crudsd("run", "people")

    assert run.returncode == Exit.REJECTED
    assert "E7" in run.stdout
    assert "422" in run.stdout
    assert len(scene.users.records()) == PEOPLE - 1


@pytest.mark.suffering(6)
def test_too_many_deletes_are_held_back_with_5_and_a_way_out(scene: Scene) -> None:
    scene.filled()
    for number in range(60):
        scene.people.remove(f"E{number}")

    run = scene.crudsd("run", "people")

    assert run.returncode == Exit.HELD
    assert "--allow-deletes 60" in run.stdout
    assert scene.server.writes() == []
    assert scene.crudsd("run", "people", "--allow-deletes", "60").returncode == Exit.DONE
    scene.assert_well()


def test_a_host_that_is_down_ends_with_6_and_is_named(scene: Scene) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        scene.folder.write(spec(f"http://127.0.0.1:{port}"))

        run = scene.crudsd("run", "people")

    assert run.returncode == Exit.UNAVAILABLE
    assert f"127.0.0.1:{port}" in run.stdout + run.stderr


@pytest.mark.suffering(19)
def test_a_slip_in_the_configuration_ends_with_78_its_place_and_a_caret(scene: Scene) -> None:
    config = scene.folder.path / "crudsd.yaml"
    config.write_text(config.read_text().replace('"mode": "mirror"', '"mode": "miror"'))

    run = scene.crudsd("run", "people")

    assert run.returncode == Exit.CONFIG
    assert "crudsd.yaml:" in run.stderr
    assert any(set(line.strip(" |")) == {"^"} for line in run.stderr.splitlines()), run.stderr
    assert scene.server.requests == ()
    assert not scene.folder.state.exists()


def test_a_job_that_does_not_exist_ends_with_2_and_the_nearest_name(scene: Scene) -> None:
    run = scene.crudsd("run", "peopel")

    assert run.returncode == Exit.USAGE
    assert "did you mean people?" in run.stderr


def test_a_plan_says_with_4_that_changes_are_pending_and_with_0_that_none_are(scene: Scene) -> None:
    assert scene.crudsd("plan", "people", "--detailed-exitcode").returncode == Exit.PENDING
    assert scene.server.writes() == []
    scene.filled()
    assert scene.crudsd("plan", "people", "--detailed-exitcode").returncode == Exit.DONE


def test_a_secret_that_is_not_set_ends_with_78_and_the_line_that_asks_for_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    del scene.folder.environment["TOKEN"]
    monkeypatch.delenv("TOKEN", raising=False)

    run = scene.crudsd("run", "people")

    assert run.returncode == Exit.CONFIG
    (line,) = [
        number
        for number, text in enumerate((scene.folder.path / "crudsd.yaml").read_text().splitlines(), start=1)
        if '"env": "TOKEN"' in text
    ]
    assert f"crudsd.yaml:{line}:" in run.stderr
    assert "TOKEN" in run.stderr


def test_what_json_says_agrees_with_what_the_server_did(scene: Scene) -> None:
    scene.filled()
    scene.people.put([person(3, name="Other"), person(900)])
    scene.people.remove("E5")

    planned = json.loads(scene.crudsd("plan", "people", "--json").stdout)
    assert scene.server.writes() == []
    ran = json.loads(scene.crudsd("run", "people", "--json").stdout)

    did = sorted((one.kind, one.key) for one in scene.server.applied)
    assert sorted((one["kind"], one["key"]) for one in planned["changes"]) == did
    assert planned["summary"] == {"create": 1, "update": 1, "delete": 1}
    counts = ran["counts"]
    assert [counts[name] for name in ("created", "updated", "deleted", "unchanged")] == [1, 1, 1, PEOPLE - 2]
    assert (ran["ending"], ran["exit_code"]) == ("done", 0)
    scene.assert_well()


def test_a_server_that_cannot_prove_who_it_is_gets_nothing_and_the_cure_is_told(
    scene: Scene, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.fakes.scripted import serving

    with serving(self_signed(tmp_path_factory.mktemp("tls"))) as server:
        scene.folder.write(spec(server.url))

        run = scene.crudsd("run", "people")

        assert run.returncode == Exit.ERROR
        assert "tls.ca_file" in run.stdout + run.stderr
        assert server.journal == []


# ---- the state ----


def test_a_state_file_that_another_process_holds_is_an_error_and_nothing_is_sent(scene: Scene) -> None:
    scene.filled()
    scene.people.put([person(900)])
    other = sqlite3.connect(scene.folder.state, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        run = fresh(scene.folder.path, ("run", "people"), environment=scene.folder.environment, order=Order(busy_s=0.5))
    finally:
        other.close()

    assert run.code == Exit.ERROR
    assert "is locked by another process" in run.err
    assert scene.server.writes() == []


def test_a_state_folder_that_may_not_be_written_is_an_error_and_nothing_is_asked(scene: Scene) -> None:
    scene.folder.path.chmod(0o555)
    try:
        run = scene.folder.crudsd("run", "people", prefix=without_root_rights())
    finally:
        scene.folder.path.chmod(0o755)

    assert run.returncode == Exit.ERROR
    assert "crudsd.db" in run.stderr
    assert "defect" not in run.stderr
    assert scene.server.requests == ()


@pytest.mark.edge(41)
def test_a_state_file_that_may_not_be_written_any_more_is_an_error_and_nothing_is_asked(scene: Scene) -> None:
    scene.filled()
    scene.people.put([person(900)])
    scene.folder.state.chmod(0o444)

    run = scene.folder.crudsd("run", "people", prefix=without_root_rights())

    assert run.returncode == Exit.ERROR
    assert "check its owner and mode" in run.stderr
    assert scene.server.requests == ()


@pytest.mark.edge(41)
@pytest.mark.parametrize("size_kb", [64, 512, 768])
def test_a_disk_that_fills_up_is_an_error_and_nothing_is_sent_that_is_not_journalled(
    scene: Scene, size_kb: int
) -> None:
    """The smallest disk does not hold the tables; the others fill up somewhere in the run."""
    kept = scene.folder.path / "kept.db"
    script = f"""
        mount -t tmpfs -o size={size_kb}k none "$0" || exit 99
        cd "$1" && "{CRUDSD}" run people --state "$0/state.db"; code=$?
        cp "$0"/state.db* "$1"/ ; exit $code
    """
    disk = scene.folder.path / "disk"
    disk.mkdir()
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare here, and so no small disk")
    run = subprocess.run(
        [unshare, "--map-root-user", "--mount", "sh", "-c", script, str(disk), str(scene.folder.path)],
        env={**os.environ, **scene.folder.environment, "NO_COLOR": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if run.returncode == 99 or "unshare" in run.stderr:
        pytest.skip(f"no small disk can be mounted here: {run.stderr.strip()}")

    assert run.returncode == Exit.ERROR, run.stdout + run.stderr
    assert "the disk is full" in run.stderr
    assert "defect" not in run.stderr
    assert "Traceback" not in run.stderr
    done = {one.key for one in scene.server.applied}
    if done:
        (scene.folder.path / "state.db").rename(kept)
        for side in ("wal", "shm"):
            if (scene.folder.path / f"state.db-{side}").exists():
                (scene.folder.path / f"state.db-{side}").rename(f"{kept}-{side}")
        assert done <= {key for (key,) in rows(kept, "select key from changes where fate in ('sent', 'done')")}
        again = scene.crudsd("run", "people", "--state", str(kept))
        assert again.returncode == Exit.DONE, again.stderr
        scene.assert_well()


# ---- how it is done ----


def rows(state: Path, query: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(state)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def without_root_rights() -> list[str]:
    """What makes a command heed file modes. Root keeps its own number, since its programs may lie in its own folder."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("this runs as root, and there is no setpriv to lay its rights down")
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all", "--"]


def self_signed(folder: Path) -> Any:
    """A server's TLS context whose certificate nobody trusts."""
    import ssl

    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl here to make a certificate")
    pem = folder / "server.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(pem), "-out", str(folder / "cert.pem")]
    subprocess.run([*command, *names], check=True, capture_output=True, timeout=30)
    with pem.open("a") as whole:
        whole.write((folder / "cert.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
