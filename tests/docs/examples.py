"""Runs a page's Python examples in order, and compares what they give with what the page says.

A block begins with three backticks and `python`; with a name behind the language it is a file, and is written and not
run. `<!-- setup` begins hidden lines, and `-->` ends them. What a line gives stands behind it, or alone on the next
line, as `# → repr` or `# → raises NameOfError`.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BLOCK = re.compile(
    r"^```(?:python|\w+ (?P<file>[\w.]+))\n(?P<shown>.*?)^```$|^<!-- setup\n(?P<hidden>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)
ARROW = "# → "
RAISES = "raises "


@dataclass(frozen=True)
class Block:
    """Some lines of Python on a page."""

    code: str
    line: int
    """Where its first line stands on the page, counted from 1."""
    is_hidden: bool
    file: str | None
    """The name of the file that it is; None for an example."""


def blocks(page: str) -> Iterator[Block]:
    """Yield a page's examples and hidden lines, in order."""
    for match in BLOCK.finditer(page):
        is_hidden = match["shown"] is None
        line = page.count("\n", 0, match.start()) + 2
        yield Block(match["hidden"] if is_hidden else match["shown"], line, is_hidden, match["file"])


def promises(code: str) -> dict[int, str]:
    """Return what is said about lines of code, by line, counted from 1."""
    found: dict[int, str] = {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT and token.string.startswith(ARROW):
            is_alone = token.line.lstrip().startswith("#")
            found[token.start[0] - (1 if is_alone else 0)] = token.string.removeprefix(ARROW)
    return found


class Checking(ast.NodeTransformer):
    """Hands every value that something is said about to `check_`."""

    def __init__(self, said: dict[int, str]) -> None:
        self.said = said
        self.found: set[int] = set()

    def _checked(self, node: ast.Expr | ast.Assign, value: ast.expr) -> ast.stmt:
        line = node.end_lineno or node.lineno
        if line not in self.said:
            return node
        self.found.add(line)
        thunk = ast.Lambda(ast.arguments([], [], None, [], [], None, []), value)
        call = ast.Call(ast.Name("check_", ast.Load()), [ast.Constant(line), thunk], [])
        checked = ast.Expr(call) if isinstance(node, ast.Expr) else ast.Assign(node.targets, call)
        return ast.fix_missing_locations(ast.copy_location(checked, node))

    def visit_Expr(self, node: ast.Expr) -> ast.stmt:
        return self._checked(node, node.value)

    def visit_Assign(self, node: ast.Assign) -> ast.stmt:
        return self._checked(node, node.value)


class Example:
    """One page while it runs: its names, and the promises it has kept."""

    def __init__(self, page: Path, names: dict[str, Any], hosts: dict[str, str]) -> None:
        self.page, self.names, self.hosts = page, names, hosts
        """`hosts`: what the page says, and what is meant by it."""

    def run(self) -> int:
        """Run every block and return how many promises were kept. Raises AssertionError for one that was not."""
        return sum(self._run(block) for block in blocks(self.page.read_text(encoding="utf-8")))

    def _run(self, block: Block) -> int:
        if block.file is not None:
            Path(block.file).write_text(self._meant(block.code), encoding="utf-8")
            return 0
        said = promises(block.code)
        checking = Checking(said)
        tree = checking.visit(ast.parse(self._meant(block.code)))
        assert checking.found == said.keys(), f"{self._place(block, 0)}: something is said about no value"
        kept: set[int] = set()
        self.names["check_"] = self._check(block, said, kept)
        ast.increment_lineno(tree, block.line - 1)
        exec(compile(tree, str(self.page), "exec"), self.names)
        assert kept == said.keys(), f"{self._place(block, min(said.keys() - kept))}: this line was not reached"
        return len(kept)

    def _check(self, block: Block, said: dict[int, str], kept: set[int]) -> Callable[[int, Callable[[], Any]], Any]:
        def check(line: int, thunk: Callable[[], Any]) -> Any:
            kept.add(line)
            value = None
            if said[line].startswith(RAISES):
                try:
                    shown = self._said(repr(thunk()))
                except Exception as error:
                    shown = RAISES + type(error).__name__
            else:
                value = thunk()
                shown = self._said(repr(value))
            assert shown == said[line], f"{self._place(block, line)}: it gives {shown}, the page says {said[line]}"
            return value

        return check

    def _meant(self, text: str) -> str:
        for said, meant in self.hosts.items():
            text = text.replace(said, meant)
        return text

    def _said(self, text: str) -> str:
        for said, meant in self.hosts.items():
            text = text.replace(meant, said)
        return text

    def _place(self, block: Block, line: int) -> str:
        return f"{self.page.name}:{block.line + line - 1}"
