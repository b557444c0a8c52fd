"""What all connections of this process share: where secrets, tokens and files are, and when to stop."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daemon.spec import OAuth2Auth, SecretRef, Tls
from daemon.values import Secret

from .caller import NOBODY, Caller
from .rotation import UNCHANGING, Look

if TYPE_CHECKING:  # databases and folders have surroundings too, and need no client
    from cruds.events import RequestEvent
    from cruds.oauth2.store import TokenStore

Resolve = Callable[[SecretRef], Secret]
Warn = Callable[[str], None]
"""Told what an operator should know, in words."""


def unheard(*_: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every connection of this process shares."""

    resolve: Resolve
    token_store: "Callable[[str, OAuth2Auth, str], TokenStore]"
    """Makes the store for a connection's tokens: its name, its settings, its client id."""
    folder: Path
    """Where relative paths of the job file begin."""
    stop: threading.Event
    on_event: "Callable[[str, RequestEvent], None]"
    """Told of each attempt, with the connection's name."""
    warn: Callable[[str, str], None] = unheard
    """Told, with the connection's name, what an operator should know."""
    watch: Callable[[SecretRef], Look] = lambda _: lambda: UNCHANGING
    """Makes what tells cheaply whether a secret may have changed."""
    on_secret: Callable[[str, str, str], None] = unheard
    """Told, with the connection's name, of secrets that were rotated, and of those that could not be read again."""


class EndOfWaits(threading.Event):
    """The stop event as the client gets it: ends its waits, and refuses no attempt.

    A change in hand when the work is asked to stop is finished. Its journal row says sent already; refused by the
    client, it would be dropped, planned again by the next run, and a lost answer could not even be looked into.
    Whether something new may begin is asked before, by the engine and the throttle.
    """

    def __init__(self, stop: threading.Event, caller: Callable[[], Caller] = lambda: NOBODY) -> None:
        """`caller` says on whose behalf this thread waits: its own stop ends the wait too."""
        super().__init__()
        self._asked, self._caller = stop, caller

    def is_set(self) -> bool:
        """Return False: there is no reason to refuse an attempt."""
        return False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, at most this many seconds, for the work to be asked to stop; say whether it was."""
        return self._asked.wait(timeout) if timeout is None else self._caller().wait(self._asked, timeout)


def tls_options(tls: Tls, folder: Path) -> Mapping[str, Any]:
    """Return the options of a block `tls`, for a client and for its token endpoint alike.

    Raises ValueError for a file that is not there.
    """
    ours, key = _file(folder, tls.cert_file), _file(folder, tls.key_file)
    return {"ca_file": _file(folder, tls.ca_file), "client_cert": (ours, key) if ours and key else ours}


def _file(folder: Path, file: Path | None) -> str | None:
    """Return a file's whole path. Raises ValueError when it is not there: OpenSSL would not say which one."""
    if file is None:
        return None
    if not (folder / file).is_file():
        raise ValueError(f"there is no file {folder / file}")
    return str(folder / file)
