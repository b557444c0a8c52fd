"""Starts `crudsd` processes by forking one that has everything imported: each costs a tenth of a fresh interpreter.

A fork of the tests' own process would take their threads' locks with it; this one has a single thread. It reads one
JSON object a line (folder, environment, arguments, order), answers with `{"pid": …}`, and, whenever the child has
stopped or ended, with `{"stopped": true}` or `{"code": …}` (negative: by that signal).
"""

import contextlib
import importlib
import json
import os
import pkgutil
import sys
from typing import Any


def main() -> None:
    """Serve until the input ends."""

    for package in (
        "daemon.cli",
        "daemon.store",
        "daemon.endpoints",
        "daemon.report",
        "daemon.runtime",
        "daemon.vault",
    ):
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    from tests.faults import steps  # noqa: F401 - for the child

    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be_crudsd(asked)
        say(pid=pid)
        _follow(pid)


def _follow(pid: int) -> None:
    while True:
        _, status = os.waitpid(pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            say(code=os.waitstatus_to_exitcode(status))
            return
        say(stopped=True)


def _be_crudsd(asked: dict[str, Any]) -> None:
    """Become a command: never returns."""
    code = 99
    with contextlib.suppress(SystemExit):
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            file = os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(file, descriptor)
            os.close(file)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(asked["folder"])
        os.environ.update(asked["environment"])
        from daemon.cli import main as crudsd
        from tests.faults.steps import as_order, watch

        if asked["order"]:
            watch(as_order(asked["order"]))
        code = crudsd(asked["arguments"])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def say(**facts: Any) -> None:
    """One answer."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
