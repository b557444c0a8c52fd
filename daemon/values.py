"""The small values that every floor shares: JSON, absence and secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

Json: TypeAlias = Any
"""None, bool, int, Decimal or float, str, list of Json or dict of str to Json. Numbers keep every digit: integers
are int whatever their size, other numbers are Decimal when they come from a parser of ours."""

Record: TypeAlias = Mapping[str, Json]
"""One JSON object read from the source."""

Document: TypeAlias = Mapping[str, Json]
"""A record after mapping: what the target should hold. Fields that are left out are not the target's concern."""


class _Missing(Enum):
    MISSING = "missing"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing.MISSING
"""The field is not there. Not the same as null, which is a value."""

Missing: TypeAlias = _Missing


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Text that must not be seen. Printing, formatting and logging show only that it exists."""

    _text: str

    def reveal(self) -> str:
        """Return the text. Call this on the line that sends it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__
