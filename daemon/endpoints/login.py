"""A connection's session at its authorization server, as a person begins it, tries it and ends it."""

import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import cruds.exception as http
from cruds.auth import OAuth2
from daemon.errors import ConfigError, CrudsdError, StoppedError, TrustError, UnavailableError
from daemon.spec import RestConnection

from .blot import Blotter
from .credentials import oauth2_of
from .surroundings import Surroundings

KEPT = "what was kept before is as it was"
"""What a person may be sure of, whatever became of their login."""


class LoginError(CrudsdError):
    """A login or logout did not come about, for a reason that waiting does not mend. What was kept before still is."""


class StrayAnswerError(LoginError):
    """An answer to another login, or to none: the one that is waited for may still come."""


class RefusedLoginError(LoginError):
    """The person, or the authorization server, said no."""


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person is shown so that they agree on another device. The device code itself is not in it."""

    user_code: str
    address: str
    """Where they enter the code."""
    address_with_code: str | None
    """The same with the code in it; None if the server has none."""
    expires_at: datetime
    """Aware, UTC."""


class AuthSession:
    """What a person does with one connection's session. Belongs to one thread.

    Every method that asks a server raises LoginError, UnavailableError (asking later may help), TrustError,
    StoppedError, or ConfigError for what the job file lacks.
    """

    def __init__(self, name: str, session: OAuth2, blot: Blotter) -> None:
        self.name = name
        self._session = session
        self._blot = blot
        self._state = ""

    def begin_in_browser(self) -> str:
        """Return the address that the person opens. It is good for one login, for ten minutes."""
        with self._told("login"):
            address = self._session.get_authorization_url()
        self._state = parse_qs(urlsplit(address).query)["state"][0]
        return address

    def finish_in_browser(self, came_back_to: str) -> None:
        """Take the address that the person came back to, and get the session. It replaces the one that was kept.

        Raises StrayAnswerError for an address that answers another login, or none, after which the right one is still
        good; RefusedLoginError for a refusal; and LoginError for everything else.
        """
        self._check_ours(came_back_to)
        with self._told("login"):
            code, state = self._session.parse_authorization_response(came_back_to)
            self._blot.learn_token(code)  # a server may quote it when it refuses it
            self._blot.learn_token(self._session.exchange_code_for_token(code, state))

    def run_on_device(self, show: Callable[[DeviceCode], None]) -> None:
        """Have `show` tell the person what to do, and wait until they have. The session replaces the one kept."""
        with self._told("login"):
            login = self._session.start_device_login()
            self._blot.learn_token(login.device_code)
            show(DeviceCode(login.user_code, login.verification_uri, login.verification_uri_complete, login.expires_at))
            self._blot.learn_token(self._session.finish_device_login(login))

    def try_out(self) -> None:
        """Ask the server for a token now, where no person is needed for one."""
        with self._told("token"):
            if self._session.is_valid():
                self._session.renew(self._session.access_token())
            else:
                self._session.access_token()

    def revoke(self) -> None:
        """Give the tokens back to the server (RFC 7009) and forget them. An error keeps them."""
        with self._told("logout"):
            if self._session.server_metadata().revocation_endpoint is None:
                raise LoginError(
                    f"{self.name}: no revocation endpoint is known, so its tokens cannot be given back. Name it "
                    f"(revocation_url); or forget them here only, and they stay good at the server until they run "
                    f"out: `crudsd auth logout {self.name} --local`"
                )
            self._session.revoke()

    def _check_ours(self, came_back_to: str) -> None:
        try:
            found = parse_qs(urlsplit(came_back_to).query)
        except ValueError:
            found = {}
        if not {"code", "error"} & found.keys() or any(len(values) > 1 for values in found.values()):
            raise StrayAnswerError("that is not the address of a page that ends a login: it has no code in it")
        states = found.get("state", [])
        is_ours = len(states) == 1 and hmac.compare_digest(states[0].encode(), self._state.encode())
        if not is_ours and not (not states and "error" in found):  # some servers leave it out of a refusal
            raise StrayAnswerError(
                "that address ends another login (its state is not the one of this login): open the address above"
            )

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Translate what the library raises into what a person can act on."""
        try:
            yield
        except http.ClientStoppedError as error:
            raise StoppedError(f"{what} of {self.name}: interrupted; {KEPT}") from error
        except (http.CrudsError, RuntimeError, ValueError) as error:
            said = f"{what} of {self.name}: {self._blot(str(error))}"
            raise self._error(said, error) from error

    def _error(self, said: str, error: Exception) -> CrudsdError:
        match error:
            case http.OAuthAccessTokenError(kind=http.OAuthErrorKind.TEMPORARY):
                return UnavailableError(f"{said}; {KEPT}, try again later", retry_after_s=error.retry_after)
            case http.OAuthAccessTokenError(error=code) if code in _CURES:
                kind = RefusedLoginError if code == "access_denied" else LoginError
                return kind(f"{said}; {KEPT}. {_CURES[code].format(name=self.name)}")
            case http.OAuthAccessTokenError(__cause__=http.TLSError()):
                return TrustError(f"{said}; {KEPT}. Check the certificate, or name its authority in tls.ca_file")
            case http.OAuthAccessTokenError():
                return LoginError(f"{said}; {KEPT}. Look at connections.{self.name}.auth")
            case http.CrudsError():
                return LoginError(f"{said}; {KEPT}")
            case _:
                return ConfigError(f"connections.{self.name}.auth: {self._blot(str(error))}")


_CURES = {
    "access_denied": "The person declined, or may not do this; `crudsd auth login {name}` begins again",
    "invalid_grant": "The code was used already, is too old or was another client's; `crudsd auth login {name}` "
    "begins again",
    "expired_token": "`crudsd auth login {name}` shows a new code",
    "invalid_client": "The server does not take this client's proof: look at client_id, client_auth and the secret, "
    "private key or certificate of the connection",
    "unauthorized_client": "The server does not let this client log in so: look at `grant` of the connection, and at "
    "the client's registration there",
    "invalid_scope": "Look at `scope` of the connection: the server does not give it to this client",
}


def auth_session(
    name: str, connection: RestConnection, around: Surroundings, *, redirect_uri: str | None = None
) -> AuthSession:
    """Return the session of an OAuth2 connection; `redirect_uri` stands in for the file's, with the port that is open.

    Asks nobody. Raises ConfigError for settings that cannot be used together.
    """
    if redirect_uri is not None:
        auth = connection.auth.model_copy(update={"redirect_uri": redirect_uri})
        connection = connection.model_copy(update={"auth": auth})
    blot = Blotter()
    try:
        session = oauth2_of(name, connection, around, blot)
    except (ValueError, OSError, http.CrudsError) as error:
        raise ConfigError(blot(f"connections.{name}.auth: {error}")) from error
    return AuthSession(name, session, blot)
