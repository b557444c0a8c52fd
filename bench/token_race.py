"""Six processes over one rotating token of five seconds: each for itself, and with one refresher among them.

The server is oidc-provider, which ends the whole session when a refresh token comes twice. Each for itself: a process
begins with the tokens of the same login and renews them when they are due, as a client library does that is used by
several workers. One refresher: the daemon's store in a SQLite file, with its lease, its mark and its compare-and-swap.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from cruds import Client, OAuth2
from cruds.exception import CrudsError
from cruds.oauth2.store import MemoryTokenStore
from cruds.oauth2.token import TokenState
from tests.fakes.scripted import json_reply, serving
from tests.integration.oauth.process import WARM, Came, Task, carry_out, sealed_store
from tests.integration.oauth.world import World
from tests.servers.oidc import CALLBACK, Oidc
from tests.servers.rewriting_proxy import RewritingProxy

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks-tokens.md"
CLIENT = "person-5s"


@dataclass(frozen=True)
class Race:
    """What one way came to."""

    way: str
    reads: int
    renewals: int
    refused: int
    ended: int
    dead: int
    rejected: int


def alone(task: Task, kept: TokenState) -> None:
    """Be a process that renews for itself."""
    store = MemoryTokenStore()
    store.save("", kept, expected_version=0)
    auth = OAuth2(
        task.token_url,
        task.client_id,
        task.client_secret,
        "people.read people.write",
        authorization_url=task.token_url,
        redirect_uri=CALLBACK,
        store=store,
    )
    reads, error = 0, ""
    with Client(task.api_url, auth=auth, retries=0) as client:
        while time.monotonic() < task.end and not error:
            try:
                client.read("people")
                reads += 1
            except CrudsError as caught:
                error = f"{type(caught).__name__}: {caught}"
            time.sleep(0.02)
    Path(task.outcome).write_text(json.dumps(asdict(Came(reads, error))), encoding="utf-8")


def race(world: World, folder: Path, *, processes: int, seconds: float, leased: bool) -> Race:
    """Let them run, and count at the server, the proxy before it, and the gate before the API."""
    token_url, secret = f"{world.proxy.url}/token", world.oidc.clients[CLIENT].secret
    database, families = folder / "state.db", world.oidc.families_revoked()
    task = Task(str(database), token_url, world.gate.url, CLIENT, secret, "", timeout_s=30.0)
    with sealed_store(database, token_url, CLIENT) as store:
        world.logged_in(CLIENT, store=store)
        kept = store.load("")
    assert kept is not None
    world.proxy.forget()
    world.gate.journal.forget()
    end = time.monotonic() + seconds
    tasks = [replace(task, outcome=str(folder / f"{number}"), end=end) for number in range(processes)]
    works = [
        WARM.Process(target=carry_out if leased else alone, args=(one,) if leased else (one, kept)) for one in tasks
    ]
    for work in works:
        work.start()
    for work in works:
        work.join()
    came = [Came(**json.loads(Path(one.outcome).read_text(encoding="utf-8"))) for one in tasks]
    statuses = [asked.status for asked in world.token_requests("refresh_token")]
    return Race(
        "one refresher" if leased else "each for itself",
        sum(one.reads for one in came),
        statuses.count(200),
        statuses.count(400),
        world.oidc.families_revoked() - families,
        sum(bool(one.error) for one in came),
        world.gate.journal.by_status()[401],
    )


@contextmanager
def worlds() -> Iterator[World]:
    """Give a server with its proxies, and an API behind a gate."""
    with ExitStack() as stack:
        oidc = stack.enter_context(Oidc(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        api = stack.enter_context(serving())
        api.route("/people", json_reply({"ok": True}))
        proxy = stack.enter_context(RewritingProxy(oidc.port))
        yield World(oidc, proxy, api, stack.enter_context(oidc.gate(api.port)))


def costs(world: World, folder: Path) -> dict[str, float]:
    """Return what a token costs, in microseconds: the median of twenty rounds."""
    token_url, client = f"{world.proxy.url}/token", "person"
    with sealed_store(folder / "costs.db", token_url, client) as store:
        auth = world.logged_in(client, store=store)

        def lease() -> None:
            with store.lease("", seconds=60) as is_ours:
                assert is_ours

        def save() -> None:
            state = store.load("")
            assert state is not None
            assert store.save("", state, expected_version=state.version)

        return {
            "a valid token at hand, for a request": timed(auth.access_token, 10_000),
            "the state read from the file and opened, as a process does at its start": timed(
                lambda: store.load(""), 200
            ),
            "the lease taken and given back, two commits": timed(lease, 20),
            "the state read, sealed and saved, one commit": timed(save, 20),
        }


def timed(work: object, count: int) -> float:
    """Return the microseconds of one call."""
    assert callable(work)
    rounds = []
    for _ in range(20):
        began = time.perf_counter()
        for _ in range(count):
            work()
        rounds.append((time.perf_counter() - began) / count * 1e6)
    return statistics.median(rounds)


def main() -> None:
    """Measure, print, and with `--write` keep the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    races = []
    with worlds() as world:
        for leased in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                races.append(
                    race(
                        world,
                        Path(folder),
                        processes=options.processes,
                        seconds=options.seconds,
                        leased=leased,
                    )
                )
            print(line(races[-1], options.processes), flush=True)
        with tempfile.TemporaryDirectory() as folder:
            found = costs(world, Path(folder))
    for what, cost in found.items():
        print(f"{cost:9.2f} µs  {what}")
    if options.write:
        PAGE.write_text(page(races, found, options.processes, options.seconds), encoding="utf-8")


def line(one: Race, processes: int) -> str:
    return (
        f"| {one.way} | {one.reads:,} | {one.renewals} | {one.refused} | {one.ended} | {one.rejected} "
        f"| {one.dead} of {processes} |"
    )


def page(races: list[Race], found: dict[str, float], processes: int, seconds: float) -> str:
    load = os.getloadavg()[0]
    return "\n".join(
        [
            "# One refresher, measured",
            "",
            "Made by `python -m bench.token_race --write`; how it is measured: [bench/README.md](../bench/README.md).",
            "",
            (
                f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Python {platform.python_version()}, load "
                f"{load:.1f} at the end. {processes} processes × {seconds:g} s over one session at oidc-provider: "
                "access tokens of 5 s, refresh tokens that are good once, and the whole session ended when one comes "
                "twice."
            ),
            "",
            "| way | reads | renewals | renewals refused | sessions ended | reads answered 401 | workers dead |",
            "|---|---:|---:|---:|---:|---:|---:|",
            *(line(one, processes) for one in races),
            "",
            (
                "A 401 is no failed read: the token is renewed, and the read is repeated once. A worker is dead when "
                "nothing but a login by a person helps it."
            ),
            "",
            "| what a token costs | µs |",
            "|---|---:|",
            *(f"| {what} | {cost:,.2f} |" for what, cost in found.items()),
            "",
        ]
    )


if __name__ == "__main__":
    main()
