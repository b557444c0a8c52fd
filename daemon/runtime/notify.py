"""What systemd wants to hear (sd_notify(3)): a datagram on the socket it names. Outside systemd, nothing happens."""

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

_PATIENCE_S = 5.0
"""A manager that does not read must not hold up the work."""
_ASK_EVERY_S = 10.0
_ASK_FOR_S = 300.0
"""Longer than the part of a step that tells nothing of itself, such as the commit of a large transaction."""


class Notifier:
    """Sends state lines to systemd. Never fails the daemon: a lost message is systemd's to time out."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(environment)
        """Seconds within which systemd wants to hear WATCHDOG=1 each time; None where it does not watch us."""

    def send(self, *lines: str) -> None:
        """Send these lines, such as READY=1, as one message."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.settimeout(_PATIENCE_S)
            channel.connect(self._address)
            channel.sendall("\n".join(lines).encode())


class Patience:
    """Asks systemd to wait on while a long step before READY=1 gets on: without that a start ends after 90 s.

    Call it as often as the work proves that it gets on. It is asked for some minutes each time, so a step that is stuck
    comes to an end all the same.
    """

    def __init__(self, notifier: Notifier, status: str) -> None:
        """`status` is what `systemctl status` shows meanwhile."""
        self._notifier, self._status = notifier, status
        self._asked_at = float("-inf")

    def __call__(self) -> None:
        """Note that the work gets on."""
        now = time.monotonic()
        if now - self._asked_at >= _ASK_EVERY_S:
            self._asked_at = now
            self.ask(_ASK_FOR_S)

    def ask(self, seconds: float) -> None:
        """Ask for so much time at once, where the work tells nothing of itself."""
        self._notifier.send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}", f"STATUS={self._status}")


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Return what the unit's WatchdogSec= says (sd_watchdog_enabled(3)): it may be meant for another process."""
    microseconds, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or pid not in {"", str(os.getpid())}:
        return None
    return int(microseconds) / 1_000_000
