"""The databases of a configuration; what talks to them is loaded when a job first needs one."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from daemon.spec import Connection, SqlConnection

from .surroundings import Surroundings

if TYPE_CHECKING:
    from .sql.systems import Databases


class LateDatabases:
    """Makes the `Databases` when they are first asked for. Threads may share it."""

    def __init__(
        self,
        connections: Mapping[str, Connection],
        around: Callable[[], Surroundings],
        recall: Callable[[str], bytes | None],
        remember: Callable[[str, bytes], None],
    ) -> None:
        self._connections = {name: one for name, one in connections.items() if isinstance(one, SqlConnection)}
        self._around = around
        self._recall = recall
        self._remember = remember
        self._made: Databases | None = None
        self._making = threading.Lock()

    def __contains__(self, name: str) -> bool:
        """Say whether a connection is a database."""
        return name in self._connections

    def get(self) -> "Databases":
        """Return them."""
        from .sql.systems import Databases  # noqa: PLC0415 - who names no database pays for none

        with self._making:
            if self._made is None:
                self._made = Databases(self._connections, self._around(), self._recall, self._remember)
            return self._made

    def close(self) -> None:
        """Close every connection to a database."""
        if self._made is not None:
            self._made.close()
