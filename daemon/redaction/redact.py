"""Texts and values without what is secret. Done twice it is as done once, and it never fails."""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from .known import KNOWN
from .looks import BLOT, blot_looks, is_secret_name, without_queries

_ROUNDS = 4
_DEEPEST = 8
_SHORT = 200
"""Shorter texts come again and again: names, addresses, words. What became of them is kept for the next time."""

_COUNTED = 10_000
"""Under the name of a secret, a smaller number counts something."""


def redact_text(text: str) -> str:
    """Return a text without known secrets, without what looks like one, and without the values of queries."""
    return _remembered(text, KNOWN.learned) if len(text) < _SHORT else _without_secrets(text)


@lru_cache(maxsize=1024)
def _remembered(text: str, learned: int) -> str:
    del learned  # what was fine before another secret was learned may not be now
    return _without_secrets(text)


def _without_secrets(text: str) -> str:
    for _ in range(_ROUNDS):
        # Once more after a change: what stood before and after a secret may be one together.
        done = without_queries(blot_looks(KNOWN.blot(text)))
        if done == text:
            return done
        text = done
    return BLOT


def redact_value(value: Any, *, deepest: int = _DEEPEST) -> Any:
    """Return a value for a log: of None, bool, numbers, texts, lists, and dicts of them, without what is secret.

    What else there is becomes text. Below `deepest` levels everything does.
    """
    try:
        return _redacted(value, deepest)
    except Exception as error:  # noqa: BLE001 - what cannot even be printed is no reason to fail
        return f"<{type(value).__name__}: {type(error).__name__}>"


def redact_named(name: str, value: Any, *, deepest: int = _DEEPEST) -> Any:
    """Return a value without what is secret, and nothing of it where its name says that it is."""
    if not is_secret_name(name) or value is None or isinstance(value, bool) or _counts(value):
        return redact_value(value, deepest=deepest)
    return BLOT


def _counts(value: Any) -> bool:
    return isinstance(value, (int, float)) and -_COUNTED < value < _COUNTED


def _redacted(value: Any, deepest: int) -> Any:
    if isinstance(value, str):
        return redact_text(str(value))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float, Decimal)):
        return BLOT if KNOWN.holds(str(value)) else value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return redact_text(bytes(value).decode("utf-8", "backslashreplace"))
    if deepest and isinstance(value, Mapping):
        named = ((str(name), one) for name, one in value.items())
        return {redact_text(name): redact_named(name, one, deepest=deepest - 1) for name, one in named}
    if deepest and isinstance(value, (list, tuple, set, frozenset)):
        return _items(list(value), deepest - 1)
    return redact_text(str(value))


def _items(items: list[Any], deepest: int) -> list[Any]:
    if len(items) == 2 and isinstance(items[0], str):  # a header, maybe
        return [redact_text(items[0]), redact_named(items[0], items[1], deepest=deepest)]
    return [redact_value(item, deepest=deepest) for item in items]
