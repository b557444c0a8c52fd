"""The small values that every floor shares: JSON, absence and secrets."""

from collections.abc import Mapping
from enum import Enum
from hmac import compare_digest
from typing import Any, Final, NoReturn, Self, TypeAlias

from .redaction import KNOWN

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


class Secret:
    """Text that must not be seen. Printing, formatting and logging show only that it exists.

    It cannot be changed, pickled or written as JSON. No dataclass: what walks over fields would find the text.
    """

    __slots__ = ("_text",)
    _text: str

    def __init__(self, text: str) -> None:
        object.__setattr__(self, "_text", text)

    def reveal(self) -> str:
        """Return the text. Call this on the line that sends it. From here on the log knows it when it meets it."""
        KNOWN.learn(self._text)
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        """Compare in a time that does not tell how much of the text was right."""
        if not isinstance(other, Secret):
            return NotImplemented
        return compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Secret does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Secret does not change")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a Secret is not written anywhere; keep the reference to it")


def _bytes(secret: Secret) -> bytes:
    return secret.reveal().encode("utf-8", "surrogatepass")
