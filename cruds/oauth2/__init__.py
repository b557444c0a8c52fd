"""OAuth 2.0 for one client, as logic without a socket. `cruds.OAuth2` drives it.

    OAuth2(url, client_id, client_secret, scope, ..., *, grant=None, issuer=None, client_auth=None, private_key=None,
           private_key_id=None, assertion_audience="issuer", subject=None, assertion_claims=None,
           revocation_url=None, device_authorization_url=None, client_cert=None, on_narrowed=None, ...)
    OAuth2.discover(issuer, client_id, client_secret=None, scope=None, **options)    asks at first need, not before

    grant         client_credentials | password | authorization_code | device_code | jwt_bearer; None: by what is given
    client_auth   basic | post | none | basic_raw | private_key_jwt | tls_client_auth; None: by what is given and known

    get_authorization_url(additional_params=None) -> str
    parse_authorization_response(redirect_url) -> (code, state)
    exchange_code_for_token(authorization_code, state) -> str
    start_device_login() -> DeviceLogin(user_code, verification_uri, verification_uri_complete, expires_at, interval)
    finish_device_login(login, *, on_wait=None, stop=None) -> str                    on_wait(seconds) before each wait
    revoke(), clear_state(), server_metadata() -> ServerMetadata
    granted_scope, missing_scope, granted_authorization_details, missing_authorization_details

A session made by a person needs `grant="authorization_code"` or `"device_code"`, or an `authorization_url` or
`device_authorization_url`, or with an issuer a `redirect_uri`.
"""

from .answer import Granted, TokenAnswer, read_answer
from .client_auth import ClientAuth
from .device import DeviceLogin
from .discovery import MetadataCache, ServerMetadata
from .grants import Grant, TokenRequest
from .keys import SigningKey
from .narrowing import Narrowed
from .registration import Registration
from .seal import Sealer
from .session import Session
from .single_flight import SingleFlight
from .store import MemoryTokenStore, TokenStore
from .token import TokenState, leeway

__all__ = [
    "ClientAuth",
    "DeviceLogin",
    "Grant",
    "Granted",
    "MemoryTokenStore",
    "MetadataCache",
    "Narrowed",
    "Registration",
    "Sealer",
    "ServerMetadata",
    "Session",
    "SigningKey",
    "SingleFlight",
    "TokenAnswer",
    "TokenRequest",
    "TokenState",
    "TokenStore",
    "leeway",
    "read_answer",
]
