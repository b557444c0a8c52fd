"""What a job file says in the words of databases: addresses, table names, column types, and queries with parameters.

No database is asked, and no SQL is understood: only what can be told for sure is refused.
"""

import re
from collections.abc import Iterator
from typing import Final

from .state import holds_password
from .types import SecretRef, TextOrSecret

_ADDRESS = re.compile(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://")
_IN_MEMORY = re.compile(r"sqlite(\+\w+)?:/{0,3}(:memory:)?$")
_TABLE = re.compile(r"[^\s.\"'`;]+(\.[^\s.\"'`;]+)?")
_TYPE = re.compile(
    r"(?:text(?:\(\s*[1-9]\d{0,8}\s*\))?|decimal(?:\(\s*[1-9]\d{0,3}\s*,\s*\d{1,3}\s*\))?"
    r"|integer|float|boolean|datetime|date|json|uuid|bytes)"
)
_PIECES = re.compile(
    r"""
      '(?:[^']|'')*'                            # a text
    | "(?:[^"]|"")*" | `[^`]*` | \[[^\]:]*\]    # a name in quotes
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$           # a text as PostgreSQL has it
    | --[^\n]* | /\*.*?\*/                      # a comment
    | ::                                        # a cast
    | (?<![\w:]):(?P<parameter>[A-Za-z_]\w*)
    | (?P<end>;)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_READS: Final = ("select", "with", "values", "table")
"""The words that a statement which only reads may begin with. Whether a WITH writes, the database says."""


def check_address(value: TextOrSecret) -> TextOrSecret:
    """Return the address of a database. Raises ValueError for what cannot be one, or holds a password."""
    if isinstance(value, SecretRef):
        return value
    if not _ADDRESS.match(value):
        raise ValueError("not an address of a database; write sqlite:///file.db or postgresql://user@host/name")
    if holds_password(value):
        raise ValueError("a password does not belong in an address; refer to the whole (url: {credential: db-url})")
    if _IN_MEMORY.match(value):
        raise ValueError("a database in memory keeps nothing; name its file (example: sqlite:///warehouse.db)")
    return value


def check_table(value: str) -> str:
    """Return the name of a table. Raises ValueError for what is none."""
    if not _TABLE.fullmatch(value):
        raise ValueError("not a table; write its name, or schema.name (example: desk.tickets)")
    return value


def check_type(value: str) -> str:
    """Return the type of a column. Raises ValueError for one that is not known."""
    if not _TYPE.fullmatch(value):
        known = "text, text(40), integer, decimal, decimal(12,2), float, boolean, datetime, date, json, uuid or bytes"
        raise ValueError(f"not a type of a column; write {known}")
    return value


def check_query(value: str) -> str:
    """Return a query. Raises ValueError where it surely does not only read, or is several statements."""
    bare = _COMMENT.sub(" ", value).lstrip(" \t\r\n(")
    word = re.match(r"\w*", bare)
    if word is None or word[0].lower() not in _READS:
        raise ValueError("a source only reads; begin the query with SELECT or WITH")
    ends = [match.end() for match in _PIECES.finditer(value) if match["end"]]
    if ends and _COMMENT.sub("", value[ends[0] :]).strip(" \t\r\n;"):
        raise ValueError("this is more than one statement; write one")
    return value


def query_pieces(query: str) -> Iterator[tuple[str, bool]]:
    """Yield a query piece by piece: SQL as it stands, or the name of a parameter (True)."""
    place = 0
    for match in _PIECES.finditer(query):
        name = match["parameter"]
        if name is not None or match["end"]:
            yield query[place : match.start()], False
            place = match.end()
        if name is not None:
            yield name, True
    yield query[place:], False


def query_parameters(query: str) -> tuple[str, ...]:
    """Return the names of a query's parameters, each once, in order."""
    return tuple(dict.fromkeys(name for name, is_parameter in query_pieces(query) if is_parameter))
