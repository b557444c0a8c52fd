"""What `crudsd validate` looks up beyond the job files, without asking any system: papers, folders, interface files.

What knows one of these is loaded for a configuration that names one.
"""

from collections.abc import Iterator

from .errors import CrudsdError
from .settings import Settings
from .spec import (
    CallSource,
    CallTarget,
    FilesConnection,
    FileSource,
    FileTarget,
    HttpConnection,
    InterfaceConnection,
    Job,
    Loaded,
    LookUp,
    OAuth2Auth,
    Problem,
    SecretRef,
    resolve,
)

_CALLS = ("list", "lookup", "get", "create", "update", "delete")


def check_named(settings: Settings, loaded: Loaded, vault: LookUp) -> tuple[Problem, ...]:
    """Return every problem of what the job files name and this machine holds."""
    return check_papers(settings, loaded, vault) + check_folders(loaded) + check_interfaces(loaded)


def check_papers(settings: Settings, loaded: Loaded, vault: LookUp) -> tuple[Problem, ...]:
    """Return a problem for each certificate and private key, as far as it can be had, that cannot be used."""
    with_papers = {name: one for name, one in loaded.spec.http_connections.items() if _has_papers(one)}
    if not with_papers:
        return ()
    from .endpoints.papers import paper_problems

    def reveal(ref: SecretRef) -> str | None:
        try:
            return resolve(
                ref,
                environment=settings.environment,
                credentials=settings.credentials,
                folder=settings.folder,
                vault=vault,
            ).reveal()
        except CrudsdError:
            return None  # told already

    return tuple(
        loaded.problem(("connections", name, *path), message, cure)
        for name, connection in with_papers.items()
        for path, message, cure in paper_problems(connection, reveal, settings.folder)
    )


def _has_papers(connection: HttpConnection) -> bool:
    tls, auth = connection.tls, connection.auth
    has_key = isinstance(auth, OAuth2Auth) and auth.private_key is not None
    return has_key or any((tls.ca_file, tls.cert_file, tls.key_file))


def check_folders(loaded: Loaded) -> tuple[Problem, ...]:
    """Return a problem for each folder that is not there, and for what is not installed to reach or read it."""
    folders = {name: one for name, one in loaded.spec.connections.items() if isinstance(one, FilesConnection)}
    if not folders:
        return ()
    from .endpoints.folders import folder_problem
    from .endpoints.packing import packing_problem

    found = [
        loaded.problem(("connections", name, "url"), message, cure)
        for name, connection in folders.items()
        for message, cure in folder_problem(connection)
    ]
    for name, job in loaded.spec.jobs.items():
        for side, block in (("source", job.source), ("target", job.target)):
            if isinstance(block, (FileSource, FileTarget)) and (message := packing_problem(block)):
                cure = "install what reads it: pip install 'crudsd[files]'"
                found.append(loaded.problem(("jobs", name, side, "path"), message, cure))
    return tuple(found)


def check_interfaces(loaded: Loaded) -> tuple[Problem, ...]:
    """Return a problem for each mistake in an interface file, and for each model and method that it has not.

    The package of an interface is not imported for it, since importing runs it.
    """
    interfaces = {name: one for name, one in loaded.spec.connections.items() if isinstance(one, InterfaceConnection)}
    if not interfaces:
        return ()
    from .endpoints.models import file_problems, method_problem

    found = []
    for name, connection in interfaces.items():
        path = ("connections", name, "file")
        found += [loaded.problem(path, message) for message in file_problems(connection)]
    for name, job in loaded.spec.jobs.items():
        for side, key, model, method in _calls(job):
            interface = interfaces.get((job.source if side == "source" else job.target).connection)
            message = None if interface is None else method_problem(interface, model, method)
            if message:
                found.append(loaded.problem(("jobs", name, side, *key), message))
    return tuple(found)


def _calls(job: Job) -> Iterator[tuple[str, tuple[str, ...], str, str]]:
    """Yield the calls of a job: side, keys below it, model, method."""
    if isinstance(job.source, CallSource):
        model, _, method = job.source.call.partition(".")
        yield "source", ("call",), model, method
    if isinstance(job.target, CallTarget):
        for key in _CALLS:
            call = getattr(job.target, key)
            if call is not None:
                yield "target", (key, "call"), job.target.model, call.call
