"""The credentials of a connection as the client takes them, rotated secrets included."""

from collections.abc import Callable
from functools import partial
from typing import Any

from cruds.credentials import Credentials, Proof, static_headers
from daemon.spec import BasicAuth, BearerAuth, HeaderAuth, OAuth2Auth, QueryAuth, RestConnection

from .blot import Blotter
from .rotation import Held, Tell
from .sessions import oauth2_of, rotated_oauth2
from .surroundings import Surroundings
from .watching import watched

__all__ = ["RotatedCredentials", "credentials", "oauth2_of"]


class RotatedCredentials(Credentials):
    """Credentials made of secrets of the job file, anew when one of them is rotated."""

    def __init__(
        self, secrets: tuple[Held, ...], make: Callable[..., Proof], tell: Tell, params: tuple[str, ...] = ()
    ) -> None:
        self.param_names = frozenset(params)
        self._secrets, self._make, self._tell = secrets, make, tell
        values = tuple(secret.now() for secret in secrets)
        self._last: tuple[tuple[str, ...], Proof] = (values, make(*values))

    def proof(self) -> Proof:
        """Return what is good now."""
        return self._of(tuple([secret.now() for secret in self._secrets]))

    def renew(self, rejected: Proof) -> bool:
        """Read the secrets again, and say whether they are others than the ones that were rejected."""
        return self._of(tuple([secret.anew() for secret in self._secrets])) != rejected

    def _of(self, values: tuple[str, ...]) -> Proof:
        before, proof = self._last
        if values == before:
            return proof
        try:
            proof = self._make(*values)
        except ValueError as error:  # the text is not shown: it says which header, and not what is in it
            self._tell("secret.stale", f"the new secret cannot be sent: {error}; the one before is used")
        self._last = (values, proof)
        return proof


def credentials(name: str, connection: RestConnection, around: Surroundings, blot: Blotter) -> Any:
    """Return the credentials in one of the shapes that the client takes."""
    auth, tell = connection.auth, partial(around.on_secret, name)
    make = partial(watched, name, around, blot)
    match auth:
        case BearerAuth():
            return RotatedCredentials((make(auth.token, "token"),), _of_bearer, tell)
        case BasicAuth():
            user = watched(name, around, None, auth.username, "username")
            return RotatedCredentials((user, make(auth.password, "password")), partial(_of_basic, blot), tell)
        case HeaderAuth():
            return RotatedCredentials((make(auth.value, "value"),), lambda value: Proof({auth.name: value}), tell)
        case QueryAuth():
            return RotatedCredentials(
                (make(auth.value, "value"),), lambda value: Proof(params={auth.name: value}), tell, (auth.name,)
            )
        case OAuth2Auth():
            return rotated_oauth2(name, connection, auth, around, blot)
        case _:
            return None


def _of_bearer(token: str) -> Proof:
    return Proof(static_headers(token) or {})


def _of_basic(blot: Blotter, user: str, password: str) -> Proof:
    blot.learn_as("basic", f"{user}:{password}")
    return Proof(static_headers((user, password)) or {})
