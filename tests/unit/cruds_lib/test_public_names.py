"""What can be imported, and from where."""

from __future__ import annotations

import inspect

import cruds
import cruds.auth
import cruds.core
import cruds.exception


def test_the_table_of_contents_is_sorted_and_true() -> None:
    assert sorted(cruds.__all__) == sorted(set(cruds.__all__))
    assert all(hasattr(cruds, name) for name in cruds.__all__)


def test_the_references_import_paths_hold() -> None:
    assert cruds.core.Client is cruds.Client
    assert cruds.core.AuthABC is cruds.AuthABC
    assert cruds.auth.OAuth2 is cruds.OAuth2
    assert issubclass(cruds.OAuth2, cruds.core.AuthABC)
    assert issubclass(cruds.exception.OAuthStateError, Exception)


def positional(what: object) -> list[tuple[str, object]]:
    assert callable(what)
    parameters = inspect.signature(what).parameters.values()
    return [(one.name, one.default) for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]


def test_the_client_takes_the_references_parameters() -> None:
    empty = inspect.Parameter.empty
    assert positional(cruds.Client) == [
        ("host", empty),
        ("auth", None),
        ("manager", None),
        ("timeout", 300.0),
        ("raise_status", True),
        ("retries", 4),
        ("backoff_factor", 0.9),
        ("retry_status_codes", (504, 503, 502, 500, 429, 425, 408)),
        ("serialize", True),
        ("verify_ssl", True),
    ]
    assert [name for name, _ in positional(cruds.Client.create)] == ["self", "uri", "data", "params", "files"]
    assert [name for name, _ in positional(cruds.Client.update)] == [
        "self",
        "uri",
        "data",
        "params",
        "replace",
        "files",
    ]
    assert [name for name, _ in positional(cruds.Client.read)] == ["self", "uri", "params"]
    assert [name for name, _ in positional(cruds.Client.delete)] == ["self", "uri", "params"]


def test_oauth2_takes_the_references_parameters() -> None:
    empty = inspect.Parameter.empty
    assert positional(cruds.OAuth2) == [
        ("url", empty),
        ("client_id", empty),
        ("client_secret", empty),
        ("scope", empty),
        ("authorization_details", None),
        ("username", None),
        ("password", None),
        ("encryption_key", None),
        ("authorization_url", None),
        ("redirect_uri", None),
        ("state_length", 32),
    ]
