"""YAML text as nodes with their places, none of which has a type yet: what a scalar means is said elsewhere."""

from contextlib import suppress
from typing import Any

import yaml

from .quick import CParser


def composed(text: str) -> tuple[yaml.Node | None, list[Any]]:
    """Return the document as nodes, and the events of its tags. Raises yaml.YAMLError for what is no YAML.

    libyaml reads ten times as fast. What it refuses is read once more, for the place and the words of the error; a tab
    it takes where the parser in Python does not, so it is not asked.
    """
    if _Fast is not None and "\t" not in text:
        with suppress(yaml.YAMLError):
            found: tuple[yaml.Node | None, list[Any]] = _Fast(text).whole()
            return found
    return _Loader(text).whole()


class _Nodes(yaml.composer.Composer):
    """Composes nodes without guessing types; notes every tag."""

    def __init__(self) -> None:
        super().__init__()
        self.tagged: list[Any] = []

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[attr-defined]
        if getattr(event, "tag", None) is not None:
            self.tagged.append(event)
        return super().compose_node(parent, index)

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Return no tag: what a scalar means is not YAML's to say."""
        del kind, value, implicit
        return ""

    def descend_resolver(self, parent: Any, index: Any) -> None:
        """Note no path: nothing is resolved by it."""

    def ascend_resolver(self) -> None:
        """Forget no path."""

    def whole(self) -> tuple[yaml.Node | None, list[Any]]:
        """Return the one document, and the events of its tags."""
        return self.get_single_node(), self.tagged


class _Loader(_Nodes, yaml.reader.Reader, yaml.scanner.Scanner, yaml.parser.Parser):
    """The parser in Python."""

    def __init__(self, text: str) -> None:
        yaml.reader.Reader.__init__(self, text)
        yaml.scanner.Scanner.__init__(self)
        yaml.parser.Parser.__init__(self)
        super().__init__()


_Fast: Any = None
"""As `_Loader`, with the parser in C."""
if CParser is not None:

    class _WithLibyaml(_Nodes, CParser):  # type: ignore[misc]  # its base is there only if libyaml is
        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            super().__init__()

    _Fast = _WithLibyaml
