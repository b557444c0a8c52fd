"""Each test gets a folder, an API and a target of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.scripted import serving
from tests.integration.credentials.office import Office, OidcOffice, oidc_office
from tests.servers.oidc import Oidc


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with serving() as api, serving() as target:
        yield Office(tmp_path, api, target)


@pytest.fixture
def guarded(oidc: Oidc, tmp_path: Path) -> Iterator[OidcOffice]:
    with oidc_office(oidc, tmp_path) as one:
        yield one
