"""Looking at the target's record of one key, by the surest way that the job declares."""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.errors import EndpointError, RefusedError, StoppedError
from daemon.values import Document

from .certificate import End
from .change import Link
from .ports import Target, TargetIndex, TargetRecord


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen."""

    how: str
    """In words; empty where the job declares no way to look."""
    records: tuple[TargetRecord, ...] = ()
    error: EndpointError | None = None
    """Why it cannot be told whether these are all; None when they are."""


def look(
    target: Target,
    index: TargetIndex | None,
    *,
    key: str,
    link: Link | None,
    document: Document | None,
    check_stop: Callable[[], None],
) -> Looked:
    """Return what the target holds for a key: from its list if that was read, by id, by look-up, or from its list.

    `document` is what the look-up may ask with; without one, only a look-up by key can be made.
    """
    if index is not None:
        found = index.by_id([link.target_id] if link is not None else [])
        return Looked("in its list", tuple(found.values()) or index.by_match([key]).get(key, ()))
    looked = Looked("")
    if target.can_get and link is not None:
        looked = _by_id(target, link, document)
    if target.can_lookup and not looked.records and not _is_away(looked.error):
        looked = _by_look_up(target, key, document)
    is_unable = isinstance(looked.error, RefusedError) or not looked.how
    return _in_list(target, key, link, check_stop) if is_unable and target.can_list else looked


def _is_away(error: EndpointError | None) -> bool:
    """Say whether another question would find nobody either."""
    return error is not None and not isinstance(error, RefusedError)


def _by_id(target: Target, link: Link, document: Document | None) -> Looked:
    try:
        record = target.get(link.target_id, link.key, document or {})
        return Looked("by its id", () if record is None else (record,))
    except StoppedError:
        raise
    except EndpointError as error:
        return Looked("by its id", error=error)


def _by_look_up(target: Target, key: str, document: Document | None) -> Looked:
    try:
        return Looked("by look-up", target.lookup(key, document or {}))
    except StoppedError:
        raise
    except EndpointError as error:
        return Looked("by look-up", error=error)


def _in_list(target: Target, key: str, link: Link | None, check_stop: Callable[[], None]) -> Looked:
    """Walk the list to its end: a second record with the key would be an ambiguity."""
    found: list[TargetRecord] = []
    try:
        for step in target.list():
            check_stop()
            if not isinstance(step, End):
                found += (one for one in step if one.match == key or (link is not None and one.id == link.target_id))
    except StoppedError:
        raise
    except EndpointError as error:
        return Looked("in its list", tuple(found), error)
    return Looked("in its list", tuple(found))
