"""What only the whole of a job can tell of its cursor: names, zones, and whether anything asks by it."""

from collections.abc import Iterator, Mapping
from typing import Any
from zoneinfo import available_timezones

from .grammar import names, parse_expression, parse_template, suggestion
from .incremental import cursor_expression
from .problems import Path_
from .schedule import cron_fields, is_zone

_Finding = tuple[Path_, str, str | None]
_ASKS = ("read", "params", "headers")


def increment_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield what is wrong with the cursors of all jobs: path, message, cure."""
    jobs = tree.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        source = job.get("source") if isinstance(job, dict) else None
        if not isinstance(source, dict):
            continue
        here: Path_ = ("jobs", name)
        block = source.get("incremental")
        if isinstance(block, dict):
            yield from _field((*here, "source", "incremental"), block)
            yield from _zone((*here, "source", "incremental"), block)
            if "read" in source and block.get("type") != "etag" and not _asking(source):
                cure = 'ask for it (example: params: {updated_since: "{{ cursor.start }}"})'
                yield (*here, "source", "incremental"), "nothing in the request asks for what changed", cure
        elif "read" in source and block is None and (path := _asking(source)):
            cure = "add incremental to the source (example: incremental: {field: updated_at})"
            yield (*here, "source", *path), "only an incremental job has a cursor", cure
        yield from _reconcile((*here, "reconcile"), job.get("reconcile"))


def _field(path: Path_, block: Mapping[str, Any]) -> Iterator[_Finding]:
    field = block.get("field")
    try:
        used = names(parse_expression(cursor_expression(field))) if isinstance(field, str) else frozenset[str]()
    except ValueError:
        return  # told already: the models check the syntax
    for name in sorted(used - {"record"}):
        yield (*path, "field"), f"unknown name '{name}'", "write a field's name, or an expression over record"


def _zone(path: Path_, block: Mapping[str, Any]) -> Iterator[_Finding]:
    zone = block.get("timezone")
    if isinstance(zone, str) and not is_zone(zone):
        meant = suggestion(zone, available_timezones())
        yield (
            (*path, "timezone"),
            f"unknown time zone '{zone}'",
            (f"did you mean '{meant}'?" if meant else "example: Europe/Berlin"),
        )


def _reconcile(path: Path_, block: Any) -> Iterator[_Finding]:
    if not isinstance(block, dict):
        return
    yield from _zone(path, block)
    if isinstance(block.get("cron"), str):
        try:
            cron_fields(block["cron"])
        except ValueError as error:
            yield (*path, "cron"), str(error), 'example: "0 2 * * sun"'


def _asking(source: Mapping[str, Any]) -> Path_:
    """Return where the request first uses the cursor; empty where it does nowhere."""
    return next((path for part in _ASKS for path in _using((part,), source.get(part))), ())


def _using(path: Path_, value: Any) -> Iterator[Path_]:
    if isinstance(value, str):
        try:
            parts = [part for part in parse_template(value) if not isinstance(part, str)]
        except ValueError:
            return
        if any("cursor" in names(part) for part in parts):
            yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _using((*path, key), inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _using((*path, place), inner)
