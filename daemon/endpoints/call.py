"""One request of a job, as its templates came out for one record, page or batch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .rules import Rules


@dataclass(frozen=True, slots=True)
class Call:
    """One request, rendered and ready to go."""

    method: str
    uri: str
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    data: Any = None
    idempotency: tuple[str, str] | None = None
    """Header and value of the idempotency key; None without one."""
    repeatable: bool = True
    """Whether carrying it out twice is the same as once. A request that is not goes out again only when it surely
    did not arrive, or carries an idempotency key."""
    writes: bool = False
    creates: bool = False
    gets: bool = False
    """Whether it reads the one record of an id, so that 404 says that there is none."""
    ok: frozenset[int] = frozenset()
    """Further statuses that mean success."""
    rules: Rules | None = None
    """What the job says of answers; asked before their status. None: nothing."""
