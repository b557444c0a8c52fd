"""OAuth 2.0 for a client: `OAuth2` knows a good token at any time, and asks for one no more often than needed."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Self

from .credentials import AuthABC
from .exception import ClientStoppedError, OAuthAccessTokenError
from .exchange import utc_now
from .oauth2.authorization import PendingLogins, authorization_address, read_redirect
from .oauth2.client_auth import Signer
from .oauth2.device import DeviceLogin, Polling, wait_for_person
from .oauth2.discovery import MetadataCache, ServerMetadata
from .oauth2.grants import details_text, extra_pairs, grant_of, scope_text, target_pairs
from .oauth2.keys import SigningKey
from .oauth2.narrowing import Narrowed, elements
from .oauth2.registration import Registration
from .oauth2.seal import Sealer
from .oauth2.session import Session, Timing
from .oauth2.store import MemoryTokenStore, TokenStore
from .token_endpoint import AuthorizationServer, Reach, check_addresses
from .transport import TransportSettings

__all__ = ["OAuth2"]

_METADATA = MetadataCache()
"""Of the whole process: many clients of one issuer ask it once."""


class OAuth2(AuthABC):
    """A session at an authorization server (RFC 6749). Clients and threads share it.

    Nothing goes to the network until a token is needed, and then the store is asked first.

    `grant` is client_credentials, password, authorization_code, device_code or jwt_bearer; None: password with a
    `username`, a person's with an `authorization_url`, a `device_authorization_url` or, where the server is
    discovered, a `redirect_uri`, else client_credentials. A session made by a person is renewed and never replaced:
    when it is over, `ReauthorizationRequiredError`.

    `client_auth` is basic, post, none, basic_raw, private_key_jwt or tls_client_auth; None: the best that is given
    here and that the server is known to take. `private_key` (PEM, or a JWK as mapping or text) signs assertions,
    with `assertion_audience` `issuer`, `token_url` or a text as it is; `assertion_claims` are for jwt_bearer only.

    `scope` may be None, a text or a list. `authorization_details` is an object or a list (RFC 9396). `audience`,
    `resource` and `extra_params` go along with every token request. `on_narrowed` is told when less was granted than
    was asked. `default_expires_in` is the life in seconds of tokens that do not say theirs; None: until a server
    rejects them. `timeout` bounds one renewal in seconds, its retries included. `patience`: how many seconds a session
    that has had a token waits for a server that is down; `on_wait` is told of each wait, in seconds, and why.

    `encryption_key` seals what the built-in in-memory store keeps: 32 bytes in base64, or a passphrase. None: it is
    not encrypted. The token in use and all secrets given here are in plain memory either way.
    """

    is_lazy = True

    def __init__(  # noqa: PLR0913, PLR0917  the reference's parameters, and ours by keyword
        self,
        url: str,
        client_id: str,
        client_secret: str | None,
        scope: str | Iterable[str] | None,
        authorization_details: Any = None,
        username: str | None = None,
        password: str | None = None,
        encryption_key: str | None = None,
        authorization_url: str | None = None,
        redirect_uri: str | None = None,
        state_length: int = 32,
        *,
        grant: str | None = None,
        issuer: str | None = None,
        device_authorization_url: str | None = None,
        revocation_url: str | None = None,
        client_auth: str | None = None,
        private_key: str | bytes | Mapping[str, Any] | None = None,
        private_key_id: str | None = None,
        assertion_audience: str = "issuer",
        assertion_claims: Mapping[str, Any] | None = None,
        subject: str | None = None,
        audience: str | None = None,
        resource: str | Iterable[str] | None = None,
        extra_params: Mapping[str, str] | None = None,
        on_narrowed: Callable[[Narrowed], None] | None = None,
        store: TokenStore | None = None,
        profile: str = "",
        timeout: float = 30.0,
        patience: float = 0.0,
        on_wait: Callable[[float, OAuthAccessTokenError], None] | None = None,
        default_expires_in: float | None = None,
        ca_file: str | None = None,
        verify_ssl: Any = True,
        client_cert: str | tuple[str, str] | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        allow_insecure: bool = False,
        metadata_cache: MetadataCache | None = None,
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        stop: threading.Event | None = None,
    ) -> None:
        if username is not None and password is not None:
            warnings.warn("the password grant must not be used (RFC 9700 section 2.4)", DeprecationWarning, 2)
        if store is not None and encryption_key is not None:
            raise ValueError("encryption_key is for the built-in store; a store of your own seals for itself")
        known = ServerMetadata(issuer, url or None, authorization_url, device_authorization_url, revocation_url)
        check_addresses(known, redirect_uri, allow_insecure=allow_insecure)
        has_browser = authorization_url is not None or (not url and redirect_uri is not None)
        asks_by = grant_of(grant, username=username, browser=has_browser, device=device_authorization_url is not None)
        signer = None if private_key is None else Signer(SigningKey(private_key, key_id=private_key_id), clock)
        client = Registration(
            client_id=client_id,
            client_secret=client_secret,
            scope=scope_text(scope),
            username=username,
            password=password,
            asks_by=asks_by,
            authorization_details=details_text(authorization_details),
            targets=target_pairs(audience, resource),
            extra=extra_pairs(extra_params),
            issuer=issuer or url,
            signer=signer,
            assertion_audience=assertion_audience,
            assertion_claims=tuple((assertion_claims or {}).items()),
            subject=subject,
        )
        settings = TransportSettings(
            verify_ssl=verify_ssl, ca_file=ca_file, client_cert=client_cert, proxy=proxy, trust_env=trust_env
        )
        may_have_one = client_cert is not None or not isinstance(verify_ssl, bool | str)
        registration = client.identified(
            client_auth, has_certificate=client_cert is not None, may_have_one=may_have_one
        )
        timing = Timing(timeout, default_expires_in, clock, monotonic, stop or threading.Event(), patience, on_wait)
        reach = Reach(known, not url, settings, allow_insecure, _METADATA if metadata_cache is None else metadata_cache)
        self._registration, self._redirect_uri, self._timing = registration, redirect_uri, timing
        self._server = AuthorizationServer(registration, reach, timing)
        self._pending = PendingLogins(state_length=state_length, monotonic=monotonic)
        if store is None:
            sealer = None if encryption_key is None else Sealer(encryption_key, bound_to=(issuer or url, client_id))
            store = MemoryTokenStore(sealer)
        self._session = Session(
            registration, self._server, store, profile=profile, timing=timing, on_narrowed=on_narrowed
        )

    @classmethod
    def discover(
        cls,
        issuer: str,
        client_id: str,
        client_secret: str | None = None,
        scope: str | Iterable[str] | None = None,
        **options: Any,
    ) -> Self:
        """Return a session at an issuer that says itself where its endpoints are (RFC 8414, OpenID Connect).

        It is asked at the first need. Endpoints among the options hold, whatever it says.
        """
        return cls("", client_id, client_secret, scope, issuer=issuer, **options)

    def access_token(self) -> str:
        """Return a token that is good now, getting or renewing it first if that is needed.

        Raises `OAuthAccessTokenError` (its `kind` says what helps), `ReauthorizationRequiredError`,
        `TokenStateError`, or `ClientStoppedError`.
        """
        return self._session.token()

    def is_valid(self) -> bool:
        """Return whether a token is at hand and has not expired. Reads the store, asks nobody else."""
        return self._session.is_valid()

    def renew(self, rejected_token: str) -> str:
        """Return a token other than `rejected_token`, renewing only if that one is still the current one.

        Returns the same token if the token endpoint has no other.
        """
        return self._session.renew(rejected_token)

    def take_over(self, before: OAuth2) -> None:
        """Go on in the place of this client with an older secret, over its store: what it could not save is kept."""
        self._session.take_over(before._session)

    def clear_state(self) -> None:
        """Forget the session and every login under way, here and in the store. Nothing is revoked at the server."""
        self._session.clear()
        self._pending.clear()

    def revoke(self) -> None:
        """Revoke the session's tokens at the server (RFC 7009), then forget it as `clear_state` does.

        Raises `OAuthAccessTokenError` and keeps the session if the server does not; of kind temporary, it may be
        asked again. Raises RuntimeError if there are tokens, and no revocation endpoint is known.
        """
        self._session.end(self._server.revoke)
        self._pending.clear()

    # ---- a person logs in ----

    def get_authorization_url(self, additional_params: dict[str, str] | None = None) -> str:
        """Return where to send a person so that they agree; each time with a new state and PKCE verifier.

        They have ten minutes. Raises RuntimeError if the authorization URL or `redirect_uri` is not configured, and
        ValueError for additional parameters that have an owner. Where the server is discovered, it may be asked.
        """
        self._registration.must_be_personal()
        endpoint = self._server.metadata().authorization_endpoint
        if endpoint is None or self._redirect_uri is None:
            raise RuntimeError("authorization_url and redirect_uri are needed for a login through a browser")
        pending, asked = self._pending.begin(self._redirect_uri), self._registration.asked_of_person()
        return authorization_address(endpoint, pending, asked, additional_params or {})

    def parse_authorization_response(self, redirect_url: str) -> tuple[str, str]:
        """Return code and state from the address that the person came back to.

        Raises RuntimeError if there are none in it, `OAuthStateError` (a RuntimeError) if another server sent it
        (RFC 9207), and `OAuthAccessTokenError` for a refusal, such as `access_denied`.
        """
        server = self._server.metadata()
        answer = read_redirect(
            redirect_url,
            issuer=server.issuer,
            must_name_issuer=server.authorization_response_iss_parameter_supported,
            drop=self._pending.drop,
        )
        return answer.code, answer.state

    def exchange_code_for_token(self, authorization_code: str, state: str) -> str:
        """Give a code for a session, once, and return its token. It replaces the session that was kept.

        Raises `OAuthStateError` (a RuntimeError) if the state is unknown, used or too old, and
        `OAuthAccessTokenError` if there is no token; in either case the login begins again.
        """
        pending = self._pending.take(state)
        granted = self._server.exchange(
            authorization_code, verifier=pending.verifier, redirect_uri=pending.redirect_uri
        )
        return self._session.begin(granted)

    def start_device_login(self) -> DeviceLogin:
        """Return what to show a person who agrees elsewhere (RFC 8628). Raises RuntimeError if no endpoint is known."""
        self._registration.must_be_personal()
        return self._server.begin_device_login()

    def finish_device_login(
        self,
        login: DeviceLogin,
        *,
        on_wait: Callable[[float], None] | None = None,
        stop: threading.Event | None = None,
    ) -> str:
        """Wait until the person has agreed, and return the token of the session, which replaces the one kept.

        `on_wait` is told the seconds of each wait before it begins. Raises `OAuthAccessTokenError` when they declined
        or let the code run out, and `ClientStoppedError` when `stop` (or the session's own stop event) is set.
        """
        timing, ends = self._timing, stop or self._timing.stop

        def wait(seconds: float) -> None:
            if on_wait is not None:
                on_wait(seconds)
            if ends.wait(seconds):
                raise ClientStoppedError("stopped while a person was to agree", method="POST", url=self._server.url)

        left = (login.expires_at - timing.clock()).total_seconds()
        polling = Polling(login, left=left, monotonic=timing.monotonic)
        return self._session.begin(wait_for_person(polling, partial(self._server.poll, login), wait=wait))

    def server_metadata(self) -> ServerMetadata:
        """Return what is known of the server; one that is to be discovered may be asked."""
        return self._server.metadata()

    @property
    def granted_scope(self) -> str | None:
        """The scope of the token in use, as it was granted; None if unknown or as asked (RFC 6749 section 5.1)."""
        return self._session.state.scope if self._session.state else None

    @property
    def missing_scope(self) -> tuple[str, ...]:
        """What of the scope was asked for and not granted to the token in use."""
        return self._session.narrowed.scope

    @property
    def granted_authorization_details(self) -> list[Any] | None:
        """The authorization details of the token in use (RFC 9396 section 7); None if the answer did not say."""
        state = self._session.state
        return elements(state.authorization_details) if state and state.authorization_details else None

    @property
    def missing_authorization_details(self) -> tuple[Any, ...]:
        """The details that were asked for, that no granted one covers."""
        return self._session.narrowed.authorization_details

    def __repr__(self) -> str:
        return f"<OAuth2 {self._registration.grant} at {self._server.url}>"
