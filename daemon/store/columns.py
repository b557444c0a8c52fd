"""How values look inside the columns: moments as sortable UTC text, documents as exact JSON."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from daemon.values import Document, Json

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def moment_text(moment: datetime) -> str:
    """Return the stored form: UTC with microseconds, of constant width, so that text order is time order.

    Raises ValueError for a naive datetime.
    """
    if moment.tzinfo is None:
        raise ValueError("a naive datetime cannot be stored; the moment it names is not known")
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


class Moment(TypeDecorator[datetime]):
    """An aware datetime in UTC, stored as text by `moment_text`.

    Text, since SQLite has no such type and both databases shall hold, compare and show the same thing.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the stored text."""
        return None if value is None else moment_text(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment, aware and in UTC."""
        return None if value is None else datetime.fromisoformat(value)


def to_json(value: Json) -> str:
    """Return JSON text in the value's own order, every digit kept. Raises ValueError for what JSON cannot say."""
    try:
        return _ENCODER.encode(value).decode()
    except (TypeError, UnicodeEncodeError, msgspec.EncodeError) as error:
        raise ValueError(f"cannot be kept as JSON: {error}") from error


def from_json(text: str) -> Json:
    """Return the value. Numbers that are not integers come back as Decimal."""
    return _DECODER.decode(text)


def document_text(document: Document | None) -> str | None:
    """Return the stored form of a document; None stays None."""
    if document is None:
        return None
    return to_json(document if type(document) is dict else plain(document))


def document_of(text: str | None) -> Document | None:
    """Return the document that `document_text` stored."""
    return None if text is None else from_json(text)


def plain(value: Mapping[str, Json]) -> dict[str, Json]:
    """Return a mapping of any kind as a dict, which is all the encoder knows."""
    return {name: plain(part) if isinstance(part, Mapping) else part for name, part in value.items()}
