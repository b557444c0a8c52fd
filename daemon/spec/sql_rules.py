"""What only a whole job can tell of its queries and its table: which parameters are known, and what is lacking."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from zoneinfo import available_timezones

from .foreach import blocks
from .grammar import suggestion
from .sql import query_parameters

_Finding = tuple[tuple[str | int, ...], str, str | None]

_CURSOR: Final = frozenset({"cursor_start", "cursor_end"})


def sql_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield what is wrong with the queries and tables of all jobs: path, message, cure."""
    jobs = tree.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        for side in ("source", "target"):
            block = job.get(side) if isinstance(job, dict) else None
            if isinstance(block, dict) and ("query" in block or "table" in block):
                yield from _zone(("jobs", name, side), block)
        if isinstance(job, dict):
            yield from _parameters(("jobs", name), job)
            yield from _columns(("jobs", name), job)


def _zone(place: tuple[str | int, ...], block: Mapping[str, Any]) -> Iterator[_Finding]:
    zone = block.get("timezone")
    if isinstance(zone, str) and zone not in available_timezones():
        meant = suggestion(zone, available_timezones())
        yield (*place, "timezone"), f"unknown time zone '{zone}'", f"did you mean '{meant}'?" if meant else None


def _parameters(place: tuple[str | int, ...], job: Mapping[str, Any]) -> Iterator[_Finding]:
    source = job.get("source")
    if not isinstance(source, dict):
        return
    found = [*blocks(job)]
    names = [block["as"] if isinstance(block.get("as"), str) else "" for _, block in found]
    increments = source.get("incremental")
    asked = [((*place, "source"), source), *(((*place, *path), block) for path, block in found)]
    for depth, (path, block) in enumerate(asked):
        query = block.get("query")
        if isinstance(query, str):
            known = _CURSOR if block is source and increments is not None else frozenset()
            yield from _unknown((*path, "query"), query, known, [name for name in names[depth:] if name])
    query = source.get("query")
    if not isinstance(query, str) or not isinstance(increments, dict) or "start" in increments:
        return
    if "cursor_start" in query_parameters(query):
        cure = "add `start:`, the value from which the first run reads"
        yield (
            (*place, "source", "incremental"),
            "the query compares with :cursor_start, and the first run has none",
            cure,
        )


def _unknown(
    place: tuple[str | int, ...], query: str, known: frozenset[str], parts: Sequence[str]
) -> Iterator[_Finding]:
    for name in query_parameters(query):
        if name not in known and not name.startswith(tuple(f"{part}_" for part in parts)) and name not in parts:
            cure = "declare `incremental:`, which knows it" if name in _CURSOR else _known(known, parts)
            yield place, f"nothing is known here as :{name}", cure


def _known(known: frozenset[str], parts: Sequence[str]) -> str:
    names = [*(f":{name}" for name in sorted(known)), *(f":{part}_FIELD" for part in parts)]
    return f"known here: {', '.join(names)}" if names else "write the value into the query, or put quotes around a text"


def _columns(place: tuple[str | int, ...], job: Mapping[str, Any]) -> Iterator[_Finding]:
    """Find what a table that is made would lack."""
    target, fields = job.get("target"), job.get("map")
    columns = target.get("columns") if isinstance(target, dict) else None
    if not isinstance(columns, dict) or not isinstance(fields, dict):
        return
    for name in fields:
        column = str(name).split(".", maxsplit=1)[0]
        if column not in columns:
            yield (*place, "map", name), f"target.columns has no '{column}'", f"add `{column}: text`, or another type"
