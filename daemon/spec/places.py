"""Places in a tree of plain values, all found in one walk: with a thousand jobs, one walk for each is too slow."""

from collections.abc import Iterable, Iterator
from typing import Any, Final, Generic, TypeAlias, TypeVar

from .problems import Path_

T = TypeVar("T")
_EVERY: Final = "*"


class _Node(Generic[T]):
    """One step of the places, and what is said of those that end here."""

    __slots__ = ("said", "steps")

    def __init__(self) -> None:
        self.said: list[T] = []
        self.steps: dict[str, _Node[T]] = {}


class Places(Generic[T]):
    """Places by their steps, with dots between them (`jobs.*.key`), and what is said of each.

    `*` is any key of a mapping, or any item of a list.
    """

    def __init__(self, said: Iterable[tuple[str, T]]) -> None:
        self._root: _Node[T] = _Node()
        for place, word in said:
            node = self._root
            for step in place.split("."):
                node = node.steps.setdefault(step, _Node())
            node.said.append(word)

    def found(self, tree: Any) -> Iterator[tuple[Path_, Any, T]]:
        """Yield what stands at the places of a tree: its path, its value, and what is said of the place."""
        here: list[_Here[T]] = [(self._root, (), tree)]
        while here:
            node, path, value = here.pop()
            for word in node.said:
                yield path, value, word
            if node.steps:
                here += reversed(_inside(node, path, value))


_Here: TypeAlias = tuple[_Node[T], Path_, Any]


def _inside(node: _Node[T], path: Path_, value: Any) -> list[_Here[T]]:
    """Return where the next steps lead, in the order of the tree."""
    every = node.steps.get(_EVERY)
    if isinstance(value, dict):
        inside = [] if every is None else [(every, (*path, key), item) for key, item in value.items()]
        return inside + [
            (inner, (*path, step), value[step])
            for step, inner in node.steps.items()
            if step in value and step != _EVERY
        ]
    if isinstance(value, list) and every is not None:
        return [(every, (*path, number), item) for number, item in enumerate(value)]
    return []
