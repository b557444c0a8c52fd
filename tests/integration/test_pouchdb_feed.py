"""An incremental job over a feed of changes: CouchDB's `_changes` with its sequence and its tombstones."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from daemon.sync.cursor import Reach
from daemon.sync.outcome import Ending, Result
from tests.e2e.harness import LIMIT_S, Folder, ended
from tests.fakes.misbehaving import Collection, MisbehavingServer, Moment, Seen
from tests.integration.harness import Desk, wrote, yaml_of
from tests.servers.pouchdb import PASSWORD, PouchDB
from tests.servers.rewriting_proxy import after, passing

pytestmark = pytest.mark.servers

PAGE = 20
TOKEN = "canary-t0ken-of-the-users"
SECRETS = {"COUCH_PASSWORD": PASSWORD, "DESK_TOKEN": TOKEN}


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> Iterator[MisbehavingServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=5) as server:
        server.token(TOKEN)
        yield server


@pytest.fixture
def held(users: MisbehavingServer) -> Collection:
    return users.collection("users", key="no", paging="page")


@pytest.fixture
def feed(request: pytest.FixtureRequest, pouchdb: PouchDB) -> str:
    """The name of an empty database of this test's own."""
    name = "".join(letter for letter in request.node.name.lower() if letter.isalnum())
    pouchdb.database(name)
    return name


def spec(pouchdb: PouchDB, feed: str, users: MisbehavingServer) -> str:
    """Return the page's job, but for addresses and names, and with pages so small that there are several."""
    hosts = {"https://couch.example.com": pouchdb.url, "https://desk.example.com/v1": users.url}
    names = {"people/_changes": f"{feed}/_changes", "limit: 500": f"limit: {PAGE}"}
    guards = "    guards: {deletes: 50%, updates: 100%}\n"
    return yaml_of("how-to/couchdb.md", {**hosts, **names}) + guards


def person(number: int, name: str = "Zoë") -> dict[str, Any]:
    return {"_id": f"p{number:03}", "name": f"{name} {number}"}


def in_step(pouchdb: PouchDB, feed: str, held: Collection) -> bool:
    wanted = [(one["_id"], one["name"]) for one in pouchdb.all(feed)]
    return sorted((one["no"], one["name"]) for one in held.records()) == wanted


def told(result: Result) -> tuple[Ending, Reach | None, tuple[int, int, int]]:
    return result.ending, result.reach, wrote(result.counts)


def test_inserts_updates_and_tombstones_follow_the_feed(
    pouchdb: PouchDB, feed: str, users: MisbehavingServer, held: Collection, tmp_path: Path
) -> None:
    pouchdb.write(feed, *(person(number) for number in range(50)), {"_id": "_design/views", "name": "no person"})
    desk = Desk(tmp_path, spec(pouchdb, feed, users), secrets=SECRETS)

    assert told(desk.run().result) == (Ending.DONE, Reach.WHOLE, (50, 0, 0))
    pouchdb.proxy.forget()
    assert told(desk.run().result) == (Ending.DONE, Reach.SINCE, (0, 0, 0))
    assert len(pouchdb.proxy.asked(f"/{feed}/_changes")) == 1
    pouchdb.write(feed, *(person(number, "New") for number in range(5)), person(70))
    pouchdb.delete(feed, ["p010", "p011"])
    pouchdb.write(feed, person(80))
    pouchdb.delete(feed, ["p080"])  # was never in the target
    assert told(desk.run().result) == (Ending.DONE, Reach.SINCE, (1, 5, 2))
    pouchdb.write(feed, person(10, "Back"))
    assert told(desk.run().result) == (Ending.DONE, Reach.SINCE, (1, 0, 0))

    assert in_step(pouchdb, feed, held)


@pytest.mark.parametrize("struck", ["while it reads", "while it writes"])
def test_a_killed_run_is_made_up_for_and_nothing_is_lost_or_doubled(
    pouchdb: PouchDB, feed: str, users: MisbehavingServer, held: Collection, tmp_path: Path, struck: str
) -> None:
    pouchdb.write(feed, *(person(number) for number in range(30)))
    desk = Desk(tmp_path, spec(pouchdb, feed, users), secrets=SECRETS)
    desk.run()
    pouchdb.write(feed, *(person(number, "New") for number in range(5, 40)))
    pouchdb.delete(feed, ["p000", "p001"])
    under_way: Queue[subprocess.Popen[str]] = Queue()

    def strike() -> None:
        under_way.get(timeout=LIMIT_S).kill()

    if struck == "while it reads":
        pouchdb.proxy.next(f"/{feed}/_changes", passing, after(strike))
    else:
        users.watch(_at_the_third_write(users, strike))
    with Folder(tmp_path, None, **SECRETS).started("run", "people") as process:
        under_way.put(process)
        code, _, _ = ended(process)

    users.watch(None)
    assert code == -signal.SIGKILL
    assert not in_step(pouchdb, feed, held)
    assert desk.run().result.ending is Ending.DONE
    assert in_step(pouchdb, feed, held)
    assert users.creates_by_key("users") == {f"p{number:03}": 1 for number in range(40)}


def _at_the_third_write(users: MisbehavingServer, act: Callable[[], None]) -> Callable[[Moment, Seen], None]:
    before = len(users.applied)

    def watch(moment: Moment, _seen: Seen) -> None:
        # Carried out, and its answer not sent: nobody on the other side can know.
        if moment is Moment.APPLIED and len(users.applied) >= before + 3:
            users.watch(None)
            act()

    return watch
