"""A stand-in for journald's socket: takes datagrams, and reads them by the protocol's own words."""

import queue
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from daemon.logs import native

Entry = dict[str, str]


_ASKED, _OVER = b"asked", b"over"
"""Datagrams of its own; no field is called so."""


class FakeJournal:
    """Bound to a name without a place in the file system, since a test's folder may be too long for a socket."""

    def __init__(self) -> None:
        self.address = f"\0crudsd-journal-{secrets.token_hex(8)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._came: list[bytes] = []
        self._answers: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
        # The kernel keeps few datagrams for one who does not read, and the sender of the next one waits.
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """Be gone: who sends something now is refused. May be repeated."""
        if self._reader.is_alive():
            self._send(_OVER)
            self._reader.join()
        self._socket.close()

    def datagrams(self) -> list[bytes]:
        """Return what came since this was asked last."""
        self._send(_ASKED)
        return self._answers.get(timeout=20)

    def _send(self, datagram: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(datagram, self.address)

    def _read(self) -> None:
        while (datagram := self._socket.recv(1 << 20)) != _OVER:
            if datagram == _ASKED:
                self._answers.put(self._came)
                self._came = []
            else:
                self._came.append(datagram)

    def entries(self) -> list[Entry]:
        """The same, read."""
        return [entry(datagram) for datagram in self.datagrams()]


def entry(datagram: bytes) -> Entry:
    """Read a datagram: `NAME=value` lines, and `NAME`, 64 bits of length, value, newline for values with newlines."""
    found: Entry = {}
    rest = datagram
    while rest:
        line, _, after = rest.partition(b"\n")
        name, sign, value = line.partition(b"=")
        if not sign:
            length, after = int.from_bytes(after[:8], "little"), after[8:]
            value, end, after = after[:length], after[length : length + 1], after[length + 1 :]
            assert end == b"\n"
        found[name.decode("ascii")] = value.decode()
        rest = after
    return found


@contextmanager
def journal() -> Iterator[FakeJournal]:
    """Stand in for the journal of this process while the block lasts."""
    one = FakeJournal()
    with closing(one), pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "SOCKET", one.address)
        yield one
