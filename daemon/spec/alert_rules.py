"""What only the whole tells of alerts: names that exist, of the right type, addresses and programs that can be used."""

import os
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import urlsplit

from .addresses import is_loopback
from .grammar import suggestion
from .problems import Path_

_Finding = tuple[Path_, str, str | None]
_EVENTS: Final = ("on_failure", "on_recovery", "on_hold", "on_late", "heartbeat")


def alert_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield destinations that cannot be used, and lateness that nobody can tell: path, message, cure."""
    for name, alert in _blocks(tree, "alerts"):
        path: Path_ = ("alerts", name)
        if alert.get("type") == "command":
            yield from _command((*path, "command"), alert.get("command"))
        elif alert.get("type") in {"webhook", "heartbeat"}:
            yield from _address((*path, "url"), alert)
    for name, job in _blocks(tree, "jobs"):
        yield from _lateness(("jobs", name, "on_late"), job)


def recipient_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield names under on_… and heartbeat that are no destination, or one of another type."""
    types = {name: alert.get("type") for name, alert in _blocks(tree, "alerts")}
    for path, event, name in _recipients(tree):
        if name not in types:
            meant = suggestion(name, types)
            known = f"known alerts: {', '.join(map(str, types))}" if types else "there are none; add it under `alerts:`"
            yield path, f"unknown alert '{name}'", f"did you mean '{meant}'?" if meant else known
        elif types[name] == "heartbeat" and event != "heartbeat":
            yield path, f"'{name}' is a heartbeat, which tells of good runs only", f"write it as heartbeat: {name}"
        elif types[name] in {"webhook", "command"} and event == "heartbeat":
            yield path, f"'{name}' is no heartbeat", "name an alert of type heartbeat"


def _blocks(tree: Mapping[str, Any], section: str) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    blocks = tree.get(section)
    yield from ((k, v) for k, v in blocks.items() if isinstance(v, dict)) if isinstance(blocks, dict) else ()


def _recipients(tree: Mapping[str, Any]) -> Iterator[tuple[Path_, str, str]]:
    """Yield each name with its place and the key that it stands under."""
    places: list[tuple[Path_, Mapping[str, Any]]] = [((), tree)]
    places += [(("jobs", name), job) for name, job in _blocks(tree, "jobs")]
    for place, block in places:
        for event in _EVENTS:
            said, path = block.get(event), (*place, event)
            if isinstance(said, dict):
                said, path = said.get("to"), (*path, "to")
            if isinstance(said, str):
                yield path, event, said
            for number, name in enumerate(said if isinstance(said, list) else ()):
                if isinstance(name, str):
                    yield (*path, number), event, name


def _command(path: Path_, command: Any) -> Iterator[_Finding]:
    if not isinstance(command, list) or not command or not isinstance(command[0], str):
        return  # told already: the model wants a list of texts
    if not PurePosixPath(command[0]).is_absolute():
        cure = "write its whole path (example: command: [/usr/local/bin/tell, ops])"
        yield (*path, 0), "a program is named by its whole path, and is no shell line", cure


def _address(path: Path_, alert: Mapping[str, Any]) -> Iterator[_Finding]:
    url, headers = alert.get("url"), alert.get("headers")
    if not isinstance(url, str):
        return
    has_secret = any(isinstance(value, dict) for value in headers.values()) if isinstance(headers, dict) else False
    trouble = address_trouble(url, has_secret=has_secret and alert.get("allow_insecure") is not True)
    if trouble is not None:
        yield path, *trouble


def address_trouble(url: str, *, has_secret: bool) -> tuple[str, str] | None:
    """Return what is wrong with the address of a destination and the cure, None when nothing; neither shows it.

    `has_secret`: it, or what is sent there, must not travel over plain http.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "not an http address", "write it as https://host/path"
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(one.isspace() for one in url):
        return "not an http address", "write it as https://host/path"
    if parts.username is not None or parts.password is not None:
        return "credentials do not belong in an address", "refer to the whole address (example: url: {env: NAME})"
    if parts.fragment:
        return "this address may have no #", "leave out what stands behind it"
    if has_secret and parts.scheme == "http" and not is_loopback(parts.hostname):
        return "a secret would travel unencrypted", "use https, or say allow_insecure: true"
    return None


def _lateness(path: Path_, job: Mapping[str, Any]) -> Iterator[_Finding]:
    late, schedule = job.get("on_late"), job.get("schedule")
    has_after = isinstance(late, dict) and late.get("after") is not None
    names = late.get("to") if isinstance(late, dict) else late
    fires = isinstance(schedule, dict) and any(schedule.get(kind) is not None for kind in ("cron", "every", "at"))
    if names and not has_after and not fires:
        yield path, "nothing says when this job is late", "say so (example: on_late: {to: [ops], after: 2h})"


def program_trouble(program: str) -> str | None:
    """Return why a program cannot be started from here, None when it can."""
    if not os.path.isfile(program):  # noqa: PTH113 - a text in, and no more
        return "is not there"
    return None if os.access(program, os.X_OK) else "may not be executed by this user"
