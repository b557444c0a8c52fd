"""A session in a process of its own: nothing is shared with the others but the daemon's store on disk.

`python -m tests.integration.oauth.process FILE NUMBER` is such a process on an interpreter of its own, for what is
decided before it begins. It says that it is ready, and does that task of the file when its input ends.
"""

import ctypes
import errno
import itertools
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from cruds import Client, OAuth2
from cruds.exception import CrudsError
from cruds.token_endpoint import AuthorizationServer
from daemon.clock import utc_clock
from daemon.store.database import Database
from daemon.store.leases import Leases
from daemon.store.owner import Owner
from daemon.store.tokens import SqlTokenStore
from daemon.vault.keys import KeyRing
from daemon.vault.vault import Vault
from tests.faults.steps import Order, Steps, methods, watched
from tests.servers.oidc import CALLBACK
from tests.servers.process import until
from tests.unit.store.places import ready

PATIENCE_S = 20.0
WARM = get_context("forkserver")
WARM.set_forkserver_preload([__name__])
"""Each process is a fork of one that has everything imported and no threads."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a process is told."""

    database: str
    """What `state:` would say."""
    token_url: str
    api_url: str
    client_id: str
    client_secret: str
    outcome: str
    """A file for what came of it."""
    end: float = 0.0
    """On the monotonic clock; until then it reads without a pause. 0: it reads once."""
    timeout_s: float = PATIENCE_S
    """Of one renewal. The lease is a little longer than twice that."""
    busy_s: float = 10.0
    at: str = ""
    """The step at which it is struck (tests/faults/steps.py), and how."""
    by: str = "kill"
    steps: str = ""
    """A file for the name of every step."""
    full: int = 0
    """So many times the disk is full when the token that was just given is to be saved. Under libfiu only."""


@dataclass(frozen=True, slots=True)
class Came:
    """What came of it."""

    reads: int
    error: str = ""
    """Empty: it went well."""


@contextmanager
def sealed_store(place: Path | str, token_url: str, client_id: str, **options: Any) -> Iterator[SqlTokenStore]:
    """The daemon's own token store: sealed, with leases between processes."""
    with ready(place, **options) as database:
        yield SqlTokenStore(
            database,
            Vault(KeyRing((("k1", b"1" * 32),))),
            Leases(database, utc_clock, Owner.here()),
            clock=utc_clock,
            issuer=token_url,
            client_id=client_id,
        )


def read(task: Task) -> Came:
    """Read as the task says. A read that fails is the last."""
    with sealed_store(task.database, task.token_url, task.client_id, busy_timeout_s=task.busy_s) as store:
        auth = OAuth2(
            task.token_url,
            task.client_id,
            task.client_secret,
            "people.read people.write",
            authorization_url=task.token_url,
            redirect_uri=CALLBACK,
            store=store,
            timeout=task.timeout_s,
        )
        # No time.sleep(): where the clock is set under libfaketime, its waits by the monotonic clock fail.
        count, pause = 0, threading.Event()
        with Client(task.api_url, auth=auth, retries=0) as client:
            while count == 0 or time.monotonic() < task.end:
                try:
                    assert client.read("people") == {"ok": True}
                except CrudsError as error:
                    return Came(count, f"{type(error).__name__}: {error}")
                count += 1
                if task.end:
                    pause.wait(0.02)
        return Came(count)


def carry_out(task: Task) -> None:
    """Be the process."""
    if task.full:
        _fill_up(task.full)
    if task.at or task.steps:
        _watch(Steps(Order(at=task.at, by=task.by, steps=task.steps)))
    Path(task.outcome).write_text(json.dumps(asdict(read(task))), encoding="utf-8")


def _watch(steps: Steps) -> None:
    for owner, names in (
        (AuthorizationServer, ["refresh"]),
        (SqlTokenStore, methods(SqlTokenStore)),
        (Leases, methods(Leases)),
        (Database, ["write"]),
    ):
        for name in names:
            setattr(owner, name, watched(steps, f"{owner.__name__}.{name}", getattr(owner, name)))


def _fill_up(times: int) -> None:
    """Let the disk be full from the second save on, the first after the answer, and have room again later."""
    fiu, save, saves = ctypes.CDLL("libfiu.so.0"), SqlTokenStore.save, itertools.count(1)

    def full(*arguments: Any, **more: Any) -> bool:
        number = next(saves)
        if number == 2:
            fiu.fiu_enable(b"posix/io/rw/pwrite", 1, ctypes.c_void_p(errno.ENOSPC), 0)
        if number == 2 + times:
            fiu.fiu_disable(b"posix/io/rw/pwrite")
        return save(*arguments, **more)

    SqlTokenStore.save = full  # type: ignore[method-assign]


def started(task: Task) -> BaseProcess:
    """Start one."""
    process = WARM.Process(target=carry_out, args=(task,))
    process.start()
    return process


def came(process: BaseProcess, task: Task) -> Came | None:
    """Wait for its end, and say what came of it; None if it was killed."""
    process.join(60)
    assert process.exitcode is not None, "it does not end"
    outcome = Path(task.outcome)
    if process.exitcode != 0 or not outcome.exists():
        assert process.exitcode == -9, process.exitcode
        return None
    result = Came(**json.loads(outcome.read_text(encoding="utf-8")))
    outcome.unlink()
    return result


def done(task: Task) -> Came | None:
    """Let one do its task."""
    return came(started(task), task)


def until_paused(process: BaseProcess) -> None:
    """Wait until it has stopped."""
    stat = Path(f"/proc/{process.pid}/stat")
    until(lambda: stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "T", what="the process is paused")


if __name__ == "__main__":
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    carry_out(Task(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))[int(sys.argv[2])]))
