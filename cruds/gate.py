"""A gate that every attempt of a client passes: for whoever counts requests, paces them, or lets none out for now."""

from collections.abc import Callable
from typing import TypeAlias

from .exception import CrudsError
from .response import Response

Leave: TypeAlias = Callable[[Response | None, CrudsError | None], None]
"""Called once when the attempt is over: with its answer, whatever the status; with its error; or, where something else
ended it, with neither. Before any wait for the next attempt. Must not raise."""

Gate: TypeAlias = Callable[[str, str], Leave]
"""Called before each attempt of each call, repeats, redirects and renewals included, with method and address (without
its query), on the thread that makes the call. It may block as long as it likes: that time does not count for
`timeout`. It returns what is called when the attempt is over, or raises a `CrudsError` such as `GateClosedError`, which
ends the call before the attempt. Requests for tokens go to another server and do not pass."""
