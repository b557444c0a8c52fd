"""What must not be seen of a connection: its secrets, blotted out of every text that an answer or an error carries.

Systems echo what they were sent: a 500 that quotes the Authorization header, a gateway that repeats the token without
a name beside it. So the secrets themselves are looked for, in the forms they travel in, and then whatever is called
a secret by the name in front of it.
"""

from daemon.redaction import KNOWN, KnownSecrets
from daemon.redaction.looks import blot_looks, without_queries

_MARK = "…"

EXCERPT_CHARACTERS = 300
"""How much of an answer's body an error shows: enough for a problem document's title and detail."""

_READ_BYTES = 16_384
"""How much of a body is looked at for its excerpt: whitespace is folded first, and a secret must not be cut in two."""


class Blotter:
    """Knows one connection's secrets, and takes them out of texts. Shared by threads."""

    def __init__(self) -> None:
        # Of this connection alone: an answer is data, and another system's password may be one of its words.
        self._own = KnownSecrets()

    def learn(self, secret: str) -> None:
        """Remember a secret of the job file."""
        self._own.learn(secret)
        KNOWN.learn(secret)

    def learn_as(self, name: str, secret: str) -> None:
        """Remember a secret that may be rotated, under its name; the one of that name before is remembered for long."""
        self._own.learn_as(name, secret)
        KNOWN.learn_as(f"{id(self)} {name}", secret)

    def learn_token(self, token: str) -> None:
        """Remember a token that was issued; the oldest ones are forgotten."""
        self._own.learn_token(token)
        KNOWN.learn_token(token)

    def __call__(self, text: str) -> str:
        """Return the text without what is secret."""
        return blot_looks(self._own.blot(text, _MARK), _MARK)

    def excerpt(self, body: bytes) -> str:
        """Return the beginning of a body as one line of text, without secrets and the values of addresses' queries."""
        text = " ".join(body[:_READ_BYTES].decode("utf-8", "ignore").split())
        return self(without_queries(text))[:EXCERPT_CHARACTERS]
