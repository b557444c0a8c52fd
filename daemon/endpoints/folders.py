"""From a connection in the job file to its folder, with its secrets known to whoever shows a text."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from daemon.errors import ConfigError
from daemon.spec import FilesConnection, SecretRef

from .blot import Blotter
from .folder import Folder, LocalFolder, RemoteFolder
from .surroundings import Resolve


def open_folder(name: str, connection: FilesConnection, resolve: Resolve) -> Folder:
    """Return the folder of a connection. Nothing is read yet. Raises ConfigError."""
    blot = Blotter()

    def plain(value: bool | int | str | SecretRef) -> bool | int | str:
        if not isinstance(value, SecretRef):
            return value
        secret = resolve(value).reveal()
        blot.learn(secret)
        return secret

    url = str(plain(connection.url))
    if "://" not in url:
        return LocalFolder(name, Path(url), blot)
    _learn_password(url, blot)
    options = {option: plain(value) for option, value in connection.options.items()}
    return RemoteFolder(name, url, options, blot)


def _learn_password(url: str, blot: Blotter) -> None:
    try:
        password = urlsplit(url).password
    except ValueError as error:
        raise ConfigError(f"the address of a files connection cannot be read: {error}") from None
    if password:
        blot.learn(password)
        blot.learn(unquote(password))
