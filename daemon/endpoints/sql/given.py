"""What a database gives, as JSON values, with every digit kept.

Decimals and whole numbers stay what they are; times are ISO 8601 text with their offset; bytes are base64; a JSON
column is its value; UUIDs, intervals and what else there is are text.
"""

import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from typing import Any, Final

import msgspec

from daemon.values import Json

ENCODER = msgspec.json.Encoder(decimal_format="number")

_PLAIN: Final = frozenset({str, int, bool, type(None)})


def given(value: Any, zone: tzinfo | None) -> Json:
    """Return a value of a row as JSON. `zone` is what a time without one is meant in; None leaves it without."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is datetime:
        return (value.replace(tzinfo=zone) if zone is not None and value.tzinfo is None else value).isoformat()
    make = _MADE.get(kind)
    if make is not None:
        return make(value)
    if isinstance(value, Mapping):
        return {str(name): given(part, zone) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [given(part, zone) for part in value]
    return str(value)


def _float(value: float) -> Json:
    return value if math.isfinite(value) else str(value)


def _decimal(value: Decimal) -> Json:
    return value if value.is_finite() else str(value)


def _base64(value: Any) -> str:
    return b64encode(value).decode("ascii")


def _duration(value: timedelta) -> str:
    seconds = Decimal(value.days * 86_400 + value.seconds) + Decimal(value.microseconds) / 1_000_000
    return f"PT{seconds}S"


_MADE: Final[Mapping[type, Callable[[Any], Json]]] = {
    Decimal: _decimal,
    float: _float,
    date: date.isoformat,
    time: time.isoformat,
    timedelta: _duration,
    bytes: _base64,
    bytearray: _base64,
    memoryview: _base64,
}
