"""What a word without quotes means: only `true` and `false` are booleans, only what looks like a number is one."""

import re
from decimal import Decimal
from typing import Final

_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+([eE][-+]?[0-9]{1,3})?")
OCTAL: Final = re.compile(r"[-+]?0[0-9]+")
"""A number in one YAML and text in another."""
_CONSTANTS: Final = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}


def plain(text: str) -> str | int | Decimal | bool | None:
    """Return the value of a plain scalar; a number keeps its digits."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text) and len(text) < 4_000:
        return int(text)
    return Decimal(text) if _FLOAT.fullmatch(text) else text
