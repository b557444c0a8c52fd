"""A connection to a server of ours, and changes to send over it."""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cruds.events import RequestEvent
from cruds.oauth2.store import MemoryTokenStore
from daemon.endpoints.connect import connect
from daemon.endpoints.exchange import Exchange
from daemon.endpoints.rest_read import RestSource
from daemon.endpoints.rest_write import RestTarget
from daemon.endpoints.rotation import UNCHANGING, file_stamp
from daemon.endpoints.surroundings import Surroundings
from daemon.spec import RequestSource, RequestTarget, RestConnection, SecretRef, resolve
from daemon.sync.change import Change, Kind
from daemon.values import Secret

QUICK = {"attempts": 1, "backoff": 0.01, "max_wait": "1s"}
SECRETS = {
    "TOKEN": "canary-t0k3n-of-the-job-file",
    "PASSWORD": "canary-pa55 word&more",
    "KEY": "canary-k3y-in-a-header",
}


def exchange(
    url: str,
    *,
    stop: threading.Event | None = None,
    on_event: Callable[[str, RequestEvent], None] = lambda name, event: None,
    warn: Callable[[str, str], None] = lambda name, message: None,
    on_secret: Callable[[str, str, str], None] = lambda name, event, message: None,
    store: MemoryTokenStore | None = None,
    **connection: Any,
) -> Exchange:
    """Return the exchange of a connection called `api`. One attempt, unless `retry` says more."""
    around = Surroundings(
        resolve=_resolve,
        token_store=lambda name, auth, client_id: store or MemoryTokenStore(),
        folder=Path(),
        stop=stop or threading.Event(),
        on_event=on_event,
        warn=warn,
        watch=lambda ref: partial(file_stamp, str(ref.file)) if ref.file is not None else lambda: UNCHANGING,
        on_secret=on_secret,
    )
    return connect("api", RestConnection.model_validate({"host": url, "retry": QUICK, **connection}), around)


def target(api: Exchange, **target: Any) -> RestTarget:
    """Return the REST target that a job file declares like this."""
    return RestTarget(api, RequestTarget.model_validate({"connection": "api", **target}))


def source(api: Exchange, **source: Any) -> RestSource:
    """Return the REST source that a job file declares like this."""
    return RestSource(api, RequestSource.model_validate({"connection": "api", **source}).request)


def change(kind: Kind = Kind.CREATE, key: str = "E1", **facts: Any) -> Change:
    """Return a change; all fields of its document differ unless `fields` says otherwise."""
    document = facts.pop("document", None if kind is Kind.DELETE else {"external_id": key, "name": "Ada"})
    whole: dict[str, Any] = {
        "seq": 1,
        "target_id": None,
        "version": None,
        "before": None,
        "fields": tuple(sorted(document or {})),
        "fingerprint": b"",
        "raw": b"",
        "owned": True,
        "idempotency_key": f"run1-{key}",
    }
    return Change(kind=kind, key=key, document=document, **{**whole, **facts})


def _resolve(ref: SecretRef) -> Secret:
    return resolve(ref, environment=SECRETS, credentials=None)
