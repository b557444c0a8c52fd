"""What may be written in an expression: Jinja's parser reads it, a list of allowed parts judges it.

Every complaint is a ValueError that says what is wrong and what to write instead.
"""

import difflib
import inspect
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any, Final

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import Lexer, Token
from jinja2.parser import Parser

from .filters import BORROWED, FILTERS
from .questions import TESTS

LONGEST: Final = 10_000
"""Characters of an expression or template text. Longer ones are mistakes or attacks."""

METHODS: Final = frozenset({
    "capitalize", "casefold", "count", "endswith", "find", "isalnum", "isalpha", "isdecimal", "isdigit",
    "islower", "isspace", "isupper", "lower", "lstrip", "partition", "removeprefix", "removesuffix", "rfind",
    "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip", "swapcase", "title",
    "upper",
})  # fmt: skip
"""Methods of texts that may be called. None of them makes more text than it was given."""

FUNCTIONS: Final = frozenset({"range"})
"""The only function. Its length has a limit."""

_PARTS: tuple[type[nodes.Node], ...] = (
    nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test, nodes.Call,
    nodes.Keyword, nodes.Concat, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Pow, nodes.Neg, nodes.Pos,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair,
)  # fmt: skip

_HINTS = (
    (re.compile(r"(?<![=!<>])=(?![=])(?!.*\()"), "to compare, write =="),
    (re.compile(r"&&"), "write 'and'"),
    (re.compile(r"\|\|"), "write 'or'"),
    (re.compile(r"!(?!=)"), "write 'not'"),
    (re.compile(r"\?"), "write: a if condition else b"),
    (re.compile(r"\{%"), "statements are not known here; write: a if condition else b"),
)


class _ExactLexer(Lexer):
    """Jinja's lexer, but 19.90 stays 19.90: numbers with a point are Decimals."""

    def wrap(
        self, stream: Iterable[tuple[int, str, str]], name: str | None = None, filename: str | None = None
    ) -> Iterator[Token]:
        for lineno, token, text in stream:
            if token == "float":  # noqa: S105 - a token of a language
                yield Token(lineno, token, Decimal(text.replace("_", "")))  # type: ignore[arg-type]  # as Jinja's own float
            else:
                yield from super().wrap([(lineno, token, text)], name, filename)


class _Grammar(Environment):
    """Jinja's grammar with `{{ }}` as its only marks: statements and comments are no part of the language."""

    def __init__(self) -> None:
        super().__init__(
            block_start_string="\0%", block_end_string="%\0", comment_start_string="\0#", comment_end_string="#\0"
        )
        self._exact_lexer = _ExactLexer(self)

    @property
    def lexer(self) -> Lexer:
        return self._exact_lexer


_GRAMMAR = _Grammar()
_signature = cache(inspect.signature)


def parse_expression(text: str) -> nodes.Expr:
    """Return the tree of a bare expression. Raises ValueError with what is wrong and what to write."""
    if len(text) > LONGEST:
        raise ValueError(f"an expression may have {LONGEST:,} characters, this one has {len(text):,}")
    if not text.strip():
        raise ValueError("an expression is missing here (example: record.id)")
    if "{{" in text:
        inner = text.replace("{{", "").replace("}}", "").strip()
        raise ValueError(f"this field is an expression already; write it bare: {inner}")
    try:
        parser = Parser(_GRAMMAR, text, state="variable")
        node = parser.parse_expression()
        if not parser.stream.eos:
            parser.fail(f"unexpected '{parser.stream.current.value}'")
        _judge(node)
    except TemplateSyntaxError as error:
        raise ValueError(_explain(text, error)) from None
    except RecursionError:
        raise ValueError("the expression is nested too deeply") from None
    return node


def parse_template(text: str) -> list[str | nodes.Expr]:
    """Return the constant texts and the expressions of a template, in order. Raises ValueError."""
    if len(text) > LONGEST and "{{" in text:
        raise ValueError(f"a template may have {LONGEST:,} characters, this one has {len(text):,}")
    if "{{" not in text:
        return [_constant(text)] if text else []
    try:
        parts: list[str | nodes.Expr] = []
        for output in _GRAMMAR.parse(text).body:
            for node in output.nodes if isinstance(output, nodes.Output) else ():
                if isinstance(node, nodes.TemplateData):
                    parts.append(_constant(node.data))
                else:
                    _judge(node)
                    parts.append(node)
    except TemplateSyntaxError as error:
        raise ValueError(_explain(text, error)) from None
    except RecursionError:
        raise ValueError("the template is nested too deeply") from None
    return parts


def names(node: nodes.Node) -> frozenset[str]:
    """Return the top-level names that an expression reads, without the functions."""
    found = {name.name for name in node.find_all(nodes.Name)}
    if isinstance(node, nodes.Name):
        found.add(node.name)
    return frozenset(found - FUNCTIONS)


def suggestion(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that was probably meant, or None."""
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1, cutoff=0.6)), None)


def _constant(text: str) -> str:
    if "{%" in text:
        raise ValueError("statements ({% … %}) are not known here; write {{ a if condition else b }}")
    return text


def _explain(text: str, error: TemplateSyntaxError) -> str:
    message = (
        (error.message or "it cannot be read")
        .replace("end of template", "the end")
        .replace("end of print statement", "}}")
    )
    hint = next((cure for pattern, cure in _HINTS if pattern.search(_without_texts(text))), None)
    if message.startswith(("unexpected char '\"'", 'unexpected char "\'"')):
        message = "a quote is not closed"
    return f"not an expression: {message}" + (f"; {hint}" if hint else "")


def _without_texts(text: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"", "''", text)


def _judge(node: nodes.Node) -> None:
    if not isinstance(node, _PARTS):
        raise TemplateSyntaxError(f"{type(node).__name__.lower()} is not part of the language", 1)
    if isinstance(node, nodes.Filter):
        _judge_filter(node)
    elif isinstance(node, nodes.Test):
        _judge_known("test", node.name, TESTS)
    elif isinstance(node, nodes.Call):
        _judge_call(node)
    for child in node.iter_child_nodes():
        _judge(child)


def _judge_filter(node: nodes.Filter) -> None:
    known = {*FILTERS, *BORROWED}
    _judge_known("filter", node.name, known)
    _no_stars(node)
    first = next((arg.value for arg in node.args if isinstance(arg, nodes.Const)), None)
    if node.name == "map" and isinstance(first, str):
        _judge_known("filter", first, known)
    work = FILTERS.get(node.name)
    if work is None:
        return
    try:
        _signature(work).bind(None, *node.args, **{str(option.key): None for option in node.kwargs})
    except TypeError as error:
        reason = str(error).replace("'value'", "a value").replace("default_value", "default")
        raise ValueError(f"filter {node.name!r}: {reason}") from None


def _judge_known(what: str, word: str, known: Iterable[str]) -> None:
    if word in known:
        return
    meant = suggestion(word, known)
    cure = f"did you mean {meant!r}?" if meant else f"known are {', '.join(sorted(known))}"
    raise ValueError(f"unknown {what} {word!r}; {cure}")


def _judge_call(node: nodes.Call) -> None:
    _no_stars(node)
    called = node.node
    if isinstance(called, nodes.Getattr):
        if called.attr not in METHODS:
            meant = suggestion(called.attr, {*FILTERS, *BORROWED})
            cure = f"; write … | {meant}" if meant else ""
            raise ValueError(f"unknown method {called.attr!r}; texts have {', '.join(sorted(METHODS))}{cure}")
    elif not isinstance(called, nodes.Name) or called.name not in FUNCTIONS:
        name = getattr(called, "name", "")
        cure = f"; write … | {name}" if name in FILTERS or name in BORROWED else "; use a filter: … | lower"
        raise ValueError(f"there is no function {name!r}{cure}" if name else f"this cannot be called{cure}")


def _no_stars(node: Any) -> None:
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        raise ValueError("* and ** arguments are not known here; write each argument")
