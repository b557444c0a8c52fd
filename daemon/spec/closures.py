"""Expressions as Python closures: what Jinja would do in 8 µs a path is done in a tenth of one.

Every closure takes the scope (top-level names to values) and returns a value or MISSING. Parts that need Jinja
itself (method calls, `map`, `select` …) are not compiled; `compiled` says so by returning None.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from jinja2 import nodes

from daemon.values import MISSING

from .filters import FILTERS
from .operators import (
    COMPARISONS,
    add,
    compare,
    concat,
    divide,
    field,
    floor_divide,
    modulo,
    multiply,
    negate,
    negative,
    part,
    positive,
    power,
    subtract,
    whole_list,
    whole_mapping,
)
from .questions import TESTS

Run: TypeAlias = Callable[[Mapping[str, Any]], Any]

BINARY: Mapping[type[nodes.Node], Callable[[Any, Any], Any]] = {
    nodes.Add: add,
    nodes.Sub: subtract,
    nodes.Mul: multiply,
    nodes.Div: divide,
    nodes.FloorDiv: floor_divide,
    nodes.Mod: modulo,
    nodes.Pow: power,
}
UNARY: Mapping[type[nodes.Node], Callable[[Any], Any]] = {nodes.Neg: negative, nodes.Pos: positive}


class _NeedsJinjaError(Exception):
    """This part has no closure."""


def compiled(node: nodes.Node) -> Run | None:
    """Return the closure of an expression, or None if some part of it needs Jinja when it runs."""
    try:
        return _run(node)
    except _NeedsJinjaError:
        return None


def described(node: nodes.Node) -> str:
    """Return how a path or a filtered path was written, for messages; "a value" for anything else."""
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{described(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{described(node.node)}[{node.arg.value!r}]"
    if isinstance(node, nodes.Filter) and node.node is not None and not node.args and not node.kwargs:
        return f"{described(node.node)} | {node.name}"
    return "a value"


def is_plain_path(node: nodes.Node) -> bool:
    """Say whether it is a name with fields or items behind it: its closure finds them or not, and never fails."""
    while isinstance(node, nodes.Getattr) or (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const)):
        node = node.node
    return isinstance(node, nodes.Name)


def is_question(node: nodes.Node) -> bool:
    """Say whether the answer may be "there is no answer": then its negation has none either."""
    return isinstance(node, (nodes.Test, nodes.Compare))


def _run(node: nodes.Node) -> Run:
    kind = type(node)
    if kind in BINARY:
        return _two(BINARY[kind], _run(node.left), _run(node.right))  # type: ignore[attr-defined]  # by the table
    if kind in UNARY:
        return _one(UNARY[kind], _run(node.node))  # type: ignore[attr-defined]  # by the table
    maker = _MAKERS.get(kind)
    if maker is None:
        raise _NeedsJinjaError
    return maker(node)


def _const(node: nodes.Const) -> Run:
    value = node.value
    return lambda _: value


def _name(node: nodes.Name) -> Run:
    name = node.name
    return lambda scope: scope.get(name, MISSING)


def _path(node: nodes.Getattr | nodes.Getitem) -> Run:
    steps: list[Any] = []
    inner: nodes.Node = node
    while True:
        if isinstance(inner, nodes.Getattr):
            steps.insert(0, inner.attr)
        elif isinstance(inner, nodes.Getitem) and isinstance(inner.arg, nodes.Const):
            steps.insert(0, inner.arg.value)
        else:
            break
        inner = inner.node
    if not steps:
        return _computed_item(node)
    if isinstance(inner, nodes.Name):
        return _named_path(inner.name, tuple(steps))
    start = _run(inner)

    def walk(scope: Mapping[str, Any]) -> Any:
        value = start(scope)
        for step in steps:
            value = field(value, step)
        return value

    return walk


def _named_path(name: str, steps: tuple[Any, ...]) -> Run:
    # The two usual depths are spelled out: a loop costs as much as the look-ups. `except` is free until it is needed.
    first = steps[0]
    second = steps[1] if len(steps) == 2 else None

    def one(scope: Mapping[str, Any]) -> Any:
        try:
            return scope[name][first]
        except (LookupError, TypeError):
            return MISSING

    def two(scope: Mapping[str, Any]) -> Any:
        try:
            return scope[name][first][second]
        except (LookupError, TypeError):
            return MISSING

    def many(scope: Mapping[str, Any]) -> Any:
        try:
            value = scope[name]
            for step in steps:
                value = value[step]
        except (LookupError, TypeError):
            return MISSING
        return value

    return {1: one, 2: two}.get(len(steps), many)


def _computed_item(node: nodes.Getattr | nodes.Getitem) -> Run:
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice):
        start, stop, step = (_optional(bound) for bound in (node.arg.start, node.arg.stop, node.arg.step))
        sliced = _run(node.node)
        return lambda scope: part(sliced(scope), start(scope), stop(scope), step(scope))
    return _two(field, _run(node.node), _run(node.arg))  # type: ignore[union-attr]  # a Getattr has steps


def _optional(node: nodes.Node | None) -> Run:
    return (lambda _: None) if node is None else _run(node)


def _one(work: Callable[[Any], Any], inner: Run) -> Run:
    return lambda scope: work(inner(scope))


def _two(work: Callable[[Any, Any], Any], left: Run, right: Run) -> Run:
    return lambda scope: work(left(scope), right(scope))


def _filter(node: nodes.Filter) -> Run:
    if node.name not in FILTERS or node.node is None:
        raise _NeedsJinjaError
    return _applied(FILTERS[node.name], _run(node.node), node)


def _test(node: nodes.Test) -> Run:
    if node.name not in TESTS:
        raise _NeedsJinjaError
    return _applied(TESTS[node.name], _run(node.node), node)


def _applied(work: Callable[..., Any], inner: Run, node: nodes.Filter | nodes.Test) -> Run:
    args = [_run(arg) for arg in node.args]
    options = {str(option.key): _run(option.value) for option in node.kwargs}
    if not args and not options:
        return _one(work, inner)
    if all(isinstance(arg, nodes.Const) for arg in node.args) and not options:
        constants = [arg.value for arg in node.args if isinstance(arg, nodes.Const)]
        return lambda scope: work(inner(scope), *constants)
    return lambda scope: work(
        inner(scope), *[arg(scope) for arg in args], **{key: option(scope) for key, option in options.items()}
    )


def _concat(node: nodes.Concat) -> Run:
    runs = [_run(operand) for operand in node.nodes]
    operands = [described(operand) for operand in node.nodes]

    def joined(scope: Mapping[str, Any]) -> str:
        values = [run(scope) for run in runs]
        try:
            return "".join(values)
        except TypeError:  # something in it is no text: the careful way
            return concat(values, operands)

    return joined


def _compare(node: nodes.Compare) -> Run:
    first = _run(node.expr)
    if len(node.ops) == 1:
        return _two(COMPARISONS[node.ops[0].op], first, _run(node.ops[0].expr))
    steps = [(operand.op, _run(operand.expr)) for operand in node.ops]
    return lambda scope: compare(first(scope), [(name, right(scope)) for name, right in steps])


def _not(node: nodes.Not) -> Run:
    inner = _run(node.node)
    return _one(negate, inner) if is_question(node.node) else lambda scope: not inner(scope)


def _and(node: nodes.And) -> Run:
    left, right = _run(node.left), _run(node.right)
    return lambda scope: left(scope) and right(scope)


def _or(node: nodes.Or) -> Run:
    left, right = _run(node.left), _run(node.right)
    return lambda scope: left(scope) or right(scope)


def _choice(node: nodes.CondExpr) -> Run:
    condition, yes = _run(node.test), _run(node.expr1)
    no: Run = (lambda _: MISSING) if node.expr2 is None else _run(node.expr2)
    return lambda scope: yes(scope) if condition(scope) else no(scope)


def _list(node: nodes.List | nodes.Tuple) -> Run:
    items = [_run(item) for item in node.items]
    return lambda scope: whole_list([item(scope) for item in items])


def _dict(node: nodes.Dict) -> Run:
    pairs = [(_run(pair.key), _run(pair.value)) for pair in node.items]
    return lambda scope: whole_mapping({key(scope): value(scope) for key, value in pairs})


_MAKERS: Mapping[type[nodes.Node], Callable[[Any], Run]] = {
    nodes.Const: _const,
    nodes.Name: _name,
    nodes.Getattr: _path,
    nodes.Getitem: _path,
    nodes.Filter: _filter,
    nodes.Test: _test,
    nodes.Concat: _concat,
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _not,
    nodes.CondExpr: _choice,
    nodes.List: _list,
    nodes.Tuple: _list,
    nodes.Dict: _dict,
}
