"""`paginate` beside `params`: one query value, one place that says it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .problems import Path_

_Finding = tuple[Path_, str, str | None]
_OWN = {"page": "param", "offset": "param", "cursor": "param"}
"""The types whose `param` is paginate's own."""
_BEGINS = re.compile(r"\{\{.*\bcursor\.")
"""What a read begins with that goes on where the last one ended."""


def paging_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield query values that a list names twice: path, message, cure. What paginate gives would win in silence."""
    jobs = tree.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        source, target = _block(job, "source"), _block(job, "target")
        yield from _twice(("jobs", name, "source"), source, source.get("paginate"))
        yield from _twice(("jobs", name, "source"), source, source.get("paginate"), within="arguments")
        yield from _twice(("jobs", name, "source", "read"), _block(source, "read"), source.get("paginate"))
        for list_ in ("list", "lookup"):
            request = _block(target, list_)
            for within in ("params", "arguments"):
                yield from _twice(("jobs", name, "target", list_), request, request.get("paginate"), within=within)


def _twice(path: Path_, request: Mapping[str, Any], paginate: Any, *, within: str = "params") -> Iterator[_Finding]:
    if not isinstance(paginate, dict):
        return
    params = _block(request, within)
    asked = {paginate.get(_OWN.get(str(paginate.get("type")), "")): "param"}
    if paginate.get("size") is not None:
        asked[paginate.get("size_param")] = "size_param"
    for param, setting in asked.items():
        if isinstance(param, str) and param in params and not _begins(paginate, params[param]):
            cure = f"say it in one place: take it out of {within}, or out of paginate (its {setting})"
            yield (*path, within, param), f"paginate gives '{param}' too, and its value would win", cure


def _begins(paginate: Mapping[str, Any], value: Any) -> bool:
    # The token of a feed (`since`) is where the first page begins, and the next page's token follows it.
    return paginate.get("type") == "cursor" and isinstance(value, str) and _BEGINS.search(value) is not None


def _block(value: Any, name: str) -> Mapping[str, Any]:
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}
