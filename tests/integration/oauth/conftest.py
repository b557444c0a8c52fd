"""Each test gets the shared server with a proxy, an API and a gate of its own."""

from collections.abc import Iterator

import pytest

from tests.fakes.scripted import json_reply, serving
from tests.integration.oauth.world import World
from tests.servers.oidc import Oidc
from tests.servers.rewriting_proxy import RewritingProxy


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def world(oidc: Oidc) -> Iterator[World]:
    with serving() as api, RewritingProxy(oidc.port) as proxy, oidc.gate(api.port) as gate:
        api.route("/people", json_reply({"ok": True}))
        yield World(oidc, proxy, api, gate)
