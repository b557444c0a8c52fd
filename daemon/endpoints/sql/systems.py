"""The databases of one configuration, and the sides of jobs that stand on them."""

import threading
from collections.abc import Callable, Mapping
from functools import partial

from daemon.endpoints.surroundings import Surroundings
from daemon.spec import Job, QuerySource, SqlConnection, TableTarget

from .fitting import Memory
from .link import SqlLink, open_link
from .source import SqlSource
from .target import SqlTarget


class Databases:
    """One link a connection, made when it is first asked for. Threads may share it.

    `recall` and `remember` keep what earlier runs knew of a table, by a name.
    """

    def __init__(
        self,
        connections: Mapping[str, SqlConnection],
        around: Surroundings,
        recall: Callable[[str], bytes | None],
        remember: Callable[[str, bytes], None],
    ) -> None:
        self._connections = connections
        self._around = around
        self._recall = recall
        self._remember = remember
        self._links: dict[str, SqlLink] = {}
        self._building = threading.Lock()

    def source(self, source: QuerySource) -> SqlSource:
        """Return the source of a job. Raises ConfigError."""
        return SqlSource(self._link(source.connection), source)

    def target(self, job: Job, target: TableTarget) -> SqlTarget:
        """Return the target of a job. Raises ConfigError."""
        fact = f"table {target.connection} {target.table}"
        memory = Memory(partial(self._recall, fact), partial(self._remember, fact))
        return SqlTarget(self._link(target.connection), job, target, memory)

    def blot(self, name: str) -> Callable[[str], str]:
        """Return what takes the secrets of a connection out of texts. Raises ConfigError."""
        return self._link(name).blot

    def close(self) -> None:
        """Close every connection to a database."""
        for link in self._links.values():
            link.close()

    def _link(self, name: str) -> SqlLink:
        with self._building:
            if name not in self._links:
                self._links[name] = open_link(name, self._connections[name], self._around)
            return self._links[name]
