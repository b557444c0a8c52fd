"""Which process this is, and whether another process of this machine still lives."""

import contextlib
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told apart from a later one that was given the same number."""

    host: str
    """For people; not looked at to decide anything."""
    machine: str
    """Boot and process namespace: only where these are equal does a process number mean the same. Empty: not known."""
    pid: int
    started: str
    """When the process started, in the kernel's own count. Empty: not known."""
    nonce: str
    """Random, so that two owners in one process are two."""

    @staticmethod
    def here() -> "Owner":
        """Return this process."""
        pid = os.getpid()
        return Owner(socket.gethostname(), _machine(), pid, _started(pid) or "", secrets.token_hex(8))

    def is_surely_dead(self, seen_from: "Owner") -> bool:
        """Whether this process is gone, as far as another one can tell; never for a process of another machine."""
        if not self.machine or not self.started or self.machine != seen_from.machine:
            return False
        started = _started(self.pid)
        return started != self.started if started is not None else not _is_there(self.pid)


def _machine() -> str:
    """Name the boot and the process namespace, since containers count processes each for themselves."""
    with contextlib.suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{(_PROC / 'self/ns/pid').readlink()}"
    return ""


def _started(pid: int) -> str | None:
    """Return field 22 of the process's stat (proc(5)); empty for a zombie, None when nothing is seen of it."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets and may hold blanks and brackets itself.
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] in {"Z", "X"} else fields[19]


def _is_there(pid: int) -> bool:
    """Whether the kernel knows the process: /proc hides it from a service with ProtectProc= and PrivateUsers=."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
