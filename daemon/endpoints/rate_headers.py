"""What a server says of our budget, read from an answer's headers. Pure: headers and a time in, bounded numbers out.

Read are `RateLimit` with `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers: structured items since draft 08, a
dictionary in 07), `RateLimit-Limit`, `-Remaining`, `-Reset` (drafts to 06), and the same three as `X-RateLimit-…` and
`X-Rate-Limit-…`, where a reset is a number of seconds, a moment in epoch seconds or milliseconds, or a date; of
several dialects in one answer, the first. What cannot be read is not there; nothing here raises.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from cruds.retries import retry_after_of

LONGEST_S = 86_400.0
"""The longest wait that is believed: after a day we ask again, whatever was said."""

_LONGEST_TEXT = 2_000
"""Characters of a header that are read: dozens of budgets."""
_NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,30})?", re.ASCII)
_EPOCH_MS_FROM = 1e11
_EPOCH_S_FROM = 1e8
"""A number as large as this is no wait (three years) but a moment (since 1973)."""
_PREFIXES = ("ratelimit", "x-ratelimit", "x-rate-limit")
_NAMES = ("resource", "bucket")
"""What follows the prefix where a server tells which of its budgets it speaks of (GitHub, Discord)."""


@dataclass(frozen=True, slots=True)
class Stated:
    """One budget, as the server states it."""

    name: str
    """What the server calls it; empty for one without a name, which is the account's only one."""
    remaining: float
    """Requests that may still be made, by all clients of the account."""
    reset_s: float | None
    """Seconds until there are more, at most LONGEST_S; None where that is not said."""
    limit: float | None = None
    """Requests in each window; None where that is not said."""


def asked_wait(headers: Mapping[str, str], now: Callable[[], datetime]) -> float | None:
    """Return the seconds that Retry-After asks for, at most LONGEST_S; None without a readable one."""
    wait_s = retry_after_of(headers, now)
    return None if wait_s is None else believed(wait_s)


def believed(wait_s: float) -> float:
    """Return a wait as far as it is believed: from 0 to LONGEST_S."""
    return min(max(wait_s, 0.0), LONGEST_S)


def stated_budgets(headers: Mapping[str, str], now: Callable[[], datetime]) -> tuple[Stated, ...]:
    """Return what the headers say; empty where they say nothing that can be read. `now` is asked without a Date."""
    budgets = _header(headers, "ratelimit")
    structured = tuple(_structured(budgets, _header(headers, "ratelimit-policy"))) if budgets else ()
    if structured:
        return structured
    for prefix in _PREFIXES:
        remaining = _first_number(_header(headers, f"{prefix}-remaining"))
        if remaining is not None:
            name = next(filter(None, (_header(headers, f"{prefix}-{word}") for word in _NAMES)), "")
            limit = _first_number(_header(headers, f"{prefix}-limit"))
            return (Stated(name, remaining, _reset(headers, prefix, now), limit),)
    return ()


# ---- structured fields -----------------------------------------------------------------------------------------------


def _structured(budgets: str, policies: str) -> Iterator[Stated]:
    """Yield the items of RateLimit, each with its quota and window from RateLimit-Policy."""
    quotas = {name: (_number(said.get("q", "")), _number(said.get("w", ""))) for name, said in _items(policies)}
    whole: dict[str, str] = {}
    for name, said in _items(budgets):
        remaining = _number(said.get("r", ""))
        key, is_dictionary, value = name.partition("=")
        if is_dictionary:
            whole[key.strip().lower()] = value.strip()
        elif remaining is not None:
            limit, window_s = quotas.get(name, (None, None))
            reset_s = _number(said.get("t", ""))
            reset_s = window_s if reset_s is None else reset_s
            partition = f"{name};{said['pk']}" if "pk" in said else name
            yield Stated(partition, remaining, None if reset_s is None else believed(reset_s), limit)
    remaining, reset_s = _number(whole.get("remaining", "")), _number(whole.get("reset", ""))
    if remaining is not None:
        yield Stated("", remaining, None if reset_s is None else believed(reset_s), _number(whole.get("limit", "")))


def _items(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the members of a structured list (RFC 9651), each with its parameters; quotes around texts are dropped."""
    for member in _split(text, ","):
        name, *parameters = _split(member, ";")
        pairs = (parameter.partition("=") for parameter in parameters)
        yield _bare(name), {key.strip().lower(): _bare(value) for key, _, value in pairs}


def _split(text: str, separator: str) -> list[str]:
    """Split where the separator stands outside of quotes."""
    parts, quoted = [""], False
    for character in text:
        quoted ^= character == '"'
        if character == separator and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _bare(text: str) -> str:
    return text.strip().strip('"')


# ---- the three headers -----------------------------------------------------------------------------------------------


def _reset(headers: Mapping[str, str], prefix: str, now: Callable[[], datetime]) -> float | None:
    after = _first_number(_header(headers, f"{prefix}-reset-after"))
    if after is not None:
        return believed(after)
    text = _header(headers, f"{prefix}-reset")
    number = _first_number(text)
    if number is not None and number < _EPOCH_S_FROM:
        return believed(number)
    if number is not None:
        epoch_s = number / (1000 if number >= _EPOCH_MS_FROM else 1)
        return believed(epoch_s - _server_time(headers, now).timestamp())
    at = _date(text)
    return None if at is None else believed((at - _server_time(headers, now)).total_seconds())


def _server_time(headers: Mapping[str, str], now: Callable[[], datetime]) -> datetime:
    """Return what the server takes the time to be: a wrong clock on either side does no harm then."""
    return _date(_header(headers, "date")) or now()


def _date(text: str) -> datetime | None:
    """Return a moment as HTTP (RFC 9110 section 5.6.7) or ISO 8601 writes it; None for anything else."""
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError, OverflowError):
            at = read(text)
            return at if at.tzinfo else at.replace(tzinfo=UTC)
    return None


def _header(headers: Mapping[str, str], name: str) -> str:
    return (headers.get(name) or "")[:_LONGEST_TEXT].strip()


def _first_number(text: str) -> float | None:
    """Return the first of several values: a header sent twice, or a limit with its windows (`100, 100;w=60`)."""
    return _number(text.partition(",")[0].partition(";")[0].strip()) if text else None


def _number(text: str) -> float | None:
    return float(text) if text and _NUMBER.fullmatch(text) else None
