"""Many requests in one, as APIs take them: each by itself, or all or nothing.

POST /batch    {"requests": [{"method", "path", "headers", "body", "name"}]}

each by itself    200 {"responses": [{"status", "name", "body"}]}, in order unless `mangle` says otherwise
all or nothing    200 as above, or 400 {"message", "data": {"requests": {"1": {"code", "response": {...}}}}}
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fakes.misbehaving_http import Reply, Seen

Results = list[dict[str, Any]]


@dataclass(slots=True)
class Batching:
    """How a server takes many requests in one."""

    atomic: bool = False
    names_the_bad: bool = True
    """Whether the refusal of an atomic batch says which of its requests is at fault."""
    largest: int = 1_000
    """A batch of more gets 413."""
    mangle: Callable[[Results], Results] = field(default=lambda results: results)
    """What becomes of the results on their way."""


def carried_out(
    batching: Batching, seen: Seen, route: Callable[[Seen], Reply], *, undone: Callable[[], Callable[[], None]]
) -> Reply:
    """The answer to a batch; `undone` gives what puts everything back to how it is when it is called."""
    asked = seen.json()["requests"]
    if len(asked) > batching.largest:
        return _json(413, {"message": f"{len(asked)} requests are too many"})
    put_back = undone()
    results: Results = []
    for place, one in enumerate(asked):
        reply = route(inner(one))
        body: Any = json.loads(reply.body) if reply.body else None
        if batching.atomic and reply.status >= 400:
            put_back()
            fault = {"code": "batch_request_failed", "response": {"status": reply.status, **body}}
            named = {str(place): fault} if batching.names_the_bad else {}
            return _json(400, {"message": "Batch transaction failed.", "data": {"requests": named}})
        results.append({"status": reply.status, "name": one.get("name"), "body": body})
    return _json(200, {"responses": batching.mangle(results)})


def inner(asked: dict[str, Any]) -> Seen:
    """One of the requests in a batch, as if it had come alone."""
    headers = {
        "content-type": "application/json",
        **{name.lower(): text for name, text in asked.get("headers", {}).items()},
    }
    body = json.dumps(asked["body"]).encode() if "body" in asked else b""
    return Seen(asked["method"], asked["path"], {}, headers, body)


def _json(status: int, value: Any) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
