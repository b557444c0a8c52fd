"""An answer read piece by piece, while it arrives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .exception import RequestError
from .response import Response
from .transport import Body


class Stream:
    """What `Client.stream` gives for the length of its `with` block. Belongs to one thread.

    Iterating yields pieces of bytes in the order of the body, its content encoding undone, each as soon as it is
    there and never empty. It goes on where it stopped, like a file, and raises ValueError after the block.
    """

    def __init__(self, response: Response, body: Body | None) -> None:
        self.response = response
        """Status, headers and address. Its `body` is empty, but for an error that is not raised."""
        self._parts = iter([response.body] if body is None else body)

    @property
    def status(self) -> int:
        """The status of the answer."""
        return self.response.status

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the answer; names are found in any case."""
        return self.response.headers

    def __iter__(self) -> Iterator[bytes]:
        while part := self._next():
            yield part

    def __repr__(self) -> str:
        return f"<Stream of {self.response!r}>"

    def _next(self) -> bytes:
        try:
            return next(self._parts, b"")
        except RequestError as error:
            error.attempts, error.last_response = self.response.attempts, self.response
            raise


class Catcher:
    """Takes hold of the body of an answer, to be read after the call."""

    def __init__(self) -> None:
        self.body: Body | None = None

    def __call__(self, response: Response, body: Body) -> None:
        """Keep this body; a 2xx before it was among the statuses to retry, and is let go."""
        del response
        if self.body is not None:
            self.body.close()
        self.body = body

    def close(self) -> None:
        """Let go of the body, and of what was not read of it."""
        if self.body is not None:
            self.body.close()
