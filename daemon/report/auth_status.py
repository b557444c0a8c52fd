"""How the connections' credentials stand, as a table, as one paragraph, and as JSON.

Pure: values in, lines out. Nothing of a token is in them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from . import shown
from .auth_subjects import Status

_HEAD = ("CONNECTION", "AUTH", "WHO", "SCOPE", "EXPIRES (UTC)", "LAST REFRESH (UTC)", "STATE")

STANDINGS = {
    "valid": "valid",
    "expired": "expired, will be renewed",
    "needs_login": "needs login",
    "not_used": "not yet used",
    "static": "static",
    "unreadable": "cannot be opened",
}
"""Each standing in words."""


def table(rows: Sequence[Status], now: datetime) -> Iterator[str]:
    """Yield a table of connections in the order given; below a row what is amiss with it, and what helps."""
    if not rows:
        yield "No connections."
        return
    cells = [_HEAD, *(_cells(row, now) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for number, line in enumerate(cells):
        yield "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        if number:
            yield from (f"    {note}" for note in _notes(rows[number - 1]))


def whole(row: Status, now: datetime) -> Iterator[str]:
    """Yield all that is known of one connection's credentials, a fact a line."""
    yield row.connection
    yield ""
    yield from _facts(
        ("auth", f"{row.kind} at {row.server}" if row.server else row.kind),
        ("who", row.who or ""),
        ("scope", _scope(row)),
        ("expires", _until(row, now)),
        ("last refresh", _moment(row.obtained_at) if row.obtained_at else ""),
        ("state", STANDINGS[row.standing]),
    )
    yield from (f"  {note}" for note in _notes(row))


def session(row: Status, now: datetime) -> Iterator[str]:
    """Yield what a person wants to know who has just begun a session, a fact a line."""
    yield from _facts(("who", row.who or ""), ("scope", _scope(row)), ("expires", _until(row, now)))
    yield from (f"  {note}" for note in _notes(row))


def as_json(rows: Sequence[Status]) -> dict[str, Any]:
    """Return the same as one JSON value."""
    return {"connections": [_object(row) for row in rows]}


def _cells(row: Status, now: datetime) -> tuple[str, ...]:
    return (
        row.connection,
        row.kind,
        shown.cut(shown.plain(row.who or "-"), 40),
        _scopes(row),
        _expires(row, now),
        f"{row.obtained_at:%Y-%m-%d %H:%M:%S}" if row.obtained_at else "-",
        STANDINGS[row.standing],
    )


def _notes(row: Status) -> Iterator[str]:
    """Yield what a person should know of a connection, and do."""
    if row.standing == "needs_login":
        since = f"since {_moment(row.since)}: " if row.since else ""
        yield f"✗ {since}{shown.plain(row.reason)}; run crudsd auth login {row.connection}"
    elif row.standing == "unreadable":
        yield f"✗ {shown.plain(row.reason)}"
    elif row.renews is False:
        until = f"at {_moment(row.expires_at)}" if row.expires_at else "when the token runs out"
        yield f"! it cannot be renewed: the server gave no refresh token, so a login is needed again {until}"
    if row.scope_missing:
        yield f"! not granted: {shown.plain(' '.join(row.scope_missing))}"


def _facts(*facts: tuple[str, str]) -> Iterator[str]:
    """Yield a line for each fact that is known."""
    known = [(name, fact) for name, fact in facts if fact and fact != "-"]
    width = max(len(name) for name, _ in known)
    yield from (f"  {name:<{width}}  {shown.plain(fact)}" for name, fact in known)


def _scope(row: Status) -> str:
    """Return the scope of the token, or what will be asked for where there is none."""
    return " ".join(row.scope_asked if row.scope_granted is None else row.scope_granted)


def _scopes(row: Status) -> str:
    """Return how much of the scope that is asked for the token has."""
    asked = len(row.scope_asked)
    if not asked or row.obtained_at is None:
        return "-"
    return f"{asked - len(row.scope_missing)} of {asked}"


def _until(row: Status, now: datetime) -> str:
    return _expires(row, now, zone=" UTC") + ("; it is renewed by itself" if row.renews else "")


def _expires(row: Status, now: datetime, *, zone: str = "") -> str:
    if row.expires_at is None:
        return "-" if row.obtained_at is None or row.standing == "needs_login" else "when it is refused"
    left_s = (row.expires_at - now).total_seconds()
    told = f"in {about(left_s)}" if left_s > 0 else f"{about(-left_s)} ago"
    return f"{told} ({row.expires_at:%Y-%m-%d %H:%M:%S}{zone})"


def about(seconds: float) -> str:
    """Return a length of time as exactly as it matters here: `40 s`, `52 min`, `3 h 05 min`, `3 d 04 h`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else shown.duration(60 * minutes)


def _object(row: Status) -> dict[str, Any]:
    return {
        "connection": row.connection,
        "auth": row.kind,
        "who": row.who,
        "server": row.server,
        "state": row.standing,
        "reason": row.reason,
        "since": row.since,
        "scope_asked": row.scope_asked,
        "scope_granted": row.scope_granted,
        "scope_missing": row.scope_missing,
        "expires_at": row.expires_at,
        "obtained_at": row.obtained_at,
        "renews": row.renews,
    }


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "-"
