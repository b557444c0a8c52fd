"""A loopback API that shows an edition of records, takes creates, and remembers what it was asked.

`records_server.py FOLDER`, the editions' folder. Its port is the first line it prints; it ends when its standard input
does.

`POST /begin` with `{"edition": NAME, "delay_s": SECONDS}` forgets everything, shows that edition from then on and lets
each create wait so long. `GET /people?page=N` is a page of it, `GET /nobody` an empty list, `POST /people` makes a
record and answers 201 with its id. `GET /told` is what happened since the last beginning.
"""

from __future__ import annotations

import itertools
import json
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

from bench.records import COLUMNS, tally

HEAD = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
NOBODY = b'{"data":[],"next":null,"total":0}'


class Memory:
    """What is shown, and what was asked."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.begin({"edition": "", "delay_s": 0.0})

    def begin(self, wanted: dict[str, Any]) -> None:
        """Forget everything and show this edition."""
        self._folder = self._place / str(wanted["edition"])
        self.delay_s: float = wanted["delay_s"]
        self._ids = itertools.count(1)
        self._read: list[str] = []
        self._made: list[tuple[float, bytes]] = []

    def page(self, number: str) -> Path:
        """Count a read and return the file with the page."""
        self._read.append(number)
        return self._folder / f"{int(number)}.json"

    def create(self, body: bytes) -> int:
        """Keep a body and return its new id."""
        if self.delay_s:
            time.sleep(self.delay_s)
        self._made.append((time.monotonic(), body))
        return next(self._ids)

    def told(self) -> dict[str, Any]:
        """Return the counts, what the bodies come to, and how fast the creates came."""
        bodies = [json.loads(body) for _, body in self._made]
        moments = sorted(moment for moment, _ in self._made)
        return {
            "reads": len(self._read),
            "creates": len(bodies),
            "checksum": tally(tuple(body.get(name, 0) for name in COLUMNS) for body in bodies)[1],
            "seconds": moments[-1] - moments[0] if moments else 0.0,
        }


def serve(connection: socket.socket, memory: Memory) -> None:
    """Answer one connection until it is closed."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waiting = b""
    while part := connection.recv(65_536):
        waiting += part
        end = waiting.find(b"\r\n\r\n") + 4
        if end < 4:
            continue
        head = waiting[:end].lower()
        at = head.find(b"content-length:") + 15
        length = int(head[at : head.find(b"\r", at)]) if at > 14 else 0
        while len(waiting) < end + length and (more := connection.recv(65_536)):
            waiting += more
        target, body = waiting[: waiting.find(b" HTTP/")], waiting[end : end + length]
        waiting = waiting[end + length :]
        answer(connection, target, body, memory)


def answer(connection: socket.socket, target: bytes, body: bytes, memory: Memory) -> None:
    """Send one answer; a page goes from its file to the socket by the kernel."""
    if target.startswith(b"GET /people"):
        _, _, number = target.partition(b"page=")
        with memory.page(number.partition(b"&")[0].decode() or "1").open("rb") as file:
            connection.sendall(HEAD % (b"200 OK", file.seek(0, 2)))
            file.seek(0)
            connection.sendfile(file)
        return
    status, text = b"200 OK", NOBODY
    if target == b"POST /people":
        status, text = b"201 Created", b'{"id":%d}' % memory.create(body)
    elif target == b"POST /begin":
        memory.begin(json.loads(body))
    elif target == b"GET /told":
        text = json.dumps(memory.told()).encode()
    connection.sendall(HEAD % (status, len(text)) + text)


def accept(listener: socket.socket, memory: Memory) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, memory), daemon=True).start()


if __name__ == "__main__":
    door = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(door.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(door, Memory(Path(sys.argv[1]))), daemon=True).start()
    sys.stdin.read()
