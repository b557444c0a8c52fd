"""What a system calls its records and their versions, as texts."""

from daemon.errors import MalformedError
from daemon.sync.canonical import key_text
from daemon.values import MISSING, Json


def entity_tag(value: Json) -> str:
    """Return a version from a body as If-Match wants it (RFC 9110 8.8.3): in quotes."""
    text = str(value)
    return text if text.startswith(('"', 'W/"')) else f'"{text}"'


def id_text(value: Json) -> str:
    """Return a target's id as text, whatever type it has there."""
    if isinstance(value, (dict, list, bool)):
        raise MalformedError(f"the id in the target's answer is {type(value).__name__}, not a text or number")
    return str(value)


def match_text(value: Json) -> str | None:
    """Return the canonical text of a match field; None when it identifies nothing."""
    if value is MISSING:
        return None
    try:
        return key_text(value)
    except ValueError:
        return None
