"""How a connection proves who we are: each kind of credentials, and each grant of OAuth 2.0."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from .types import Duration, SecretRef, Strict, TextOrSecret


class NoAuth(Strict):
    """The system asks for no credentials."""

    type: Literal["none"] = "none"


class BearerAuth(Strict):
    """A fixed token, sent as `Authorization: Bearer …`."""

    type: Literal["bearer"]
    token: SecretRef


class BasicAuth(Strict):
    """User name and password (RFC 7617), encoded as UTF-8."""

    type: Literal["basic"]
    username: TextOrSecret
    password: SecretRef


class HeaderAuth(Strict):
    """An API key in a header of its own."""

    type: Literal["header"]
    name: str = Field(description="The header's name (example: X-Api-Key).")
    value: SecretRef


class QueryAuth(Strict):
    """An API key in the query. Whoever logs addresses sees it: a header is better, where the system takes one."""

    type: Literal["query"]
    name: str = Field(description="The parameter's name (example: api_key). It is crudsd's: requests cannot set it.")
    value: SecretRef


class OAuth2Auth(Strict):
    """A token of an OAuth 2.0 server (RFC 6749), renewed by itself and kept sealed."""

    type: Literal["oauth2"]
    grant: Literal["client_credentials", "password", "authorization_code", "device_code", "jwt_bearer"] = Field(
        default="client_credentials",
        description="How the first token is earned. Default: client_credentials. For authorization_code and "
        "device_code a person logs in once, with `crudsd auth login CONNECTION`.",
    )
    url: str | None = Field(default=None, description="The token endpoint. Not needed where `issuer` is given.")
    issuer: str | None = Field(
        default=None, description="The server's issuer address, which says where its endpoints are (RFC 8414)."
    )
    authorization_url: str | None = Field(default=None, description="Where a person agrees, for authorization_code.")
    device_authorization_url: str | None = Field(default=None, description="Where device_code begins (RFC 8628).")
    revocation_url: str | None = Field(default=None, description="Where `crudsd auth logout` gives tokens back.")
    redirect_uri: str | None = Field(
        default=None,
        description="Where the browser comes back to, for authorization_code; on this machine, `crudsd auth login` "
        "listens there (example: http://127.0.0.1:8765/callback).",
    )
    client_id: TextOrSecret
    client_secret: SecretRef | None = None
    client_auth: Literal["basic", "basic_raw", "post", "none", "private_key_jwt", "tls_client_auth"] | None = Field(
        default=None,
        description="How the client proves itself. Default: the best way that is given here and that the server is "
        "known to take. basic_raw is for servers that do not decode what RFC 6749 2.3.1 encodes.",
    )
    private_key: SecretRef | None = Field(default=None, description="PEM or JWK that signs assertions (RFC 7523).")
    private_key_id: str | None = Field(default=None, description="The `kid` of the assertions.")
    assertion_audience: str = Field(
        default="issuer", description="The `aud` of assertions: issuer, token_url, or a text as it is. Default: issuer."
    )
    assertion_claims: dict[str, Any] = Field(
        default_factory=dict, description="More claims in the assertion, for jwt_bearer."
    )
    subject: str | None = Field(default=None, description="For whom a jwt_bearer assertion asks. Default: the client.")
    username: TextOrSecret | None = Field(default=None, description="For the grant password.")
    password: SecretRef | None = Field(default=None, description="For the grant password.")
    scope: str | list[str] | None = None
    audience: str | None = None
    resource: str | list[str] | None = Field(default=None, description="Resource indicators (RFC 8707).")
    authorization_details: dict[str, Any] | list[Any] | None = Field(
        default=None, description="What is asked for in detail (RFC 9396)."
    )
    extra: dict[str, str] = Field(
        default_factory=dict, description="Further parameters of every token request. Not for secrets."
    )
    default_expires_in: Duration | None = Field(
        default=None, description="The life of tokens that do not say theirs. Default: until they are rejected."
    )

    @model_validator(mode="after")
    def _knows_its_server(self) -> "OAuth2Auth":
        if self.url is None and self.issuer is None:
            raise ValueError(
                "say where tokens come from: url (the token endpoint) or issuer; "
                "add `url: https://login.example.com/oauth/token`"
            )
        return self

    @property
    def is_personal(self) -> bool:
        """Whether a person makes the session, which is renewed and never made anew without them."""
        return self.grant in {"authorization_code", "device_code"}

    @property
    def server(self) -> str:
        """The server's name: its issuer, or the token endpoint where no issuer is given. Tokens are bound to it."""
        return self.issuer or self.url or ""


Auth: TypeAlias = Annotated[
    NoAuth | BearerAuth | BasicAuth | HeaderAuth | QueryAuth | OAuth2Auth, Field(discriminator="type")
]
