"""The table of what is tested here, against a certified server, and how many cases that makes."""

import importlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from types import FunctionType
from typing import Any

CASES = {
    "test_assertions": ("private_key_jwt with RS256 and ES256: a new assertion for each try", 27),
    "test_authorization_code": ("a login in a browser: PKCE, state, issuer, replays and refusals", 18),
    "test_device": ("a login on another device: pending, slow down, yes, no, too late", 11),
    "test_discovery": ("an issuer and nothing else", 14),
    "test_expiry": ("tokens of 5 and of 33 seconds that run out while they are in use", 7),
    "test_grants": ("every grant and way to prove oneself ends in a token that the API takes", 21),
    "test_jobs": ("runs and a service whose session ends, or whose token endpoint is down for a while", 8),
    "test_login_desk": ("logins and logouts as a command does them: every way in which they end", 29),
    "test_race": ("processes over one session: raced, killed, paused, their disk full, their clock set", 10),
    "test_revocation": ("tokens that the server ends early, and sessions that the client ends", 22),
    "test_rotation": ("refresh tokens that are good once, on 16 threads, stolen, and lost", 9),
    "test_secrets": ("logs at DEBUG, errors and printed objects show no secret", 5),
    "test_store": ("restarts, sessions that are over, and stores that do not keep what they are given", 29),
    "test_targets": ("resource, audience and rich authorization requests, kept on renewal", 12),
    "test_token_endpoint": ("outages, portals, limits and odd answers in front of the token endpoint", 52),
}
"""What each file is about, and its cases: a parametrised test counts once for each of its rows."""

TOTAL = sum(count for _, count in CASES.values())


def test_the_table_counts_every_case() -> None:
    here = Path(__file__)
    found = {file.stem: count(file.stem) for file in here.parent.glob("test_*.py") if file != here}

    assert found == {name: cases for name, (_, cases) in CASES.items()}


def count(name: str) -> int:
    """How many cases pytest makes of a file."""
    module = importlib.import_module(f"tests.integration.oauth.{name}")
    rows = prod(rows_of(getattr(module, "pytestmark", [])))
    tests = [it for called, it in vars(module).items() if called.startswith("test_") and isinstance(it, FunctionType)]
    return sum(rows * prod(rows_of(getattr(test, "pytestmark", []))) for test in tests)


def rows_of(said: Any) -> Iterator[int]:
    """How many rows each `parametrize` has, of one mark or a list of them."""
    marks: Iterator[Any] = (getattr(mark, "mark", mark) for mark in (said if isinstance(said, list) else [said]))
    return (len(mark.args[1]) for mark in marks if mark.name == "parametrize")
