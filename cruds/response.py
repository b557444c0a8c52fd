"""One answer of a server, whole and read to its end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .body import decode_json, is_json, text_of

_REQUEST_IDS = ("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid", "x-ms-request-id", "cf-ray")


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """What the server said. Safe to share between threads; printing it shows no query, header or body."""

    status: int
    headers: Mapping[str, str]
    """Names are found in any case; a header sent several times is joined with `, `."""
    body: bytes
    """The body, with its content encoding (gzip, br, zstd) undone."""
    url: str
    """The address that answered, after redirects, with its query."""
    method: str
    attempts: int = 1
    """How many requests this call made until this answer, counted from 1."""
    repeated_delete: bool = False
    """A repeated DELETE found nothing: the attempt whose answer was lost had done it. This is success."""
    parse_float: Callable[[str], Any] | None = field(default=None, compare=False)

    @property
    def request_id(self) -> str | None:
        """The server's own name for this exchange, cut to 100 printable characters; None if it gave none."""
        for name in _REQUEST_IDS:
            value = self.headers.get(name)
            if value:
                return "".join(filter(str.isprintable, value))[:100]
        return None

    @property
    def content_type(self) -> str:
        """The content type as the server wrote it; empty if it wrote none."""
        return self.headers.get("content-type") or ""

    def data(self) -> Any:
        """Return the parsed JSON if the content type says JSON, None for an empty body, else the bytes.

        Raises `BodyError` when the type says JSON and the body is none.
        """
        if not self.body:
            return None
        if not is_json(self.content_type):
            return self.body
        return decode_json(self.body, self.content_type, self.parse_float, method=self.method, url=self.url)

    def text(self) -> str:
        """Return the body as text in the charset the server named, UTF-8 if it named none. Never fails."""
        return text_of(self.body, self.content_type)

    def __repr__(self) -> str:
        address = self.url.partition("?")[0]
        return f"<Response {self.status} {self.method} {address} ({len(self.body)} bytes, attempts={self.attempts})>"
