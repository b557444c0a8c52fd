"""A line to a PostgreSQL server of ours, cut at an INSERT's COMMIT: before that arrives, or before its answer does."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

_COMMIT = b"COMMIT\0"
_INSERT = b"INSERT INTO"
_TICK_S = 0.05


class CuttingProxy:
    """Listens on loopback and passes everything on to the server's socket. `cut` is obeyed once."""

    def __init__(self, server: Path) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(_TICK_S)
        self.port: int = self._listener.getsockname()[1]
        self.cut: str | None = None
        """`before` the next COMMIT of an INSERT arrives, or `after` it was carried out; None cuts nothing."""
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def url(self, database: str) -> str:
        """What a job says to come through here."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}?sslmode=disable&gssencmode=disable"

    def _accept(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._pass_on, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, client: socket.socket) -> None:
        with self._line(client) as (server, ready), contextlib.suppress(OSError):
            inserts = False
            while not self._over.is_set():
                for key, _ in ready.select(_TICK_S):
                    piece = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    inserts |= _INSERT in piece
                    is_commit = inserts and key.fileobj is client and _COMMIT in piece
                    if not piece or self._is_cut(is_commit, server, piece):
                        return
                    (server if key.fileobj is client else client).sendall(piece)

    def _is_cut(self, is_commit: bool, server: socket.socket, piece: bytes) -> bool:
        if not is_commit or self.cut is None:
            return False
        how, self.cut = self.cut, None
        if how == "after":
            server.sendall(piece)
            server.recv(65536)  # the answer, which nobody gets
        return True

    @contextmanager
    def _line(self, client: socket.socket) -> Iterator[tuple[socket.socket, selectors.DefaultSelector]]:
        with (
            client,
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server,
            selectors.DefaultSelector() as ready,
        ):
            server.connect(str(self._server))
            ready.register(client, selectors.EVENT_READ)
            ready.register(server, selectors.EVENT_READ)
            yield server, ready
