"""The fields of one record side by side: what is wanted, what was last sent, what the target holds now."""

from collections.abc import Iterator, Mapping

from daemon.sync.canonical import agrees
from daemon.sync.explanation import Explanation
from daemon.sync.mapping import Tried
from daemon.values import MISSING, Document, Json, Missing

from . import shown

CELL = 24
"""Longest value in the table: three of them and a name fit on a line."""
_SAME = "="
"""Stands for the value that is wanted, so that what differs can be seen at once."""


def table(subject: Explanation) -> Iterator[str]:
    """Yield the lines of the table: `~` marks a field that differs, `!` one that cannot be made."""
    if subject.mapped is None:
        yield "none, without a record to make it from"
        return
    fields = subject.mapped.fields
    others: list[tuple[str, Document]] = []
    if subject.remembered is not None and subject.remembered.document is not None:
        others.append(("LAST SENT", subject.remembered.document))
    if len(subject.target.records) == 1:
        others.append(("TARGET NOW", subject.target.records[0].document))
    if subject.mapped.document is None:
        yield "✗ cannot be made: a field marked with ! is wanted and cannot be had"
    width = max([len(_name(one)) for one in fields] + [len("FIELD")])
    yield _row(" ", "FIELD", width, ["WANTED", *(title for title, _ in others)])
    for one in fields:
        yield _field(one, width, [document for _, document in others])


def _field(one: Tried, width: int, others: list[Document]) -> str:
    if one.trouble:
        return f"! {_name(one):<{width}}  {shown.plain(one.trouble)}"
    wanted = "(left out)" if one.value is MISSING else shown.value(one.value)
    cells = [_cell(one, document) for document in others]
    # What is left out or set once may differ for ever: it is not the target's concern.
    differs = one.value is not MISSING and not one.set_once and any(cell != _SAME for cell in cells)
    return _row("~" if differs else " ", _name(one), width, [shown.cut(wanted, CELL), *cells])


def _row(mark: str, name: str, width: int, cells: list[str]) -> str:
    return f"{mark} {name:<{width}}  " + "  ".join(f"{cell:<{CELL}}" for cell in cells).rstrip()


def _name(one: Tried) -> str:
    return shown.plain(one.name) + (" (set once)" if one.set_once else "")


def _cell(one: Tried, document: Document) -> str:
    value = _at(document, one.name)
    if one.value is not MISSING and value is not MISSING and agrees(one.value, value):
        return _SAME
    return shown.cut(shown.value(value), CELL)


def _at(document: Document, name: str) -> Json | Missing:
    """Return a nested field. A name with a dot in it, of a job without `map`, is found as it is."""
    if name in document:
        return document[name]
    value: Json = document
    for step in name.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return MISSING
        value = value[step]
    return value
