"""What systemd wants to hear (sd_notify(3)): a datagram on the socket it names. Outside systemd, nothing happens."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress

_PATIENCE_S = 5.0
"""A manager that does not read must not hold up the work."""


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


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Return what the unit's WatchdogSec= says (sd_watchdog_enabled(3)): it may be meant for another process."""
    microseconds, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or pid not in {"", str(os.getpid())}:
        return None
    return int(microseconds) / 1_000_000
