"""What the browser is shown when it comes back from a login: fixed words, nothing of what it brought along."""

from enum import Enum
from html import escape
from http import HTTPStatus


class Page(Enum):
    """An answer to the browser: its status, its title and its sentences."""

    DONE = (HTTPStatus.OK, "Logged in", "crudsd has the session it needs. You may close this window.")
    REFUSED = (
        HTTPStatus.OK,
        "Not logged in",
        "The login was refused, so nothing was changed. You may close this window; the terminal says more.",
    )
    FAILED = (
        HTTPStatus.BAD_GATEWAY,
        "Not logged in",
        "You did your part, but crudsd got no session for it, so nothing was changed. The terminal says why.",
    )
    OTHER = (
        HTTPStatus.BAD_REQUEST,
        "This is not the login that is waited for",
        "The page belongs to an earlier login, or to none. Open the address that stands in the terminal now.",
    )
    NOTHING_HERE = (HTTPStatus.NOT_FOUND, "Nothing here", "crudsd waits here for the end of a login, and for no more.")
    NOT_GET = (HTTPStatus.METHOD_NOT_ALLOWED, "Not like this", "The end of a login comes as a GET request.")
    NO_REQUEST = (HTTPStatus.BAD_REQUEST, "Not a request", "crudsd could not read this as an HTTP request.")
    TOO_LONG = (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Too long", "No login has an address as long as this.")
    FOREIGN = (
        HTTPStatus.MISDIRECTED_REQUEST,
        "Not this address",
        "crudsd answers only under the address that the login was sent to.",
    )

    @property
    def status(self) -> HTTPStatus:
        """The status it is sent with."""
        return self.value[0]

    def response(self) -> bytes:
        """Return the whole HTTP response. It may not be kept, framed, or lead anybody anywhere."""
        _, title, text = self.value
        body = (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title></head>'
            f"<body><h1>{escape(title)}</h1><p>{escape(text)}</p></body></html>\n"
        ).encode()
        head = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            "Content-Type: text/html; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",  # the address in the browser holds a code
            "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
            "X-Content-Type-Options: nosniff",
            *(["Allow: GET"] if self is Page.NOT_GET else []),
            "Connection: close",
        ]
        return "\r\n".join([*head, "", ""]).encode("ascii") + body
