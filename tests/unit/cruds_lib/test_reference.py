"""The documented API, name by name and default by default: what programs of today are written against."""

from __future__ import annotations

import inspect
import logging
from abc import ABC
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import urllib3

import cruds
from cruds.exception import OAuthAccessTokenError, OAuthStateError
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

NEEDED = inspect.Parameter.empty
CLIENT = {
    "host": NEEDED,
    "auth": None,
    "manager": None,
    "timeout": 300.0,
    "raise_status": True,
    "retries": 4,
    "backoff_factor": 0.9,
    "retry_status_codes": (504, 503, 502, 500, 429, 425, 408),
    "serialize": True,
    "verify_ssl": True,
}
OAUTH2 = {
    "url": NEEDED,
    "client_id": NEEDED,
    "client_secret": NEEDED,
    "scope": NEEDED,
    "authorization_details": None,
    "username": None,
    "password": None,
    "encryption_key": None,
    "authorization_url": None,
    "redirect_uri": None,
    "state_length": 32,
}
DOCUMENTED: list[tuple[str, dict[str, Any]]] = [
    ("cruds.Client", CLIENT),
    ("cruds.core.Client", CLIENT),
    ("cruds.core.Client.create", {"uri": NEEDED, "data": NEEDED, "params": None, "files": None}),
    ("cruds.core.Client.read", {"uri": NEEDED, "params": None}),
    ("cruds.core.Client.update", {"uri": NEEDED, "data": NEEDED, "params": None, "replace": False, "files": None}),
    ("cruds.core.Client.delete", {"uri": NEEDED, "params": None}),
    ("cruds.core.Client.download", {"uri": NEEDED, "path": None, "filename": None, "params": None}),
    ("cruds.core.AuthABC", {}),
    ("cruds.core.AuthABC.access_token", {}),
    ("cruds.core.AuthABC.is_valid", {}),
    ("cruds.auth.OAuth2", OAUTH2),
    ("cruds.auth.OAuth2.access_token", {}),
    ("cruds.auth.OAuth2.is_valid", {}),
    ("cruds.auth.OAuth2.clear_state", {}),
    ("cruds.auth.OAuth2.exchange_code_for_token", {"authorization_code": NEEDED, "state": NEEDED}),
    ("cruds.auth.OAuth2.get_authorization_url", {"additional_params": None}),
    ("cruds.auth.OAuth2.parse_authorization_response", {"redirect_url": NEEDED}),
    ("cruds.interface.ModelFactory", {"docstring": NEEDED, "uri": NEEDED, "methods": NEEDED}),
    ("cruds.interface.load_config", {"file_name": NEEDED}),
]


def found(dotted: str) -> Any:
    module, name = dotted.rsplit(".", 1)
    try:
        return getattr(import_module(module), name)
    except ModuleNotFoundError:
        return getattr(found(module), name)


@pytest.mark.parametrize(("dotted", "documented"), DOCUMENTED, ids=[name for name, _ in DOCUMENTED])
def test_a_documented_name_takes_the_documented_parameters_and_ours_only_by_keyword(
    dotted: str, documented: dict[str, Any]
) -> None:
    """In their order, with their defaults; a program that passes them by position goes on working."""
    parameters = [one for one in inspect.signature(found(dotted)).parameters.values() if one.name != "self"]
    given = [one for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert {one.name: one.default for one in given} == documented
    assert [one.name for one in given] == list(documented)
    ours = [one for one in parameters if one not in given]
    assert all(one.kind in {one.KEYWORD_ONLY, one.VAR_KEYWORD} for one in ours)
    assert all(one.default is not NEEDED for one in ours if one.kind is one.KEYWORD_ONLY)


def test_the_documented_classes_are_related_as_documented() -> None:
    assert issubclass(cruds.core.AuthABC, ABC)
    assert cruds.core.AuthABC.__abstractmethods__ == {"access_token", "is_valid"}
    assert issubclass(cruds.auth.OAuth2, cruds.core.AuthABC)
    assert issubclass(OAuthAccessTokenError, Exception)
    assert issubclass(OAuthStateError, Exception)


def test_a_client_shows_the_documented_attributes() -> None:
    """Programs of today read and change them."""
    with urllib3.PoolManager() as manager, cruds.Client("https://h.example/v1/", "t", manager) as client:
        client.status_ignore.add(409)
        client.request_headers["X-Tenant"] = "7"
        assert client.status_ignore == {409}
        assert client.request_headers["Authorization"] == "Bearer t"
        assert client.manager is manager
        assert client.host == "https://h.example/v1"
    with (
        urllib3.ProxyManager("http://p.example:1") as proxy,
        cruds.Client("https://h.example", manager=proxy) as client,
    ):
        assert client.manager is proxy


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500])
def test_an_error_is_urllib3s_and_names_its_status(server: ScriptedServer, status: int) -> None:
    """K04: as programs of today catch it and read it."""
    server.script(json_reply({}, status))
    with (
        cruds.Client(server.url, retries=0) as client,
        pytest.raises(urllib3.exceptions.HTTPError, match=f"status code {status}"),
    ):
        client.read("x")


def test_a_client_may_be_subclassed_with_a_host_of_its_own(server: ScriptedServer) -> None:
    """The user guide's way to make an SDK."""

    class Facts(cruds.Client):
        def __init__(self, **options: Any) -> None:
            super().__init__(server.url, **options)

        @property
        def fact(self) -> Any:
            return self.read("fact").get("fact")

    server.script(json_reply({"fact": "Cats sleep."}))
    with Facts(timeout=5) as facts:
        assert facts.fact == "Cats sleep."


def test_the_library_logs_nothing_itself(server: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    """K23: no query, no body, no credential, at any level; urllib3's own loggers are the program's to silence."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="urllib3")
    server.script(json_reply({"answer": "secret"}), Reply(close=True), Reply(503), json_reply({"why": "secret"}, 404))
    with cruds.Client(server.url, auth="secret", cookies=True, backoff_factor=0) as client:
        client.create("x?key=secret", {"pin": "secret"})
        with pytest.raises(urllib3.exceptions.HTTPError) as caught:
            client.read("x", {"key": "secret"})
    assert "secret" not in str(caught.value)
    assert [record for record in caplog.records if record.name.startswith("cruds")] == []
    assert "secret" not in caplog.text


def test_type_checkers_of_programs_see_our_hints() -> None:
    """K32."""
    assert files("cruds").joinpath("py.typed").is_file()


def test_importing_the_client_does_not_pay_for_interfaces() -> None:
    """YAML is read only where a file is loaded."""
    package = Path(cruds.__file__).parent
    importers = {file.name for file in package.rglob("*.py") if "import yaml" in file.read_text()}
    assert importers == {"interface_files.py"}
    assert "interface" not in (package / "__init__.py").read_text()
