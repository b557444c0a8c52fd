"""`crudsd serve` tells people: killed in the middle of it, reloaded, asked to end; and tells no secret."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.errors import Exit
from tests.canaries import seen_in
from tests.e2e.canary import echo
from tests.e2e.harness import Folder, caught, ended, kill_9
from tests.fakes.scripted import Reply, ScriptedServer, Seen, json_reply

WITHIN_S = 30.0
TOKEN = "canary-token-of-the-api"
HOOK = "canary-hook-0123456789abcdef"
PING = "canary-ping-0123456789abcdef"


class Api(ScriptedServer):
    """An API, and what listens to alerts. What it is asked comes back in its errors, secrets and all."""

    is_well = False

    def _next(self, seen: Seen) -> Reply:
        if seen.path != "/people":
            return super()._next(seen)
        with self._lock:
            self.journal.append(seen)
        return json_reply([]) if self.is_well else json_reply({"message": echo(seen)}, 404)

    def hooks(self, path: str = f"/{HOOK}") -> list[dict[str, Any]]:
        return [json.loads(seen.body) for seen in self.journal if seen.path == path]

    def told(self, path: str = f"/{HOOK}") -> list[str]:
        return [hook["event"] for hook in self.hooks(path)]

    def pings(self) -> list[str]:
        return [seen.path for seen in self.journal if seen.path.startswith(f"/{PING}")]


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    server.route(f"/{HOOK}", Reply(200))
    server.route("/second", Reply(200))
    for end in ("", "/start", "/fail"):
        server.route(f"/{PING}/people{end}", Reply(200))
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path, api: Api) -> Folder:
    secrets = {"API_TOKEN": TOKEN, "HOOK": f"{api.url}/{HOOK}", "PING": f"{api.url}/{PING}"}
    # A service looks around four times in what its watchdog waits, and so hears of a reload sooner.
    return Folder(tmp_path, spec(api), **secrets, WATCHDOG_USEC="1000000")


def spec(api: Api, **more: Any) -> dict[str, Any]:
    script = 'cat > "$1"; env >> "$1"; tr "\\0" " " < /proc/$PPID/cmdline >> "$1"; mv "$1" "$2"'
    command = ["/bin/sh", "-c", script, "tell", "{folder}/half", "{folder}/told"]
    ping = {"type": "heartbeat", "url": {"env": "PING"}, "path": "{{ alert.job }}", "start": True, "fail": True}
    return {
        "alerts": {
            "ops": {"type": "webhook", "url": {"env": "HOOK"}},
            "second": {"type": "webhook", "url": f"{api.url}/second"},
            "log": {"type": "command", "command": command},
            "dead": ping,
        },
        "connections": {
            "api": {
                "host": api.url,
                "auth": {"type": "bearer", "token": {"env": "API_TOKEN"}},
                "retry": {"attempts": 1},
            }
        },
        "jobs": {
            "people": {
                "schedule": {"every": "1s"},
                "source": {"connection": "api", "read": "people"},
                "key": "record.no",
                "target": {"connection": "api", "create": "users", "update": "users/{{ target.id }}"},
            }
        },
        "on_failure": ["ops", "log"],
        "on_recovery": "ops",
        "heartbeat": "dead",
        **more,
    }


def write(folder: Folder, said: dict[str, Any]) -> None:
    folder.write(json.loads(json.dumps(said).replace("{folder}", str(folder.path))))


def said(process: subprocess.Popen[str], event: str) -> None:
    """Read the log until it tells of this."""
    assert process.stderr is not None
    assert any(event in line for line in process.stderr), f"it ended without {event}"


def test_what_a_killed_service_had_not_told_is_told_by_the_next_and_nothing_else_is_told_twice(
    api: Api, folder: Folder
) -> None:
    write(folder, spec(api))
    api.route(f"/{HOOK}", Reply(hang=True), Reply(200))
    with folder.started("serve") as process:
        caught(process, lambda: len(api.hooks()) == 1, what="a webhook that does not answer", within_s=WITHIN_S)
        caught(process, lambda: f"/{PING}/people/fail" in api.pings(), what="the other sender", within_s=WITHIN_S)
        kill_9(process)

    with folder.started("serve") as process:
        caught(process, lambda: len(api.hooks()) == 2, what="the same alert again", within_s=WITHIN_S)
        runs = len(api.journal)
        caught(process, lambda: len(api.journal) > runs + 4, what="more failing runs", within_s=WITHIN_S)
        kill_9(process)

    api.is_well = True
    with folder.started("serve") as process:
        caught(process, lambda: "recovery" in api.told(), what="the recovery", within_s=WITHIN_S)
        caught(process, lambda: f"/{PING}/people" in api.pings(), what="a sign of life", within_s=WITHIN_S)
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)

    assert code == Exit.DONE, err
    assert api.told() == ["failure", "failure", "recovery"]
    first, again = api.hooks()[:2]
    assert (first["id"], first["run"]) == (again["id"], again["run"])
    assert f"/{PING}/people/start" in api.pings()


def test_nothing_that_is_told_holds_a_secret(api: Api, folder: Folder) -> None:
    write(folder, spec(api))
    with folder.started("serve", "--log-level", "debug") as process:
        caught(process, lambda: api.told() == ["failure"], what="the webhook", within_s=WITHIN_S)
        caught(process, (folder.path / "told").exists, what="the program's file", within_s=WITHIN_S)
        process.send_signal(signal.SIGTERM)
        _, _, err = ended(process)

    given = (folder.path / "told").read_text(encoding="utf-8")
    assert seen_in(json.dumps(api.hooks())) == []
    assert "answered with status code 404" in api.hooks()[0]["reason"]
    assert seen_in(given) == []
    assert "CRUDSD_EVENT=failure" in given
    assert "crudsd serve" in given
    assert seen_in(err) == []
    assert '"alert": "ops"' in err


def test_a_reload_takes_over_changed_alerts_and_the_end_waits_for_none_of_them(api: Api, folder: Folder) -> None:
    write(folder, spec(api))
    with folder.started("serve") as process:
        caught(process, lambda: api.told() == ["failure"], what="the first webhook", within_s=WITHIN_S)
        write(folder, spec(api, on_recovery="nobody"))
        process.send_signal(signal.SIGHUP)
        said(process, "reload.refused")
        api.route("/second", Reply(hang=True))
        write(folder, spec(api, on_recovery="second"))
        process.send_signal(signal.SIGHUP)
        said(process, "service.reloaded")
        api.is_well = True
        caught(process, lambda: api.told("/second") == ["recovery"], what="the second webhook", within_s=WITHIN_S)
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)

    assert code == Exit.DONE, err
    assert api.told() == ["failure"]
    assert "alerts.left" in err
