"""A token that was saved or loaded is known to what blots out secrets, the refresh token too."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cruds.oauth2.store import MemoryTokenStore, TokenState
from daemon.endpoints.blot import Blotter
from daemon.endpoints.noted_tokens import NotedTokens
from daemon.redaction import BLOT, KNOWN, redact_text

NOW = datetime(2026, 3, 1, tzinfo=UTC)
STATE = TokenState("an-access-token-1", "a-refresh-token-1", "Bearer", NOW, NOW, None, "client_credentials")


@pytest.mark.parametrize("how", ["save", "load"])
def test_tokens_that_pass_the_store_are_known(how: str) -> None:
    kept, blot = MemoryTokenStore(), Blotter()
    tokens = NotedTokens(kept, blot)

    if how == "save":
        assert tokens.save("api", STATE, expected_version=0)
    else:
        assert kept.save("api", STATE, expected_version=0)
        assert tokens.load("api") is not None

    assert blot("a-refresh-token-1 and an-access-token-1") == "… and …"
    assert redact_text("a-refresh-token-1") == BLOT


def test_it_is_the_store_behind_it_otherwise() -> None:
    kept = MemoryTokenStore()
    tokens = NotedTokens(kept, Blotter())

    assert tokens.load("api") is None
    assert tokens.save("api", STATE, expected_version=0)
    assert not tokens.save("api", STATE, expected_version=0)
    with tokens.lease("api", seconds=9) as mine, kept.lease("api", seconds=9) as theirs:
        assert (mine, theirs) == (True, False)
    tokens.clear("api")
    assert kept.load("api") is None


def test_why_a_session_is_over_is_kept_without_the_token_that_the_server_quotes() -> None:
    kept = MemoryTokenStore()
    tokens = NotedTokens(kept, Blotter())
    tokens.save("api", STATE, expected_version=0)

    because = "the token endpoint answered with invalid_grant: no session of a-refresh-token-1"
    over = replace(STATE, access_token="", refresh_token=None, over_since=NOW, over_because=because)
    tokens.save("api", over, expected_version=1)

    state = kept.load("api")
    assert state is not None
    assert state.over_because == "the token endpoint answered with invalid_grant: no session of …"


def test_a_state_without_tokens_hides_nothing() -> None:
    tokens = NotedTokens(MemoryTokenStore(), Blotter())
    tokens.save("api", TokenState("", None, "Bearer", NOW, NOW, None, "x"), expected_version=0)

    assert redact_text("it is open") == "it is open"
    assert not KNOWN.holds("")
