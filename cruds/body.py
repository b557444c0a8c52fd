"""Bodies: values to bytes on the way out, bytes to values on the way in."""

from collections.abc import Callable, Mapping
from email.message import Message
from functools import lru_cache
from math import isfinite
from typing import Any, TypeAlias

import msgspec
from urllib3.filepost import encode_multipart_formdata

from .credentials import checked_value
from .exception import BodyError

FileValue: TypeAlias = str | bytes | tuple[str, str | bytes] | tuple[str, str | bytes, str]
Files: TypeAlias = Mapping[str, FileValue]

JSON = "application/json"

# "number": a Decimal that came from JSON goes back as the number it was (19.90), not as a text.
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_STABLE = msgspec.json.Encoder(decimal_format="number", order="deterministic")


def encode(data: Any, files: Files | None, *, serialize: bool = True) -> tuple[bytes | None, str | None]:
    """Return body and content type for what the caller handed in; (None, None) for no body at all.

    Files go out as multipart/form-data and take precedence over data: a text or bytes is a field, (filename, data)
    and (filename, data, content type) are files; without a type it is guessed from the name. Other bytes and text
    go out as they are.
    Everything else becomes JSON: datetime (RFC 3339), date, UUID, Enum and dataclass included, Decimal exactly.
    Raises TypeError for what has no JSON form and ValueError for NaN and infinity, which JSON does not have.
    """
    if files is not None:
        return encode_multipart_formdata(dict(map(_checked, files.items())))
    if data is None:
        return None, None
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), "application/octet-stream"
    if isinstance(data, str):
        return data.encode(), "text/plain; charset=utf-8"
    if not serialize:
        raise TypeError(f"serialize is off, so data must be bytes or text, not {type(data).__name__}")
    return encode_json(data), JSON


def _checked(field: tuple[str, FileValue]) -> tuple[str, FileValue]:
    """Return the field. The encoder quotes names and file names; a content type goes into the part as it is."""
    name, value = field
    if isinstance(value, tuple) and len(value) not in {2, 3}:
        raise TypeError(f"file {name!r} is (filename, data) or (filename, data, content type)")
    if isinstance(value, tuple) and len(value) == 3:
        checked_value("Content-Type", value[2])
    return field


def encode_json(data: Any, *, stable: bool = False) -> bytes:
    """Return `data` as JSON. `stable`: equal values give equal bytes, whatever the order of their keys."""
    _refuse_what_json_lacks(data)
    return (_STABLE if stable else _ENCODER).encode(data)


def _refuse_what_json_lacks(value: Any) -> None:
    """Raise for NaN, infinity and strange keys: the encoder would write null or broken JSON for them."""
    if isinstance(value, dict):
        for name, member in value.items():
            if not isinstance(name, str | int):
                raise TypeError(f"a JSON object cannot have a {type(name).__name__} as a key")
            _refuse_what_json_lacks(member)
    elif isinstance(value, list | tuple | set | frozenset):
        for member in value:
            _refuse_what_json_lacks(member)
    elif not isinstance(value, str | int | None) and hasattr(value, "__float__") and not isfinite(value):
        raise ValueError(f"{value} has no form in JSON")


def is_json(content_type: str) -> bool:
    """Whether the media type is JSON: application/json or any `+json` (RFC 6839 section 3.1)."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == JSON or kind.endswith("+json")


def decode_json(
    body: bytes, content_type: str, parse_float: Callable[[str], Any] | None, *, method: str, url: str
) -> Any:
    """Return the JSON value in `body`, in the charset its type names.

    Raises `BodyError` for anything but one JSON value, NaN and numbers out of range included.
    """
    charset = charset_of(content_type)
    try:
        if charset not in {"utf-8", "utf8", "us-ascii"}:
            body = body.decode(charset).encode()
        body = body.removeprefix(b"\xef\xbb\xbf")
        if parse_float is None:
            return msgspec.json.decode(body)
        return msgspec.json.Decoder(float_hook=parse_float).decode(body)
    except (ValueError, LookupError) as error:
        raise BodyError(
            f"the body says it is {content_type or 'JSON'} and is not ({type(error).__name__})",
            method=method,
            url=url.partition("?")[0],
            sent=True,
        ) from error


@lru_cache(maxsize=64)  # a service has two or three content types, and Message takes its time
def charset_of(content_type: str) -> str:
    """Return the charset parameter in lower case; `utf-8` if there is none (RFC 8259 section 8.1)."""
    header = Message()
    header["content-type"] = content_type
    return (header.get_content_charset() or "utf-8").lower()


def text_of(body: bytes, content_type: str) -> str:
    """Return the body as text; an unknown charset is read as UTF-8, what does not decode is replaced."""
    try:
        return body.decode(charset_of(content_type), "replace")
    except LookupError:
        return body.decode("utf-8", "replace")


def compatible(body: bytes, content_type: str, parse_float: Callable[[str], Any] | None) -> Any:
    """Return what the four verbs return: the value if the body is JSON, otherwise the bytes; never an error.

    A body that does not say it is JSON is tried only if it looks like an object or a list, so that the text
    `007` stays what it is.
    """
    if not is_json(content_type) and body[:1] not in {b"{", b"["}:
        return body
    if not body:
        return body
    try:
        return decode_json(body, content_type if is_json(content_type) else "", parse_float, method="", url="")
    except BodyError:
        return body
