"""Values as a terminal may show them: short, on one line, without a character that could steer the terminal."""

import msgspec

from daemon.sync.canonical import readable
from daemon.values import MISSING, Json, Missing

VALUE_CHARS = 60
"""Longest value in a plan. Enough for an address or a title; a text field of pages says nothing more at length."""

LINE_CHARS = 100
"""How much of a line the fields of a create may take before the rest is only counted."""

_ENCODER = msgspec.json.Encoder(decimal_format="number")


def plain(text: str) -> str:
    """Return text on one line, each character that is not printable written as its escape."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def key(text: str) -> str:
    """Return a record's key for people."""
    return plain(readable(text))


def value(json: Json | Missing) -> str:
    """Return a JSON value: texts in quotes, everything else as JSON has it, cut to `VALUE_CHARS`."""
    if json is MISSING:
        return "(missing)"
    if isinstance(json, str):
        return cut(repr(json[: VALUE_CHARS + 1]))
    return cut(plain(_ENCODER.encode(json).decode()))


def cut(text: str, length: int = VALUE_CHARS) -> str:
    """Return text of at most `length` characters, the last of them `…` where it was longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 change`, `2 changes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def duration(seconds: float) -> str:
    """Return a length of time: `3.2 s`, `4 min 05 s`, `2 h 05 min`, `3 d 04 h`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_of_hour = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24:02} h"
    return f"{hours} h {minutes_of_hour:02} min" if hours else f"{minutes} min {rest:02} s"
