"""From a connection in the job file to its folder, with its secrets known to whoever shows a text."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from daemon.errors import ConfigError
from daemon.spec import FilesConnection, OptionOrSecret, SecretRef

from .blot import Blotter
from .folder import Folder, LocalFolder, RemoteFolder
from .surroundings import Resolve


def open_folder(name: str, connection: FilesConnection, resolve: Resolve) -> Folder:
    """Return the folder of a connection. Nothing is read yet. Raises ConfigError."""
    blot = Blotter()

    def plain(value: OptionOrSecret) -> str | int:
        if not isinstance(value, SecretRef):
            return value
        secret = resolve(value).reveal()
        blot.learn(secret)
        return secret

    url = str(plain(connection.url))
    if "://" not in url:
        return LocalFolder(name, Path(url), blot)
    _learn_password(name, url, blot)
    options = {option: plain(value) for option, value in connection.options.items()}
    return RemoteFolder(name, url, options, blot)


def _learn_password(name: str, url: str, blot: Blotter) -> None:
    try:
        password = urlsplit(url).password
    except ValueError as error:
        raise ConfigError(f"connections.{name}: the address cannot be read: {type(error).__name__}") from None
    if password:
        blot.learn(password)
        blot.learn(unquote(password))


def folder_problem(connection: FilesConnection) -> Iterator[tuple[str, str]]:
    """Yield why the folder of a connection cannot be used, and the cure, as far as nobody has to be asked for it."""
    url = connection.url
    if isinstance(url, SecretRef):
        return
    if "://" in url:
        yield from _protocol_problem(url.partition("://")[0])
    elif not Path(url).is_dir():
        yield f"there is no folder {url}", "make it, or mount it"


def _protocol_problem(protocol: str) -> Iterator[tuple[str, str]]:
    try:
        from fsspec.registry import get_filesystem_class  # noqa: PLC0415 - an extra

        get_filesystem_class(protocol)
    except ModuleNotFoundError as error:
        yield f"an address needs fsspec, and it lacks {error.name}", "pip install 'crudsd[files]'"
    except ImportError as error:
        yield f"fsspec cannot speak {protocol}: {error}", "install what it asks for, beside crudsd"
    except ValueError:
        yield f"fsspec knows no {protocol}://", "see its list of file systems; a folder of this machine has no ://"
