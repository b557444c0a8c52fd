"""What systemd wants to hear (sd_notify(3)): a datagram on the socket it names. Outside systemd, nothing happens."""

import socket
from collections.abc import Mapping
from contextlib import suppress


class Notifier:
    """Sends state lines to systemd. Never fails the daemon: a lost message is systemd's to time out."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address

    def send(self, *lines: str) -> None:
        """Send these lines, such as READY=1, as one message."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.connect(self._address)
            channel.sendall("\n".join(lines).encode())
