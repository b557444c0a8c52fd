"""Secrets and certificates that the platform replaces while the program runs: looked at often, read when they changed.

A look is a `stat`. Files are caught in the middle of their replacement: missing, empty, cut. So a file is read when it
has been left alone for a moment, and whatever cannot be used leaves what was good in use.
"""

import os
import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TypeAlias

from daemon.errors import CrudsdError
from daemon.spec import SecretRef

Stamp: TypeAlias = tuple[Hashable, int]
"""What is another one after a change, and when the last change was, in nanoseconds since 1970; 0 where that is not
known."""
Look: TypeAlias = Callable[[], Stamp]
Tell: TypeAlias = Callable[[str, str], None]
"""Told an event, `secret.reread` or `secret.stale`, and what an operator should know."""

UNCHANGING: Stamp = ((), 0)
_STILL_NS = 100_000_000
"""How long a file must have been left alone. A writer that truncates and writes is done in a thousandth of that."""


def file_stamp(path: Path | str) -> Stamp:
    """Return the stamp of a file, through links; of one that is not there, too."""
    try:
        found = os.stat(path)  # noqa: PTH116  asked for each request: a Path costs as much again
    except OSError as error:
        return (error.errno, 0)
    return ((found.st_dev, found.st_ino, found.st_size, found.st_ctime_ns, found.st_mtime_ns), found.st_mtime_ns)


class Watch:
    """Says when a thing is to be looked at again. Threads may share it."""

    def __init__(self, look: Look, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._look, self._wall_ns = look, wall_ns
        self._seen: Stamp | None = None

    def due(self) -> Stamp | None:
        """Return the stamp of a thing that has changed and is left alone by now; None for nothing new."""
        stamp = self._look()
        if stamp == self._seen or (self._seen is not None and self._is_young(stamp)):
            return None
        return stamp

    def note(self, stamp: Stamp) -> None:
        """Take note that it was looked at; but a file that may still be written to is looked at again."""
        if not self._is_young(stamp):
            self._seen = stamp

    def _is_young(self, stamp: Stamp) -> bool:
        return 0 <= self._wall_ns() - stamp[1] < _STILL_NS


class Fixed:
    """A text of the job file that may also be a reference, and is none."""

    def __init__(self, value: str) -> None:
        self._value = value

    def now(self) -> str:
        """Return it."""
        return self._value

    def anew(self) -> str:
        """Return it."""
        return self._value


class WatchedSecret:
    """A secret of the job file as it is now. Threads may share it.

    Each new value is told to `learn` before it is given out. Raises what `resolve` raises when it is made; later the
    last good value counts.
    """

    def __init__(
        self,
        ref: SecretRef,
        *,
        what: str,
        resolve: Callable[[SecretRef], str],
        look: Look,
        learn: Callable[[str], None],
        tell: Tell,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._ref, self._what, self._resolve, self._learn, self._tell = ref, what, resolve, learn, tell
        self._watch = Watch(look, wall_ns)
        self._lock = threading.Lock()
        self._is_stale = False
        stamp = self._watch.due()
        self._value = resolve(ref)
        learn(self._value)
        if stamp is not None:
            self._watch.note(stamp)

    def now(self) -> str:
        """Return its value, read again if its file changed."""
        stamp = self._watch.due()
        return self._value if stamp is None else self._read(stamp)

    def anew(self) -> str:
        """Return its value, read again whatever its file looks like: the last one was refused."""
        return self._read(None)

    def _read(self, stamp: Stamp | None) -> str:
        with self._lock:
            try:
                value = self._resolve(self._ref)
            except CrudsdError as error:
                if not self._is_stale:
                    self._tell("secret.stale", f"{self._what}: {error}; the value that was read before is used")
                self._is_stale = True
            else:
                self._is_stale = False
                if value != self._value:
                    self._learn(value)  # before anybody can send it
                    self._value = value
                    self._tell("secret.reread", f"{self._what} has changed and was read again")
            if stamp is not None:
                self._watch.note(stamp)
            return self._value


Held: TypeAlias = Fixed | WatchedSecret
"""A value of the credentials, as it is now."""


class Papers:
    """The files of our client certificate. Threads may share it."""

    def __init__(self, client_cert: str | tuple[str, str] | None, tell: Tell) -> None:
        files = (client_cert,) if isinstance(client_cert, str) else client_cert or ()
        self._files, self._tell = files, tell
        self._watch = Watch(self.stamp)
        self._lock = threading.Lock()
        stamp = self._watch.due()
        if stamp is not None:
            self._watch.note(stamp)

    def stamp(self) -> Stamp:
        """Return what is another one when one of the files was replaced."""
        stamps = tuple(map(file_stamp, self._files))
        return (stamps, max((changed for _, changed in stamps), default=0))

    def renew(self, load: Callable[[], None]) -> None:
        """Call `load` if they were replaced. What it raises (ValueError, OSError) is told, and the old ones stay."""
        if not self._files or self._watch.due() is None:
            return
        with self._lock:
            stamp = self._watch.due()
            if stamp is None:
                return
            try:
                load()
            except (ValueError, OSError) as error:
                said = f"{' and '.join(self._files)} cannot be used: {error}; the certificate read before stays in use"
                self._tell("secret.stale", said)
            else:
                self._tell("secret.reread", f"{' and '.join(self._files)} changed and was read again")
            self._watch.note(stamp)
