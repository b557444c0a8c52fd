"""Whether a table fits the job, before the run asks anything else; and what has become of it since the last run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

import msgspec

from daemon.errors import ConfigError
from daemon.spec import Job, Mode, TableTarget

from .shape import Shape

Facts: TypeAlias = dict[str, str]
"""The type of each column, as the database writes it."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What earlier runs knew of a table."""

    recall: Callable[[], bytes | None]
    remember: Callable[[bytes], None]

    def facts(self) -> Facts:
        """Return what is known; nothing before the first run, or where it cannot be read."""
        kept = self.recall()
        try:
            return msgspec.json.decode(kept, type=Facts) if kept else {}
        except msgspec.DecodeError:
            return {}

    def keep(self, shape: Shape) -> None:
        """Remember a shape, if it is news."""
        facts = _facts(shape)
        if facts != self.facts():
            self.remember(msgspec.json.encode(facts))


def fitted(job: Job, target: TableTarget, shape: Shape, system: str, before: Facts) -> tuple[str, ...]:
    """Return the match columns. Raises ConfigError with everything in which the table does not fit the job."""
    match = target.matched or shape.primary
    trouble = [*_match(match, shape), *_mapped(job, target, shape, before), *_needed(job, match, shape)]
    if trouble:
        raise ConfigError(f"{system}: table {shape.name} does not fit the job: {'; '.join(trouble)}")
    return match


def news(shape: Shape, before: Facts) -> list[str]:
    """Return what has changed since the last run and is no fault by itself: a sentence for each column."""
    return [
        f"table {shape.name}: column {column.name} is {column.says} now; at the last run it was {before[column.name]}"
        for column in shape.columns.values()
        if before.get(column.name, column.says) != column.says
    ]


def _facts(shape: Shape) -> Facts:
    return {column.name: column.says for column in shape.columns.values()}


def _match(match: Sequence[str], shape: Shape) -> list[str]:
    if not match:
        return ["it has no primary key; name the columns that equal the key in target.match"]
    absent = [name for name in match if name not in shape.columns]
    if absent:
        return [_absent(name, "target.match", shape, {}) for name in absent]
    vague = [name for name in match if not shape.columns[name].takes.identifies]
    if vague:
        kinds = ", ".join(f"{name} ({shape.columns[name].says})" for name in vague)
        return [f"a key cannot be matched with {kinds}; match columns are text, whole or decimal numbers, dates, UUIDs"]
    if frozenset(match) not in shape.unique:
        names = ", ".join(match)
        cure = f"run `CREATE UNIQUE INDEX ON {shape.name} ({names})`, or name other columns in target.match"
        return [f"it has no unique index on ({names}), so a key could come twice; {cure}"]
    return []


def _mapped(job: Job, target: TableTarget, shape: Shape, before: Facts) -> list[str]:
    names = dict.fromkeys(name.split(".")[0] for name in job.map or ())
    trouble = [_absent(name, "the map", shape, before) for name in names if name not in shape.columns]
    trouble += [
        f"column {name} is computed by the database; take it out of the map"
        for name in names
        if name in shape.columns and shape.columns[name].computed
    ]
    if target.version is not None and target.version not in shape.columns:
        trouble.append(_absent(target.version, "target.version", shape, before))
    return trouble


def _absent(name: str, where: str, shape: Shape, before: Facts) -> str:
    said = f"{where} names column {name}, and there is none"
    if name in before:
        said = f"column {name} ({before[name]}), which {where} names, was there at the last run and is gone"
    near = get_close_matches(name, shape.columns, n=1)
    return f"{said}; did you mean {near[0]}?" if near else f"{said}; it has {shape.told}"


def _needed(job: Job, match: Sequence[str], shape: Shape) -> list[str]:
    """Find what a new row would lack; not where the record is taken as it is, since each may have other fields."""
    if job.map is None or job.mode is Mode.UPDATE_ONLY:
        return []
    names = {name.split(".")[0] for name in job.map}
    lacking = [column for column in shape.columns.values() if column.needed and column.name not in names]
    trouble = [
        f"column {one.name} ({one.says}) takes no null and has no default, and the job does not map it"
        for one in lacking
    ]
    told = {one.name for one in lacking}
    return trouble + [
        f"column {name} identifies the row, and the job does not map it"
        for name in match
        if name in shape.columns and name not in names and name not in told
    ]
