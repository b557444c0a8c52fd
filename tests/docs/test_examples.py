"""The library's pages are true: their examples give what they say, and they name what there is."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cruds
import cruds.exception
import cruds.retries
from tests.docs.examples import Example, blocks
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving

PAGES = sorted((Path(__file__).parents[2] / "docs" / "library").glob("*.md"))


@pytest.fixture(autouse=True)
def this_machine_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between the examples and their server, and no waiting before a retry."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(cruds.retries, "_BACKOFF_LIMIT_S", 0.0)


@pytest.fixture
def api() -> Iterator[ScriptedServer]:
    with serving() as server:
        yield server


@pytest.fixture
def login() -> Iterator[ScriptedServer]:
    with serving() as server:
        yield server


@pytest.mark.filterwarnings("ignore:the password grant:DeprecationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_give_what_the_page_says(
    page: Path, api: ScriptedServer, login: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict[str, Any] = {
        "__name__": "example",
        "server": api,
        "login_server": login,
        "Reply": Reply,
        "json": json,
        "json_reply": json_reply,
    }

    kept = Example(page, names, {"https://api.example.com": api.url, "https://login.example.com": login.url}).run()

    assert kept


def test_each_page_shows_something() -> None:
    assert [page.name for page in PAGES if not any(not block.is_hidden for block in blocks(page.read_text()))] == []


def test_a_page_that_lies_is_found_out(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n```python\nx = 1\nx + 1  # → 3\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:5: it gives 2, the page says 3"):
        Example(page, {}, {}).run()


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("for x in ():\n    x  # → 1\n", "not reached"),
        ("def f():  # → 1\n    pass\n", "about no value"),
        ("1  # → raises ValueError\n", "it gives 1"),
    ],
)
def test_a_promise_that_nobody_keeps_is_found_out(tmp_path: Path, code: str, complaint: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```python\n{code}```\n")
    with pytest.raises(AssertionError, match=complaint):
        Example(page, {}, {}).run()


def words() -> set[str]:
    return set(re.findall(r"\w+", "\n".join(page.read_text() for page in PAGES)))


@pytest.mark.parametrize("of", [cruds.Client, cruds.OAuth2], ids=lambda of: of.__name__)
def test_every_setting_is_on_a_page(of: type) -> None:
    assert [name for name in inspect.signature(of).parameters if name not in words()] == []


def test_every_error_is_on_a_page() -> None:
    errors = [
        name
        for name, one in vars(cruds.exception).items()
        if isinstance(one, type) and issubclass(one, cruds.exception.CrudsError)
    ]

    assert len(errors) > 10
    assert [name for name in errors if name not in words()] == []


@pytest.mark.parametrize("of", [cruds.PageType, cruds.EndReason, cruds.exception.OAuthErrorKind])
def test_every_word_of_a_list_is_on_a_page(of: type[cruds.PageType]) -> None:
    assert [str(one) for one in of if str(one) not in words()] == []


def test_every_public_method_of_the_client_is_on_a_page() -> None:
    public = [name for name in vars(cruds.Client) if not name.startswith("_")]

    assert public
    assert [name for name in public if name not in words()] == []
