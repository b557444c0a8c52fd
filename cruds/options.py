"""What a single call may say beside its data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict

from .response import Response
from .ruling import Ruling


class CallOptions(TypedDict, total=False):
    """What each call may say beside its uri."""

    headers: Mapping[str, str]
    """Sent with this call; they win over the client's."""
    timeout: float | None
    """Total seconds of this call, instead of the client's."""
    idempotency_key: tuple[str, str]
    """Header name and value by which the server recognises a repetition. Makes the call repeatable."""
    repeatable: bool | None
    """None judges by method: GET, HEAD, PUT, DELETE, OPTIONS are, POST and PATCH are not."""
    judge: Callable[[Response], Ruling | None] | None
    """Asked about each answer but the redirects that are followed; None leaves it to its status. For services that
    say by the body what others say by the status. A success that is streamed is shown without its body."""
    max_bytes: int | None
    """The longest body of an answer, decoded, instead of the client's `max_response_bytes`; None: no limit."""


class VerbOptions(CallOptions, total=False):
    """What the four verbs may say beside their data."""

    with_response: bool
    """Return (value, `Response`) instead of the value alone."""


_KNOWN = CallOptions.__optional_keys__


def refuse_unknown(options: CallOptions) -> None:
    """Raise TypeError for a name that is no option: a misspelt timeout would be no timeout."""
    if not options.keys() <= _KNOWN:
        raise TypeError(f"a call has no {min(options.keys() - _KNOWN)!r}; it has {', '.join(sorted(_KNOWN))}")
