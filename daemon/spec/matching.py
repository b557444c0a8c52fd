"""Whether what a target's records are matched by can equal the job's key at all."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_Finding = tuple[tuple[str | int, ...], str, str | None]

_FIELD = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def match_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield each match that is one field where the key has several parts: path, message, cure.

    Nothing would ever match: no record is adopted, and a create whose answer was lost is made a second time.
    """
    jobs = tree.get("jobs")
    for name, job in jobs.items() if isinstance(jobs, dict) else ():
        target, key = (job.get("target"), job.get("key")) if isinstance(job, dict) else (None, None)
        match = target.get("match") if isinstance(target, dict) and "table" not in target else None
        if isinstance(key, list) and len(key) > 1 and isinstance(match, str) and _FIELD.fullmatch(match):
            names = ", ".join(str(part).rpartition(".")[2] for part in key)
            message = f"the key has {len(key)} parts, and one field never equals them all"
            yield ("jobs", name, "target", "match"), message, f'name a field for each (example: match: "[{names}]")'
