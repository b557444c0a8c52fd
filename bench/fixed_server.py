"""A loopback server that costs little: a fixed answer to whatever is asked, over connections kept alive.

Its port is the first line it prints; it ends when its standard input does.
"""

from __future__ import annotations

import json
import socket
import sys
import threading

RECORD = json.dumps(
    {"id": 4711, "email": "somebody.else@example.com", "name": "Somebody Else", "active": True, "tags": ["a", "b"]}
).encode()
TOKEN = json.dumps({"access_token": "t" * 60, "token_type": "Bearer", "expires_in": 86_400}).encode()
HEAD = (
    b"HTTP/1.1 %s\r\nServer: fixed\r\nDate: Sun, 22 Nov 2026 12:00:00 GMT\r\nContent-Type: application/json\r\n"
    b"X-Request-Id: 0f8fad5b-d9cb-469f-a165-70867728950e\r\nCache-Control: no-store\r\nContent-Length: %d\r\n\r\n"
)


def answer(status: bytes, body: bytes) -> bytes:
    return HEAD % (status, len(body)) + body


READ, CREATED, GRANTED = answer(b"200 OK", RECORD), answer(b"201 Created", RECORD), answer(b"200 OK", TOKEN)


def serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waiting = b""
    while part := connection.recv(65_536):
        waiting += part
        end = waiting.find(b"\r\n\r\n") + 4
        if end < 4:
            continue
        if waiting.startswith(b"GET"):
            waiting = waiting[end:]
            connection.sendall(READ)
            continue
        head = waiting[:end].lower()
        at = head.find(b"content-length:") + 15
        end += int(head[at : head.find(b"\r", at)])
        if len(waiting) >= end:
            is_token = waiting.startswith(b"POST /token")
            waiting = waiting[end:]
            connection.sendall(GRANTED if is_token else CREATED)


def accept(listener: socket.socket) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    door = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(door.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(door,), daemon=True).start()
    sys.stdin.read()
