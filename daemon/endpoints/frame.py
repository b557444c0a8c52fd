"""The shape of a list's answers, compiled once: a page is split into its records in one pass over its bytes.

What else the job looks for beside the records (the next page, a total) is cut out in the same pass, and everything
else is skipped.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

Steps: TypeAlias = tuple[str, ...]
RAWS: Any = list[msgspec.Raw]
_INNER = "inner"
_NOTHING = msgspec.Raw(b"null")


@dataclass(frozen=True, slots=True)
class Split:
    """One answer, split."""

    records: Sequence[msgspec.Raw]
    beside: Mapping[Steps, msgspec.Raw | None]
    """What stands at the beginnings of the other paths; None where nothing does."""


class Frame:
    """Splits the answers of one list. Threads may share it."""

    def __init__(self, records: Steps, others: Iterable[Steps]) -> None:
        """Compile it from the paths of names to the list, `records`, and to what is looked for beside it, `others`."""
        self._records = records
        self._places = {self._forks(other) for other in others}
        self._decoder: msgspec.json.Decoder[Any] | None = None
        if not records or any(place == records[: len(place)] for place in self._places):
            return  # one that ends at or above the list would cut out what is to be split
        shape: Any = RAWS
        for depth in reversed(range(len(records))):
            beside = sorted(place[depth] for place in self._places if len(place) == depth + 1)
            fields: list[tuple[str, Any, Any] | tuple[str, Any]] = [(_INNER, shape)]
            fields += [(f"beside{at}", msgspec.Raw, _NOTHING) for at in range(len(beside))]
            names = {_INNER: records[depth], **{f"beside{at}": name for at, name in enumerate(beside)}}
            shape = msgspec.defstruct("Shape", fields, rename=names)
        self._decoder = msgspec.json.Decoder(shape)

    def _forks(self, other: Steps) -> Steps:
        """Return the beginning of a path, up to where it leaves that of the records."""
        depth = 0
        while depth < min(len(other), len(self._records)) and other[depth] == self._records[depth]:
            depth += 1
        return other[: depth + 1]

    def split(self, raw: bytes) -> Split | None:
        """Return the answer, split; None for one of another shape, and for what is no JSON."""
        if self._decoder is None:
            return None
        try:
            node = self._decoder.decode(raw)
        except (msgspec.DecodeError, RecursionError):
            return None
        beside: dict[Steps, msgspec.Raw | None] = {}
        for depth in range(len(self._records)):
            for at, place in enumerate(sorted(one for one in self._places if len(one) == depth + 1)):
                found = getattr(node, f"beside{at}")
                beside[place] = None if found is _NOTHING else found
            node = getattr(node, _INNER)
        return Split(node, beside)
