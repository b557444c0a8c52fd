"""The two sides of a job: the source and the target that its blocks name, each on its connection.

What reads or writes one kind of system is loaded for a job that names one.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from .endpoints.caller import Caller
from .endpoints.databases import LateDatabases
from .errors import ConfigError
from .runtime.both_sides import Endpoints
from .spec import (
    CallSource,
    CallTarget,
    FilesConnection,
    FileSource,
    FileTarget,
    InterfaceConnection,
    Job,
    LinkedParents,
    ListedParents,
    Parents,
    QuerySource,
    RequestSource,
    RequestTarget,
    Spec,
    TableTarget,
)
from .store.database import Database
from .store.parents import LinkSource
from .sync.change import Change
from .sync.explanation import Sending
from .sync.parents import ListSource, ParentParts
from .sync.parts import WHOLE, Parts
from .sync.ports import Source, Target
from .wiring import Connections

if TYPE_CHECKING:
    from .endpoints.folder import Folder
    from .endpoints.models import Model


class ShownTarget(Target, Protocol):
    """A target that can say what it would do."""

    def shown(self, change: Change) -> tuple[Sending, ...]:
        """Return what would be sent for a change, in order, as people may see it."""


class Sides:
    """Makes both sides of jobs; folders, interfaces and databases are opened once. Threads may share it."""

    def __init__(self, spec: Spec, connections: Connections, database: Database) -> None:
        self._spec = spec
        self._connections = connections
        self._database = database
        self._databases = LateDatabases(spec.connections, connections.around, database.get_fact, database.put_fact)
        self._folders: dict[str, Folder] = {}
        self._interfaces: dict[str, Any] = {}
        self._building = threading.Lock()

    def close(self) -> None:
        """Close every connection to a database."""
        self._databases.close()

    def endpoints(self, job: Job, stopping: Callable[[], bool]) -> Endpoints:
        """Return both sides of a job for one run of it; its waits end when `stopping` says so."""
        caller = Caller(stopping)
        ends = self._ends(job, caller)
        if job.for_each is None:
            return ends
        quota = self._spec.connections[job.source.connection].quota
        return replace(ends, parts=self._parts(job.for_each, job, caller), ahead=quota.concurrency)

    def _ends(self, job: Job, caller: Caller) -> Endpoints:
        source = self._source(job, caller)
        if isinstance(job.target, TableTarget):
            table = self._databases.get().target(job, job.target)
            return Endpoints(source=source, target=table, shown=table.shown, prepare=table.prepare)
        target = self._target(job, caller)
        return Endpoints(source=source, target=target, shown=target.shown)

    def _parts(self, block: Parents | None, job: Job, caller: Caller) -> Parts:
        """Return the parts that a job's source has, one for each of its parents."""
        match block:
            case None:
                return WHOLE
            case ListedParents():
                source: Source = ListSource(block.in_)
            case LinkedParents():
                source = LinkSource(self._database, block.links_of)
            case _:
                # Parents are read as any source is: their block says the same of it.
                source = self._source(job.model_copy(update={"source": block}), caller)
        return ParentParts(block, source, self._parts(block.for_each, job, caller))

    def blot(self, name: str) -> Callable[[str], str]:
        """Return what takes the secrets of this connection out of texts."""
        if name in self._databases:
            return self._databases.get().blot(name)
        if isinstance(self._spec.connections[name], FilesConnection):
            return self._folder(name).blot
        return self._connections.exchange(name).blot

    def _source(self, job: Job, caller: Caller) -> Source:
        match job.source:
            case RequestSource() as source:
                from .endpoints.rest_read import RestSource

                token = source.incremental.answered if source.incremental is not None else None
                exchange = self._connections.exchange(source.connection).on_behalf_of(caller)
                return RestSource(exchange, source.request, token=token)
            case QuerySource() as source:
                return self._databases.get().source(source)
            case FileSource() as source:
                from .endpoints.file_read import FileSource as FileReader

                return FileReader(self._folder(source.connection), source)
            case CallSource() as source:
                from .endpoints.call_read import CallSource as CallReader

                model = self._model(source.connection, source.call.partition(".")[0], caller)
                return CallReader(model, source.listing)
            case other:
                raise ConfigError(f"connection {other.connection}: no such source yet")

    def _target(self, job: Job, caller: Caller) -> "ShownTarget":
        match job.target:
            case RequestTarget() as target:
                from .endpoints.rest_write import RestTarget

                return RestTarget(self._connections.exchange(target.connection).on_behalf_of(caller), target)
            case FileTarget() as target:
                from .endpoints.file_write import FileTarget as FileWriter

                return FileWriter(self._folder(target.connection), target, job.columns)
            case CallTarget() as target:
                from .endpoints.call_write import CallTarget as CallWriter

                return CallWriter(self._model(target.connection, target.model, caller), target)
            case other:
                raise ConfigError(f"connection {other.connection}: no such target yet")

    def _folder(self, name: str) -> "Folder":
        from .endpoints.folders import open_folder

        with self._building:
            if name not in self._folders:
                connection = self._spec.connections[name]
                assert isinstance(connection, FilesConnection)  # noqa: S101 - the kinds of both were compared
                self._folders[name] = open_folder(name, connection, self._connections.secret)
            return self._folders[name]

    def _model(self, name: str, model: str, caller: Caller) -> "Model":
        from .endpoints.models import Model, open_interface

        exchange = self._connections.exchange(name)
        with self._building:
            if name not in self._interfaces:
                connection = self._spec.connections[name]
                assert isinstance(connection, InterfaceConnection)  # noqa: S101 - the kinds of both were compared
                self._interfaces[name] = open_interface(name, connection, exchange)
        return Model(exchange.on_behalf_of(caller), self._interfaces[name], model)
