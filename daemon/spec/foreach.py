"""What only the whole of a job can tell of its parents: by which names they are known, and who uses them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from .expressions import expression_names
from .grammar import suggestion
from .problems import Path_
from .sql import query_parameters
from .templates import template_names

_Finding = tuple[Path_, str, str | None]

DEEPEST: Final = 2
"""Blocks of for_each, one inside the other."""

TAKEN: Final = frozenset(
    {"record", "cursor", "document", "changed", "target", "key", "idempotency_key", "page", "body", "response"}
    | {"true", "false", "none", "not", "and", "or", "in", "is", "if", "else", "loop", "self", "range"}
)
"""Names that mean something else somewhere in a job, and words of the language."""

_REQUEST: Final = ("read", "params", "headers", "path", "arguments")
_KINDS: Final = ("read", "query", "path", "call", "in", "links_of")


def blocks(job: Any) -> Iterator[tuple[Path_, Mapping[str, Any]]]:
    """Yield the blocks of for_each of a job with their places, from the one next to the source outwards."""
    path: Path_ = ()
    block = job
    while isinstance(block, dict) and isinstance(block.get("for_each"), dict):
        path, block = (*path, "for_each"), block["for_each"]
        yield path, block


def parent_names(tree: Mapping[str, Any], job: Any) -> frozenset[str]:
    """Return the names by which the source, and the expressions over its records, know their parents."""
    jobs = tree.get("jobs")
    found = blocks(jobs.get(job)) if isinstance(jobs, dict) else ()
    return frozenset(block["as"] for _, block in found if isinstance(block.get("as"), str))


def for_each_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield what is wrong with the parents of all jobs: path, message, cure."""
    jobs = tree.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        found: list[tuple[Path_, Mapping[str, Any]]] = [(("jobs", name, *path), block) for path, block in blocks(job)]
        for depth, (path, block) in enumerate(found):
            outer = frozenset(one["as"] for _, one in found[depth + 1 :] if isinstance(one.get("as"), str))
            yield from _kinds(path, block)
            yield from _name(path, block, outer)
            yield from _names_used(path, block, outer)
        if len(found) > DEEPEST:
            cure = "read those by a job of their own, and use links_of"
            yield found[DEEPEST][0], "for_each stands in another one at most once", cure
        if found:
            yield from _unused(found, job)


def linked_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield the parents that are taken from a job that is not there: path, message, cure."""
    jobs = tree.get("jobs")
    known = [str(name) for name in jobs] if isinstance(jobs, dict) else []
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        for path, block in blocks(job):
            of = block.get("links_of")
            here: Path_ = ("jobs", name, *path, "links_of")
            if isinstance(of, str) and of == name:
                yield here, "a job cannot be its own parent", "name the job that reads the parents"
            elif isinstance(of, str) and of not in known:
                meant = suggestion(of, known)
                cure = f"did you mean '{meant}'?" if meant else f"known jobs: {_listed(known)}"
                yield here, f"unknown job '{of}'", cure


def _kinds(path: Path_, block: Mapping[str, Any]) -> Iterator[_Finding]:
    said = [kind for kind in _KINDS if kind in block]
    if len(said) > 1:
        yield (*path, said[1]), f"parents come from one place, and `{said[0]}` names another", "keep one of the two"


def _name(path: Path_, block: Mapping[str, Any], outer: frozenset[str]) -> Iterator[_Finding]:
    name = block.get("as")
    if not isinstance(name, str):
        return
    if name in TAKEN:
        yield (*path, "as"), f"'{name}' means something else already", "choose another name (example: as: project)"
    elif name in outer:
        cure = "give each a name of its own (example: as: team)"
        yield (*path, "as"), f"'{name}' is the name of the parents around it too", cure


def _names_used(path: Path_, block: Mapping[str, Any], outer: frozenset[str]) -> Iterator[_Finding]:
    own = outer | {block["as"]} if isinstance(block.get("as"), str) else outer
    for name in ("key", "where"):
        for here, text in _texts((*path, name), block.get(name)):
            yield from _unknown(here, text, own, expression_names)
    for part in _REQUEST:
        for here, text in _texts((*path, part), block.get(part)):
            yield from _unknown(here, text, outer, template_names)


def _unused(found: list[tuple[Path_, Mapping[str, Any]]], job: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield parents by whom nothing is asked: each of them would get the same children."""
    source = job.get("source")
    if not isinstance(source, dict):
        return
    inner: list[Mapping[str, Any]] = [source]
    for path, block in found:
        name = block.get("as")
        if isinstance(name, str) and not any(_asks_by(name, one) for one in inner):
            cure = f'ask by it (example: read: "{name}s/{{{{ {name}.id }}}}/items")'
            yield (*path, "as"), f"nothing in the request asks by '{name}', so each would have the same records", cure
        inner.append(block)


def _asks_by(name: str, block: Mapping[str, Any]) -> bool:
    query = block.get("query")
    if isinstance(query, str):
        return any(one == name or one.startswith(f"{name}_") for one in query_parameters(query))
    return any(name in _quietly(text) for part in _REQUEST for _, text in _texts((), block.get(part)))


def _quietly(text: str) -> frozenset[str]:
    try:
        return template_names(text)
    except ValueError:
        return frozenset()  # told already: the models check the syntax


def _unknown(
    path: Path_, text: str, known: frozenset[str], read: Callable[[str], frozenset[str]]
) -> Iterator[_Finding]:
    try:
        used = read(text)
    except ValueError:
        return  # told already: the models check the syntax
    for name in sorted(used - known):
        meant = suggestion(name, known)
        here = f"known here: {_listed(known)}" if known else "parents know the names of those around them, and no other"
        yield path, f"unknown name '{name}'", f"did you mean '{meant}'?" if meant else here


def _texts(path: Path_, value: Any) -> Iterator[tuple[Path_, str]]:
    """Yield the texts of a block that are templates."""
    if isinstance(value, str):
        yield path, value
    pairs: Iterable[tuple[str | int, Any]] = value.items() if isinstance(value, dict) else ()
    for key, inner in enumerate(value) if isinstance(value, list) else pairs:
        if key not in {"records", "id", "version", "on_response"}:
            yield from _texts((*path, key), inner)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)) or "none"
