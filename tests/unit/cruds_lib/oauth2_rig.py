"""What the tests of OAuth2 stand on: two clocks moved by hand, answers, and sessions at a scripted server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import pytest

from cruds import OAuth2
from cruds.oauth2 import MetadataCache
from cruds.oauth2.store import MemoryTokenStore
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

from .conftest import Waits

Make: TypeAlias = Callable[..., OAuth2]


class Time:
    """Both clocks."""

    def __init__(self) -> None:
        self.wall = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self.ticks = 1000.0

    def clock(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.ticks

    def pass_by(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def store() -> MemoryTokenStore:
    return MemoryTokenStore()


@pytest.fixture
def cache(time: Time) -> MetadataCache:
    return MetadataCache(time.monotonic)


@pytest.fixture
def options(time: Time, store: MemoryTokenStore, waits: Waits, cache: MetadataCache) -> dict[str, Any]:
    """What every session of a test shares."""
    return {
        "store": store,
        "clock": time.clock,
        "monotonic": time.monotonic,
        "stop": waits,
        "metadata_cache": cache,
    }


@pytest.fixture
def session(server: ScriptedServer, options: dict[str, Any]) -> Make:
    """Makes a session whose endpoints are set one by one."""

    def make(**more: Any) -> OAuth2:
        settings: dict[str, Any] = {"client_secret": "secret", "scope": None} | options | more
        return OAuth2(server.url + "/token", "id", **settings)

    return make


@pytest.fixture
def browser(server: ScriptedServer, session: Make) -> Make:
    """Makes a session that a person makes in a browser."""

    def make(**more: Any) -> OAuth2:
        login = {"authorization_url": server.url + "/authorize", "redirect_uri": "http://127.0.0.1:7/back?x=1"}
        return session(**(login | more))

    return make


@pytest.fixture
def device(server: ScriptedServer, session: Make) -> Make:
    """Makes a session that a person makes on another device."""

    def make(**more: Any) -> OAuth2:
        return session(**({"device_authorization_url": server.url + "/device"} | more))

    return make


def grant(name: str, **more: Any) -> Reply:
    return json_reply({"access_token": name, "token_type": "Bearer", "expires_in": 3600} | more)


def refusal(error: str, status: int = 400, **more: Any) -> Reply:
    return json_reply({"error": error} | more, status)


def asked(server: ScriptedServer, path: str = "/token") -> list[dict[str, str]]:
    """The forms that one endpoint was sent, in order."""
    return [seen.form for seen in server.journal if seen.path == path]
