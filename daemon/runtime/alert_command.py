"""Alerts told by a program: no shell, a clean environment, a process group of its own, an end to its time and words."""

import json
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import IO, Any, Final, cast

from daemon.errors import RefusedError, UnavailableError
from daemon.redaction import KNOWN, redact_text
from daemon.spec import ALERTED, AlertEvent, CommandAlert

_PASSED_ON: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""What a program gets of our environment. All else stays with us: secrets stand there under names of anybody's."""
_NAMED: Final = ("event", "job", "run", "ending", "cause", "summary", "at", "host")
"""What of an alert is in the environment too, in capitals and with CRUDSD_ before it."""
_LONGEST: Final = 2_000
"""Bytes of its output that are kept: the last, since programs say at the end what went wrong."""
_GRACE_S: Final = 1.0
"""Between asking a program to end and ending it."""


class CommandSender:
    """Tells one program. Used by one thread at a time, but for `close`."""

    events = frozenset(ALERTED)

    def __init__(self, name: str, alert: CommandAlert, environment: Mapping[str, str]) -> None:
        self._name, self._command = name, alert.command
        self._timeout: timedelta = alert.timeout
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def send(self, event: AlertEvent, alert: Mapping[str, Any]) -> None:
        """Start the program and wait for its end. Raises UnavailableError unless it ends with 0."""
        del event
        program = self._command[0]
        document = json.dumps(alert, ensure_ascii=False).encode() + b"\n"
        try:
            process = subprocess.Popen(  # noqa: S603 - what the operator wrote, and no shell
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=clean(self._environment, alert),
                cwd="/",
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise RefusedError(f"alert {self._name}: {program} cannot be started: {reason}") from error
        with process, self._under_way(process):
            said, is_over = _talk(process, document, time.monotonic() + self._timeout.total_seconds())
            if not is_over:
                _end(process)
            code = process.wait()
        if not is_over:
            told = f"took longer than {self._timeout.total_seconds():g} s and was ended"
        elif code:
            told = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        else:
            return
        words = redact_text(" ".join(said.decode("utf-8", "replace").split()))
        raise UnavailableError(f"alert {self._name}: {program} {told}" + (f": {words}" if words else ""))

    def close(self) -> None:
        """End the program, if it is under way."""
        with self._lock:
            process = self._process
            if process is not None and process.poll() is None:
                _signal(process, signal.SIGKILL)

    @contextmanager
    def _under_way(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        with self._lock:
            self._process = process
        try:
            yield
        finally:
            with self._lock:
                self._process = None


def clean(environment: Mapping[str, str], alert: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a program: what it needs to run, what it is told, and nothing that is secret."""
    kept = {name: environment[name] for name in _PASSED_ON if name in environment}
    told = {f"CRUDSD_{name.upper()}": str(alert.get(name, "")).replace("\0", "") for name in _NAMED}
    return {name: value for name, value in (kept | told).items() if not KNOWN.holds(value)}


def _talk(process: subprocess.Popen[bytes], document: bytes, ends_at: float) -> tuple[bytes, bool]:
    """Give the program its stdin, take its words, and return the last of them and whether it came to its end.

    Neither may wait for the other: a program may read nothing, or talk without end, or leave a child that does.
    """
    stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    said = bytearray()
    with selectors.DefaultSelector() as ready:
        for pipe, what in ((stdin, selectors.EVENT_WRITE), (stdout, selectors.EVENT_READ)):
            os.set_blocking(pipe.fileno(), False)
            ready.register(pipe, what)
        while ready.get_map():
            # Looked at first: what it wrote before its end is read all the same.
            is_over = process.poll() is not None
            found = ready.select(0 if is_over else min(0.1, max(0.0, ends_at - time.monotonic())))
            for key, _ in found:
                if key.fileobj is stdin:
                    document = _fed(ready, stdin, document)
                else:
                    _heard(ready, stdout, said)
            if is_over and not any(key.fileobj is stdout for key, _ in found):
                return bytes(said), True  # a child of its own may hold the pipe open for long
            if not is_over and time.monotonic() >= ends_at:
                return bytes(said), False
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, ends_at - time.monotonic()))
    return bytes(said), process.poll() is not None


def _fed(ready: selectors.BaseSelector, pipe: IO[bytes], document: bytes) -> bytes:
    try:
        document = document[os.write(pipe.fileno(), document) :]
    except BlockingIOError:
        return document
    except OSError:  # it reads no more, and that is its business
        document = b""
    if not document:
        ready.unregister(pipe)
        with suppress(OSError):
            pipe.close()
    return document


def _heard(ready: selectors.BaseSelector, pipe: IO[bytes], said: bytearray) -> None:
    try:
        heard = os.read(pipe.fileno(), 65_536)
    except BlockingIOError:
        return
    said += heard
    del said[:-_LONGEST]
    if not heard:
        ready.unregister(pipe)


def _end(process: subprocess.Popen[bytes]) -> None:
    _signal(process, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    _signal(process, signal.SIGKILL)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the whole group: what the program started ends with it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
