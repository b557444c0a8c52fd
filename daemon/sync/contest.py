"""Fields that the target sets back after each write, and when to stop writing them.

A target that lower-cases, trims, rounds, sorts or fills in shows another value than the one it was sent, and would be
written in every run for ever. So each field that is written is remembered with what was wanted and what was found.
When `REWRITES` updates were carried out for the same two values, the field is contested and left out of updates. A new
wanted value, another found value, or one run in which the two agree starts afresh: one edit by a person is no contest.

The memory is a text that only this module reads. Losing it costs the rewrites once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec
import xxhash

from daemon.values import MISSING, Document, Json, Missing

from .canonical import comparable, is_list

REWRITES = 2
"""Updates carried out for the same wanted and found value before the field is left alone. The second one rules out that
a person, or a crash, had put the found value there once."""

FIELDS_TOLD = 100
"""Contested fields that one run tells of; bounds the memory of a job without a map, whose fields have any name."""

_Claims: TypeAlias = dict[str, tuple[str, int]]
"""Field → digest of wanted and found value, and the updates carried out for them."""

_ENCODER = msgspec.json.Encoder(order="sorted", decimal_format="number")
_DECODER = msgspec.json.Decoder(_Claims)


@dataclass(frozen=True, slots=True)
class Weighed:
    """Which of the fields that differ are worth a write."""

    fields: tuple[str, ...]
    """To be written, in the order given."""
    contested: tuple[str, ...]
    """Left alone, since the target sets them back."""
    contest: str | None
    """What to remember once the write is carried out, or at once where there is none; None for nothing."""


def weigh(contest: str | None, wanted: Document, found: Document, differing: tuple[str, ...]) -> Weighed:
    """Divide the fields that differ into those to write and those that are contested.

    `contest` is what an earlier `weigh` gave to remember, None for nothing.
    """
    if not differing:
        return Weighed((), (), None)
    before, after = _claims(contest), _Claims()
    fields, contested = [], []
    for name in differing:
        digest = _digest(wanted[name], found.get(name, MISSING))
        known, times = before.get(name, (digest, 0))
        times = times if known == digest else 0
        if times >= REWRITES:
            contested.append(name)
        else:
            fields.append(name)
            times += 1
        after[name] = (digest, times)
    return Weighed(tuple(fields), tuple(contested), _ENCODER.encode(after).decode())


@dataclass(frozen=True, slots=True)
class Contested:
    """A field that does not converge, over all records of a run, with one of them as an example."""

    field: str
    records: int
    key: str
    wanted: Json
    found: Json | Missing
    """MISSING where the target shows no such field."""


class Contests:
    """Gathers the contested fields of one run, on its thread."""

    def __init__(self) -> None:
        self._fields: dict[str, Contested] = {}

    @property
    def fields(self) -> tuple[Contested, ...]:
        """The contested fields so far, in the order they were met."""
        return tuple(self._fields.values())

    def note(self, key: str, fields: tuple[str, ...], wanted: Document, found: Document) -> None:
        """Note that these fields of a record are contested. Beyond `FIELDS_TOLD` fields no new one is taken in."""
        for name in fields:
            known = self._fields.get(name)
            if known is not None:
                self._fields[name] = replace(known, records=known.records + 1)
            elif len(self._fields) < FIELDS_TOLD:
                self._fields[name] = Contested(name, 1, key, wanted[name], found.get(name, MISSING))


def _claims(contest: str | None) -> _Claims:
    try:
        return {} if contest is None else _DECODER.decode(contest)
    except msgspec.DecodeError:
        # Not ours, or of another release: forgotten, at the price of the rewrites.
        return {}


def _digest(wanted: Json, found: Json | Missing) -> str:
    """Return 32 hexadecimal digits for the two values. Null, missing and empty are three different things."""
    shown = [] if found is MISSING else [comparable(_compared(wanted, found))]
    return xxhash.xxh3_128_hexdigest(_ENCODER.encode([comparable(wanted), shown]))


def _compared(wanted: Json, found: Json) -> Json:
    """Return the part of a found value that is compared: what the target adds may change with every write."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return {name: _compared(part, found[name]) for name, part in wanted.items() if name in found}
    if is_list(wanted) and is_list(found):
        return [*map(_compared, wanted, found), *found[len(wanted) :]]
    return found
