"""A loopback server with two lists of any length that it makes up page by page, and a door for creates.

`GET /people?page=N` and `GET /users?page=N` show the same records, `COUNT` of them; `GET /nobody` shows none; `POST
/users` answers 201 with a new id. Its port is the first line it prints; it ends when its standard input does.
"""

from __future__ import annotations

import itertools
import json
import socket
import sys
import threading
from urllib.parse import parse_qs, urlsplit

SIZE = 1_000
IDS = itertools.count(10_000_000)


def page(kind: str, number: int, count: int) -> bytes:
    first = (number - 1) * SIZE
    rows = [record(kind, one) for one in range(first, min(first + SIZE, count))]
    after = f'"{number + 1}"' if first + SIZE < count else "null"
    return b'{"data":[%s],"next":%s,"total":%d}' % (",".join(rows).encode(), after.encode(), count)


def record(kind: str, number: int) -> str:
    text = (
        f'"no":"E{number:07d}","name":"Person {number}","email":"person.{number}@example.test","street":"Long Street '
        f'{number % 997}","city":"Town {number % 53}","country":"DE","active":true,"salary":{number % 9000}.50,'
        f'"title":"Engineer","team":"Team {number % 41}"'
    )
    return f'{{"id":"u{number}",{text}}}' if kind == "users" else f"{{{text}}}"


def answer(method: str, target: str, count: int) -> bytes:
    url = urlsplit(target)
    status = b"200 OK"
    if method == "POST":
        status, body = b"201 Created", json.dumps({"id": f"n{next(IDS)}"}).encode()
    elif url.path == "/nobody":
        body = b'{"data":[],"next":null,"total":0}'
    else:
        number = int(parse_qs(url.query).get("page", ["1"])[0])
        body = page(url.path.strip("/"), number, count)
    return b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body


def serve(connection: socket.socket, count: int) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    waiting = b""
    while part := connection.recv(65_536):
        waiting += part
        while (end := waiting.find(b"\r\n\r\n") + 4) > 3:
            head = waiting[:end].decode("latin-1")
            method, target, _ = head.split("\r\n", 1)[0].split(" ")
            length = next(
                (int(line[15:]) for line in head.lower().split("\r\n") if line.startswith("content-length:")), 0
            )
            if len(waiting) < end + length:
                break
            waiting = waiting[end + length :]
            connection.sendall(answer(method, target, count))


def accept(listener: socket.socket, count: int) -> None:
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, count), daemon=True).start()


if __name__ == "__main__":
    door = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(door.getsockname()[1], flush=True)
    threading.Thread(target=accept, args=(door, int(sys.argv[1])), daemon=True).start()
    sys.stdin.read()
