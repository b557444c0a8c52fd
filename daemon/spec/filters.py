"""The filters of the expression language that are our own: exact, and careful with null.

Every filter leaves null and missing as they are, except `default` (which is there to replace them) and `tojson`.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from functools import wraps
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from jinja2.filters import do_title

from daemon.values import MISSING

from .operators import TEXT_LIMIT, UnfitError, add, field, kind, number, text_of

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?\s*", re.ASCII)
_FORMAT = re.compile(r"%(?:%|[-+ 0]*(?P<width>\d*)(?:\.(?P<precision>\d*))?[sdif])")
_WIDTH = 1_000
_ROUNDINGS = {"common": ROUND_HALF_UP, "ceil": ROUND_CEILING, "floor": ROUND_FLOOR}
_LARGEST = 4_000
"""Digits of a number that may be written out; `1e999999999` in a record must not fill the memory."""

_ROOMY = Context(prec=2 * _LARGEST)

Filter = Callable[..., Any]


def _careful(work: Filter) -> Filter:
    """Make a filter that leaves null and missing as they are."""

    @wraps(work)
    def filtered(value: Any, *args: Any, **options: Any) -> Any:
        return value if value is None or value is MISSING else work(value, *args, **options)

    return filtered


def _default(value: Any, default_value: Any = "", boolean: object = False) -> Any:
    if value is MISSING or (boolean and not value):
        return default_value
    return value


def _trim(value: Any, chars: str | None = None) -> str:
    return text_of(value).strip(chars)


def _lower(value: Any) -> str:
    return text_of(value).lower()


def _upper(value: Any) -> str:
    return text_of(value).upper()


def _title(value: Any) -> str:
    return do_title(text_of(value))


def _capitalize(value: Any) -> str:
    return text_of(value).capitalize()


def _nfc(value: Any) -> str:
    return unicodedata.normalize("NFC", text_of(value))


def _replace(value: Any, old: str, new: str, count: int = -1) -> str:
    text = text_of(value)
    found = text.count(old) if count < 0 else count
    if found * len(new) > TEXT_LIMIT:
        raise UnfitError(f"replace would make more than {TEXT_LIMIT:,} characters")
    return text.replace(old, new, count)


def _split(value: Any, separator: str | None = None, maximum: int = -1) -> list[str]:
    return text_of(value).split(separator, maximum)


def _format(value: Any, *args: Any) -> str:
    """Fill `%s`, `%d`, `%05d`, `%.2f`; other forms are refused."""
    pattern = text_of(value)
    if "%" in _FORMAT.sub("", pattern):
        raise UnfitError("format knows %s, %d and %f with a width (example: '%05d' | format(record.no))")
    widths = [int(size or 0) for found in _FORMAT.finditer(pattern) for size in found.groups()]
    if max(widths, default=0) > _WIDTH:
        raise UnfitError(f"format is for widths up to {_WIDTH:,}")
    return pattern % tuple(
        text_of(arg) if isinstance(arg, bool) or arg is None or arg is MISSING else arg for arg in args
    )


def _to_number(given: Any, what: str) -> int | Decimal:
    value = given
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise UnfitError(f"{what} needs a number, this text is none; say what to use then: {what}(0)")
        value = Decimal(value.strip())
    exact = number(value, what)
    if isinstance(exact, Decimal) and abs(exact.adjusted()) > _LARGEST:
        raise UnfitError(f"{what} is for numbers of up to {_LARGEST:,} digits")
    return exact


def _int(value: Any, default: Any = MISSING, base: int = 10) -> Any:
    """Cut to a whole number; text in another base on request."""
    if value is None:
        return None if default is MISSING else default
    try:
        return int(value, base) if base != 10 and isinstance(value, str) else int(_to_number(value, "int"))
    except ValueError as error:
        if default is not MISSING:
            return default
        raise error if isinstance(error, UnfitError) else UnfitError("int needs a whole number in its base") from None


def _float(value: Any, default: Any = MISSING) -> Any:
    """Make a Decimal, so that 19.90 stays 19.90."""
    if value is None:
        return None if default is MISSING else default
    try:
        return Decimal(_to_number(value, "float"))
    except UnfitError:
        if default is not MISSING:
            return default
        raise


def _unless_missing(work: Filter) -> Filter:
    @wraps(work)
    def filtered(value: Any, *args: Any, **options: Any) -> Any:
        return value if value is MISSING else work(value, *args, **options)

    return filtered


def _abs(value: Any) -> int | Decimal:
    exact = number(value, "abs")
    return -exact if exact < 0 else exact


def _round(value: Any, precision: int = 0, method: str = "common") -> int | Decimal:
    """Round halves away from zero; a whole number when no digits are asked for."""
    if method not in _ROUNDINGS:
        raise UnfitError("round knows 'common', 'ceil' and 'floor'")
    exact = Decimal(number(value, "round"))
    if abs(precision) > _WIDTH or abs(exact.adjusted()) > _LARGEST:
        raise UnfitError(f"round is for up to {_LARGEST:,} digits")
    rounded = exact.quantize(Decimal(1).scaleb(-precision), _ROUNDINGS[method], _ROOMY)
    return int(rounded) if precision <= 0 else rounded


def _items(value: Any, what: str) -> list[Any]:
    if isinstance(value, bool) or not hasattr(value, "__iter__"):
        raise UnfitError(f"{what} needs a list, not {kind(value)}")
    return list(value)


def _length(value: Any) -> int:
    return len(_items(value, "length"))


def _list(value: Any) -> list[Any]:
    return _items(value, "list")


def _first(value: Any) -> Any:
    return next(iter(_items(value, "first")), MISSING)


def _last(value: Any) -> Any:
    return next(iter(_items(value, "last")[::-1]), MISSING)


def _join(value: Any, d: str = "", attribute: str | int | None = None) -> str:
    items = _items(value, "join")
    if attribute is not None:
        items = [_attribute(item, attribute) for item in items]
    return d.join([text_of(item, f"item {count}") for count, item in enumerate(items, 1)])


def _sum(value: Any, attribute: str | int | None = None, start: Any = 0) -> Any:
    total = start
    for item in _items(value, "sum"):
        total = add(total, item if attribute is None else _attribute(item, attribute))
    return total


def _attribute(item: Any, path: str | int) -> Any:
    for name in path.split(".") if isinstance(path, str) else [path]:
        item = field(item, int(name) if isinstance(name, str) and name.isdigit() else name)
    return item


def _datetime(value: Any, timezone: str | None = None) -> str:
    """Give ISO 8601 text in UTC; a time without a zone needs to be told one."""
    try:
        moment = datetime.fromisoformat(text_of(value).strip())
    except ValueError:
        raise UnfitError("datetime needs ISO 8601 text (example: 2025-01-31T08:00:00Z)") from None
    if moment.tzinfo is None:
        if timezone is None:
            raise UnfitError("datetime has no zone in its text; say which: datetime('Europe/Berlin')")
        moment = moment.replace(tzinfo=ZoneInfo(timezone))
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


_ENCODER = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def _tojson(value: Any) -> Any:
    """Write JSON text with every digit and sorted keys."""
    return value if value is MISSING else _ENCODER.encode(value).decode()


FILTERS: Final[Mapping[str, Filter]] = {
    "abs": _careful(_abs),
    "capitalize": _careful(_capitalize),
    "count": _careful(_length),
    "d": _default,
    "datetime": _careful(_datetime),
    "default": _default,
    "first": _careful(_first),
    "float": _unless_missing(_float),
    "format": _careful(_format),
    "int": _unless_missing(_int),
    "join": _careful(_join),
    "last": _careful(_last),
    "length": _careful(_length),
    "list": _careful(_list),
    "lower": _careful(_lower),
    "nfc": _careful(_nfc),
    "replace": _careful(_replace),
    "round": _careful(_round),
    "split": _careful(_split),
    "string": _careful(text_of),
    "sum": _careful(_sum),
    "title": _careful(_title),
    "tojson": _tojson,
    "trim": _careful(_trim),
    "upper": _careful(_upper),
}
"""By name. All of them are compiled; none needs Jinja when it runs."""


BORROWED: Final = frozenset({
    "dictsort", "filesizeformat", "groupby", "items", "map", "max", "min", "reject", "rejectattr",
    "reverse", "select", "selectattr", "sort", "striptags", "truncate", "unique", "urlencode", "wordcount",
})  # fmt: skip
"""Jinja filters that are used as they are; an expression with one of them is not compiled. What could fill the
memory by a number alone (center, indent, batch, slice …), reach Python (attr) or differ by chance (random) is out."""
