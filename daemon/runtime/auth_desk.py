"""What people ask and say of the connections' sessions: log in, how do they stand, log out."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from time import monotonic
from typing import Protocol, TypeAlias

from daemon.endpoints.login import KEPT, AuthSession, DeviceCode, LoginError, RefusedLoginError, StrayAnswerError
from daemon.endpoints.standing import AuthStatus, Standing
from daemon.errors import ConfigError, CrudsdError, StoppedError, UsageError
from daemon.spec import OAuth2Auth, RestConnection

from .login_answers import Answers, Pasted
from .login_listener import LoginListener, can_listen, with_port
from .login_page import Page

PATIENCE_S = 600.0
"""How long a login in a browser is waited for: as long as its address is good."""


class Sessions(Protocol):
    """The sessions of one configuration, as the composition root gives them."""

    def check_sealed(self) -> None:
        """Raise ConfigError when there is no key, so that nothing could be kept."""

    def auth_session(self, name: str, *, redirect_uri: str | None = None) -> AuthSession:
        """Return a connection's session, to be begun, tried or ended. Raises ConfigError."""

    def auth_status(self, name: str) -> AuthStatus:
        """Return how a connection's credentials stand. Asks no server."""

    def forget_token(self, name: str) -> None:
        """Forget what is kept of a connection's session, whether it can be opened or not."""


@dataclass(frozen=True, slots=True)
class BrowserLogin:
    """What a person needs to know who logs in through a browser."""

    connection: str
    address: str
    """What they open."""
    comes_back_to: str
    is_listening: bool
    """Whether this process waits there. Else the address they end at has to be pasted."""
    may_paste: bool


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """What a person needs to know who logs in on another device."""

    connection: str
    code: DeviceCode


@dataclass(frozen=True, slots=True)
class StrayAnswer:
    """Something came that does not end this login, and it is waited on."""

    reason: str
    by_hand: bool


Told: TypeAlias = BrowserLogin | DeviceLogin | StrayAnswer


@dataclass(frozen=True, slots=True)
class AuthDesk:
    """The sessions of one configuration. Belongs to one thread."""

    connections: Mapping[str, RestConnection]
    sessions: Sessions
    stop: threading.Event

    def status(self, name: str | None) -> tuple[AuthStatus, ...]:
        """Return how the credentials of one connection, or of all, stand. Asks no server."""
        names = list(self.connections) if name is None else [name]
        for one in names:
            self._connection(one)
        return tuple(map(self.sessions.auth_status, names))

    def is_personal(self, name: str) -> bool:
        """Whether a person has to log in before the connection can be used. Raises UsageError for an unknown name."""
        auth = self._connection(name).auth
        return isinstance(auth, OAuth2Auth) and auth.is_personal

    def try_out(self, name: str) -> AuthStatus:
        """Ask for a token where no person is needed for one, and return how the connection stands then.

        Nothing is asked for credentials that are no session. Raises what `AuthSession` does.
        """
        if isinstance(self._connection(name).auth, OAuth2Auth):
            self.sessions.auth_session(name).try_out()
        return self.sessions.auth_status(name)

    def login(
        self,
        name: str,
        tell: Callable[[Told], None],
        *,
        pasted: Pasted | None,
        listens: bool,
        wait_s: float = PATIENCE_S,
    ) -> AuthStatus:
        """Have a person log in, whom `tell` tells what to do, and return how the connection stands then.

        Raises ConfigError, before anybody is asked, when nothing could be kept; LoginError when it did not come about,
        with the session that was there as it was; and what `AuthSession` does. The session is kept before this returns,
        and a running service goes on with it.
        """
        auth = self._connection(name).auth
        if not isinstance(auth, OAuth2Auth) or not auth.is_personal:
            raise UsageError(f"{name} needs no login: no person makes its session")
        self.sessions.check_sealed()
        if auth.grant == "device_code":
            self.sessions.auth_session(name).run_on_device(lambda code: tell(DeviceLogin(name, code)))
        else:
            self._in_browser(name, auth, tell, pasted=pasted, listens=listens, wait_s=wait_s)
        return self.sessions.auth_status(name)

    def logout(self, name: str, *, local: bool) -> bool:
        """End a connection's session at its server, or (`local`) only here; False when there was none that lived.

        Raises what `AuthSession.revoke` does, and then everything is as it was.
        """
        if not isinstance(self._connection(name).auth, OAuth2Auth):
            raise UsageError(f"{name} has no session that could be ended: its credentials stand in the job file")
        status = self.sessions.auth_status(name)
        is_alive = status.standing is Standing.UNREADABLE or (status.is_well and status.obtained_at is not None)
        if local or not is_alive:
            self.sessions.forget_token(name)
        else:
            self._check_readable(name)
            self.sessions.auth_session(name).revoke()
        return is_alive

    def _check_readable(self, name: str) -> None:
        """Raise LoginError when something is kept that cannot be opened: it is neither replaced nor given back."""
        status = self.sessions.auth_status(name)
        if status.standing is Standing.UNREADABLE:
            raise LoginError(
                f"{name}: what is kept of its session cannot be opened: {status.reason}. To go on without it: "
                f"`crudsd auth logout {name} --local`"
            )

    def _in_browser(
        self,
        name: str,
        auth: OAuth2Auth,
        tell: Callable[[Told], None],
        *,
        pasted: Pasted | None,
        listens: bool,
        wait_s: float,
    ) -> None:
        redirect = auth.redirect_uri
        if redirect is None:
            raise ConfigError(
                f"connections.{name}.auth: redirect_uri is missing: name the address that is registered for this "
                "client at the server (example: http://127.0.0.1:8765/callback)"
            )
        may_listen = can_listen(redirect)
        listener = LoginListener(redirect) if listens and may_listen else None
        may_paste = pasted is not None and not pasted.is_over
        if listener is None and not may_paste:
            raise UsageError(
                f"{name}: nobody could answer: nothing is listened on, and there is no terminal to paste to"
            )
        if may_listen:
            redirect = with_port(redirect) if listener is None else listener.redirect_uri
        with Answers(listener, pasted) as answers:
            session = self.sessions.auth_session(name, redirect_uri=redirect)
            address = session.begin_in_browser()
            tell(BrowserLogin(name, address, redirect, listener is not None, may_paste))
            self._wait(session, answers, tell, ends_at=monotonic() + wait_s)

    def _wait(self, session: AuthSession, answers: Answers, tell: Callable[[Told], None], *, ends_at: float) -> None:
        """Take answers until one of them ends the login."""
        while True:
            arrived = answers.next(ends_at=ends_at, stop=self.stop)
            if arrived is None:
                raise self._unanswered(session.name, in_time=monotonic() < ends_at)
            try:
                session.finish_in_browser(arrived.address)
            except StrayAnswerError as error:
                arrived.reply(Page.OTHER)
                tell(StrayAnswer(str(error), arrived.by_hand))
            except CrudsdError as error:
                arrived.reply(Page.REFUSED if isinstance(error, RefusedLoginError) else Page.FAILED)
                raise
            else:
                arrived.reply(Page.DONE)
                return

    def _unanswered(self, name: str, *, in_time: bool) -> CrudsdError:
        if self.stop.is_set():
            return StoppedError(f"login of {name}: interrupted; {KEPT}")
        why = "no address was pasted" if in_time else "nobody answered in time"
        return LoginError(f"login of {name}: {why}; {KEPT}. `crudsd auth login {name}` begins again")

    def _connection(self, name: str) -> RestConnection:
        if name not in self.connections:
            near = get_close_matches(name, self.connections, n=1)
            known = ", ".join(self.connections) or "none"
            hint = f"did you mean {near[0]}?" if near else f"known: {known}"
            raise UsageError(f"there is no connection {name}; {hint}")
        return self.connections[name]
