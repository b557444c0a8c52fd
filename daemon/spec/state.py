"""Where the state lies: a path, an address without a password, or a reference to an address that holds one."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

_Finding = tuple[tuple[str | int, ...], str, str | None]
_PASSWORD = re.compile(r"^[\w+.-]+://([^:/@]*:[^@]*@|[^?]*\?(.*&)?\w*password=)", re.DOTALL)

NOT_HERE = "a password does not belong in an address"
CURE = "refer to the whole address (example: state: {credential: state-url}), or let PostgreSQL read a passfile"


def holds_password(address: str) -> bool:
    """Say whether the address of a database has a password in it."""
    return _PASSWORD.match(address) is not None


def state_problems(tree: Mapping[str, Any]) -> Iterator[_Finding]:
    """Yield what is wrong with `state:`: path, message, cure."""
    state = tree.get("state")
    if isinstance(state, str) and holds_password(state):
        yield ("state",), NOT_HERE, CURE
    if isinstance(state, dict) and "vault" in state:
        yield ("state", "vault"), "the vault lies in the state database itself", "use env, file or credential"
