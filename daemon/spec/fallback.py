"""Expressions that need Jinja when they run: the sandboxed evaluator, with our operators in place of Jinja's.

Before Jinja compiles a tree, every operator in it becomes a call of the function that the closures use too. What is
left to Jinja is its calling of methods and filters, inside the sandbox.
"""

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from decimal import Decimal
from functools import wraps
from typing import Any

from jinja2 import nodes
from jinja2.filters import FILTERS as JINJA_FILTERS
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from daemon.values import MISSING

from .closures import BINARY, UNARY, Run, described, is_question
from .filters import BORROWED, FILTERS
from .grammar import METHODS
from .operators import UnfitError, compare, concat, field, negate, part, whole_list, whole_mapping
from .questions import TESTS

_LONGEST_RANGE = 10_000
_NODE = "_"
"""Filters that stand for operators begin with this. Users cannot write them: the grammar knows no such filter."""


def _range(*bounds: int) -> list[int]:
    numbers = range(*bounds)
    if len(numbers) > _LONGEST_RANGE:
        raise UnfitError(f"range is for up to {_LONGEST_RANGE:,} numbers")
    return list(numbers)


def _careful(work: Callable[..., Any]) -> Callable[..., Any]:
    """Leave null and missing as they are, as our own filters do; some of Jinja's take their context first."""
    place = 1 if hasattr(work, "jinja_pass_arg") else 0

    @wraps(work)
    def filtered(*args: Any, **options: Any) -> Any:
        value = args[place]
        return value if value is None or value is MISSING else work(*args, **options)

    return filtered


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja without Python behind it: fields of mappings, some methods of texts, and nothing else."""

    def __init__(self) -> None:
        super().__init__(optimized=False, autoescape=False)
        self.globals = {"range": _range}
        self.filters = {name: _careful(JINJA_FILTERS[name]) for name in BORROWED} | dict(FILTERS) | _OPERATORS
        self.tests = dict(TESTS)
        # Jinja checks at start that this is a class of its own; what it calls later may be any function. With one
        # absence for both evaluators no value needs to be translated on its way in or out of a filter.
        self.undefined = _missing  # type: ignore[assignment]

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a text's method. Fields do not come here: they became `_field` before."""
        return getattr(obj, attribute) if isinstance(obj, str) and attribute in METHODS else MISSING

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Return a field or item, for the filters that take `attribute=`."""
        return field(obj, argument)

    def call(self, context: Any, called: Any, /, *args: Any, **kwargs: Any) -> Any:
        if called is MISSING:
            raise UnfitError("a method was called on something that is no text")
        return super().call(context, called, *args, **kwargs)


def _missing(*_args: Any, **_facts: Any) -> Any:
    return MISSING


_OPERATORS: dict[str, Callable[..., Any]] = {
    **{_NODE + kind.__name__: work for kind, work in BINARY.items()},
    **{_NODE + kind.__name__: work for kind, work in UNARY.items()},
    "_absent": lambda _: MISSING,
    "_compare": lambda value, names, *rights: compare(value, list(zip(names, rights, strict=True))),
    "_concat": concat,
    "_decimal": Decimal,
    "_dict": whole_mapping,
    "_field": field,
    "_list": whole_list,
    "_negate": negate,
    "_part": part,
}


class _OurOperators(NodeTransformer):
    """Puts our functions, as filters, where a tree has operators."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - Jinja's naming
        if isinstance(node.node, nodes.Getattr):  # a method: Jinja looks it up, in the sandbox
            node.node.node = self.visit(node.node.node)
            node.args = [self.visit(arg) for arg in node.args]
            node.kwargs = [self.visit(option) for option in node.kwargs]
            return node
        return self.generic_visit(node)

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802
        return _call("_field", self.visit(node.node), nodes.Const(node.attr))

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802
        value = self.visit(node.node)
        if isinstance(node.arg, nodes.Slice):
            bounds = (node.arg.start, node.arg.stop, node.arg.step)
            return _call("_part", value, *(nodes.Const(None) if b is None else self.visit(b) for b in bounds))
        return _call("_field", value, self.visit(node.arg))

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802
        return _call("_decimal", nodes.Const(str(node.value))) if isinstance(node.value, Decimal) else node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802
        written = nodes.List([nodes.Const(described(operand)) for operand in node.nodes])
        return _call("_concat", nodes.List([self.visit(operand) for operand in node.nodes]), written)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:  # noqa: N802
        signs = nodes.List([nodes.Const(operand.op) for operand in node.ops])
        return _call("_compare", self.visit(node.expr), signs, *(self.visit(step.expr) for step in node.ops))

    def visit_Not(self, node: nodes.Not) -> nodes.Node:  # noqa: N802
        asked = is_question(node.node)
        inner = self.visit(node.node)
        return _call("_negate", inner) if asked else nodes.Not(inner)

    def visit_CondExpr(self, node: nodes.CondExpr) -> nodes.Node:  # noqa: N802
        otherwise = _call("_absent", nodes.Const(None)) if node.expr2 is None else self.visit(node.expr2)
        return nodes.CondExpr(self.visit(node.test), self.visit(node.expr1), otherwise)

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        node = super().generic_visit(node, *args, **kwargs)
        if isinstance(node, nodes.BinExpr) and type(node) in BINARY:
            return _call(_NODE + type(node).__name__, node.left, node.right)
        if isinstance(node, (nodes.List, nodes.Tuple)):
            return _call("_list", nodes.List(node.items))
        if isinstance(node, nodes.Dict):
            return _call("_dict", node)
        if isinstance(node, nodes.UnaryExpr) and type(node) in UNARY:
            return _call(_NODE + type(node).__name__, node.node)
        return node


def _call(name: str, value: nodes.Expr, *args: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(value, name, list(args), [], None, None)


_SANDBOX = _Sandbox()


def evaluator(node: nodes.Expr) -> Run:
    """Return a function that evaluates the expression in the sandbox. Takes the tree over and changes it."""
    tree = _OurOperators().visit(node)
    body = nodes.Template([nodes.Assign(nodes.Name("result", "store"), tree, lineno=1)], lineno=1)
    for inner in body.find_all(nodes.Node):
        inner.lineno = inner.lineno or 1
    body.set_environment(_SANDBOX)
    template = _SANDBOX.from_string(body)

    def evaluate(scope: Mapping[str, Any]) -> Any:
        context = template.new_context(dict(scope))
        for _ in template.root_render_func(context):
            pass
        return _plain(context.vars["result"])

    return evaluate


def _plain(value: Any) -> Any:
    """Turn what Jinja's filters return into JSON values."""
    if value is None or value is MISSING or isinstance(value, (bool, int, Decimal, float)):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return whole_mapping({key: _plain(item) for key, item in value.items()})
    if isinstance(value, (list, tuple, Iterator, KeysView, ValuesView, ItemsView)):
        return whole_list([_plain(item) for item in value])
    raise UnfitError("the result is no value; a method needs brackets: …()")
