"""What must not be seen of a connection: its secrets, blotted out of every text that an answer or an error carries.

Systems echo what they were sent: a 500 that quotes the Authorization header, a gateway that repeats the token without
a name beside it. So the secrets themselves are looked for, in the forms they travel in, and then whatever is called
a secret by the name in front of it.
"""

import base64
import json
import re
import threading
from collections import deque
from urllib.parse import quote, quote_plus

EXCERPT_CHARACTERS = 300
"""How much of an answer's body an error shows: enough for a problem document's title and detail."""

_READ_BYTES = 16_384
"""How much of a body is looked at for its excerpt: whitespace is folded first, and a secret must not be cut in two."""

_SHORTEST = 4
"""Shorter texts are not blotted out: they are no secrets, and every message would be full of holes."""

_TOKENS = 32
"""How many issued tokens are remembered: an hour each, so more than a day of them."""

_FORMER = 64
"""How many rotated secrets are remembered: answers that are late, or quote what they were sent long ago, name them."""

_LOOKS_SECRET = re.compile(
    r"(?i)(\b(?:authorization|access_token|refresh_token|id_token|client_secret|password|secret|api[_-]?key|token)"
    r"\b[\"']?\s*[:=]\s*[\"']?(?:bearer\s+|basic\s+)?)[^\s\"',;&}]+"
)


class Blotter:
    """Knows one connection's secrets, and takes them out of texts. Shared by threads."""

    def __init__(self) -> None:
        self._lasting: set[str] = set()
        self._rotated: dict[str, frozenset[str]] = {}
        self._former: deque[frozenset[str]] = deque(maxlen=_FORMER)
        self._tokens: deque[frozenset[str]] = deque(maxlen=_TOKENS)
        self._lock = threading.Lock()

    def learn(self, secret: str) -> None:
        """Remember a secret of the job file."""
        with self._lock:
            self._lasting |= _forms(secret)

    def learn_as(self, name: str, secret: str) -> None:
        """Remember a secret that may be rotated, under its name; the one of that name before is remembered for long."""
        forms = _forms(secret)
        with self._lock:
            before = self._rotated.get(name, forms)
            if before != forms:
                self._former.append(before)
            self._rotated[name] = forms

    def learn_token(self, token: str) -> None:
        """Remember a token that was issued; the oldest ones are forgotten."""
        forms = _forms(token)
        with self._lock:
            if forms not in self._tokens:
                self._tokens.append(forms)

    def __call__(self, text: str) -> str:
        """Return the text without what is secret."""
        with self._lock:
            forms = self._lasting.union(*self._rotated.values(), *self._former, *self._tokens)
        for form in sorted(forms, key=len, reverse=True):
            text = text.replace(form, "…")
        return _LOOKS_SECRET.sub(r"\1…", text)

    def excerpt(self, body: bytes) -> str:
        """Return the beginning of a body as one line of text, with what is secret blotted out."""
        text = " ".join(body[:_READ_BYTES].decode("utf-8", "ignore").split())
        return self(text)[:EXCERPT_CHARACTERS]


def _forms(secret: str) -> frozenset[str]:
    """Return the ways in which a secret may come back: as it is, escaped for JSON or an address, in Base64."""
    folded = " ".join(secret.split())
    encoded = base64.b64encode(secret.encode()).decode().rstrip("=")
    forms = {secret, folded, json.dumps(secret)[1:-1], quote(secret, safe=""), quote_plus(secret), encoded}
    return frozenset(form for form in forms if len(form) >= _SHORTEST)
