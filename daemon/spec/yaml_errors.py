"""YAML's own complaints in an operator's words, each with its place and the usual cure."""

import re

import yaml

from .marks import Mark, Source
from .problems import Problem

_UNQUOTED = re.compile(r"""[^\s,\[\]{}"':]*\{\{.*?\}\}[^\s,\[\]{}]*""")

_BRACKETS = ("while parsing a flow mapping", "while parsing a flow sequence")
_KNOWN = (
    (r"character '\\t'", "a tab is not allowed here", "indent with spaces"),
    (r"character '([@`%!&*|>])'|alphabetic or numeric", "text cannot begin with this character", "quote the text"),
    ("could not find expected ':'", "a ':' is missing after this key", "write the key as `name: value`"),
    ("but found another document", "a second document ('---') begins here", "put it into a file of its own in jobs.d"),
    ("found undefined alias", "this alias has no anchor above it", "write '&name' where the value first stands"),
    ("unknown escape character", "'\\' begins an escape in double quotes", "use single quotes around the text"),
    (
        "expected ',' or '}'",
        "a ',' or '}' is missing before this",
        "close the '{', and quote text that holds ': ' or ','",
    ),
    (r"expected ',' or '\]'", "a ',' or ']' is missing before this", "close what was opened with '['"),
    (
        r"expected <block end>, but found '(<scalar>|<alias>)'",
        "text stands behind a finished value",
        "quote the whole value",
    ),
    (r"expected <block end>, but found '[}\]]'", "this bracket was not opened", "remove it"),
    ("expected the node content", "a value is missing here", "write it, or close the bracket"),
    ("expected <block end>", "the indentation fits no block above", "align this line with the others of its block"),
)


def syntax_problem(error: yaml.YAMLError, source: Source) -> Problem:
    """Return the problem behind PyYAML's error."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return Problem(source.file, 0, 0, "", f"not YAML: {' '.join(str(error).split())[:200]}")
    marks = [mark for mark in (error.problem_mark, error.context_mark) if mark is not None]
    for mark in marks:
        quoting = unquoted(source, mark.line)
        if quoting is not None:
            return quoting
    start = error.context_mark
    if start is not None and error.problem == "found unexpected end of stream":
        return _at(source, start.line, start.column, "this quote is not closed", "close it")
    if start is not None and error.context in _BRACKETS and start.line < error.problem_mark.line:
        return _at(source, start.line, start.column, "this bracket is not closed", "close it")
    line, column = error.problem_mark.line, error.problem_mark.column
    return _at(source, line, column, *_words(error.problem or "", source, line, column))


def unreadable_character(error: yaml.reader.ReaderError, text: str, source: Source) -> Problem:
    """Return the problem of a control character in a file."""
    before = text[: error.position]
    line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
    return _at(
        source, line, column, f"a control character (U+{ord(text[error.position]):04X}) is not allowed", "remove it"
    )


def unquoted(source: Source, line: int, start: int = 0) -> Problem | None:
    """Return the problem of a template without quotes in this line (counted from 0), if there is one."""
    text = source.lines[line] if line < len(source.lines) else ""
    for found in _UNQUOTED.finditer(text, start):
        before = text[: found.start()]
        if before.count('"') % 2 or before.count("'") % 2 or before.lstrip().startswith("#"):
            continue
        value = found[0]
        quote = "'" if '"' in value else '"'
        mark = Mark(source, line + 1, found.start() + 1, len(value))
        return source.problem(
            mark, (), "YAML reads '{{' without quotes as a mapping", f"quote it: {quote}{value}{quote}"
        )
    return None


def _words(problem: str, source: Source, line: int, column: int) -> tuple[str, str | None]:
    if problem == "mapping values are not allowed here":
        text = source.lines[line][:column] if line < len(source.lines) else ""
        if re.search(r":\s", text):
            return "a second ': ' in one line", "quote the text that holds it, or begin a new line"
        return "this key does not fit here", "end the line above with ':', or align this key with the one above"
    for pattern, message, cure in _KNOWN:
        if re.search(pattern, problem):
            return message, cure
    return f"not YAML: {problem}", None


def _at(source: Source, line: int, column: int, message: str, cure: str | None) -> Problem:
    if line >= len(source.lines) and source.lines:  # the end of the file: show the last line instead of none
        line = len(source.lines) - 1
        column = len(source.lines[line])
    return source.problem(Mark(source, line + 1, column + 1, 1), (), message, cure)
