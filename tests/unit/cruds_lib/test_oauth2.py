"""A session that keeps itself alive, against a scripted token endpoint."""

from __future__ import annotations

import itertools
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from cruds import Client, OAuth2
from cruds.exception import (
    AnswerLostError,
    ClientStoppedError,
    InsecureError,
    OAuthAccessTokenError,
    OAuthErrorKind,
    ReauthorizationRequiredError,
    TokenStateError,
)
from cruds.oauth2.store import MemoryTokenStore, TokenState
from cruds.oauth2.token import login_needed
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

from .conftest import Waits
from .oauth2_rig import Time, store, time

__all__ = ["store", "time"]

OK = json_reply({"ok": True})


@pytest.fixture
def auth_of(server: ScriptedServer, time: Time, store: MemoryTokenStore, waits: Waits) -> Callable[..., OAuth2]:
    def make(**options: Any) -> OAuth2:
        settings: dict[str, Any] = {
            "scope": None,
            "store": store,
            "clock": time.clock,
            "monotonic": time.monotonic,
            "stop": waits,
        } | options
        return OAuth2(server.url + "/token", "id", "secret", **settings)

    return make


def grant(name: str, **more: Any) -> Reply:
    return json_reply({"access_token": name, "token_type": "Bearer", "expires_in": 3600} | more)


def refusal(error: str, status: int = 400) -> Reply:
    return json_reply({"error": error}, status)


def grants(server: ScriptedServer) -> list[str]:
    return [seen.form["grant_type"] for seen in server.journal]


@pytest.fixture
def password_warning() -> Iterator[None]:
    with pytest.warns(DeprecationWarning, match="password grant"):
        yield


# ---- getting a token ----


def test_nothing_is_sent_before_a_token_is_needed(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    """O27: a token endpoint that is down does not keep a program from starting."""
    auth = auth_of()
    with Client(server.url, auth=auth):
        pass
    assert not auth.is_valid()
    assert server.journal == []


def test_a_token_is_got_once_and_used_until_its_leeway(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time
) -> None:
    """O08: an hour's token is renewed half a minute before its end."""
    server.script(grant("one"), grant("two"))
    auth = auth_of()
    assert auth.access_token() == "one"
    time.pass_by(3560)
    assert auth.access_token() == "one"
    assert auth.is_valid()
    time.pass_by(15)
    assert auth.access_token() == "two"
    assert grants(server) == ["client_credentials"] * 2


def test_a_short_life_does_not_mean_a_request_for_each_call(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time
) -> None:
    """O08: tokens of ten seconds are used for nearly nine."""
    server.script(grant("one", expires_in=10), grant("two", expires_in=10))
    auth = auth_of()
    assert auth.access_token() == "one"
    time.pass_by(8)
    assert auth.access_token() == "one"
    time.pass_by(1.5)
    assert auth.access_token() == "two"


def test_a_wall_clock_that_is_set_back_does_not_keep_a_token_alive(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time
) -> None:
    """O15."""
    server.script(grant("one"), grant("two"))
    auth = auth_of()
    auth.access_token()
    time.pass_by(3600)
    time.wall -= timedelta(hours=5)
    assert not auth.is_valid()
    assert auth.access_token() == "two"


@pytest.mark.parametrize("default", [None, 100.0])
def test_a_token_of_unknown_life_gets_the_default_or_lives_until_rejected(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, default: float | None
) -> None:
    """O09, O34."""
    server.script(grant("one", expires_in=None), grant("two", expires_in=None))
    auth = auth_of(default_expires_in=default)
    auth.access_token()
    time.pass_by(10**6)
    assert auth.access_token() == ("one" if default is None else "two")


def test_a_token_without_life_is_still_never_empty(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    """O08."""
    server.script(grant("one", expires_in=0), grant("two", expires_in=0))
    auth = auth_of()
    assert [auth.access_token(), auth.access_token()] == ["one", "two"]


def test_the_granted_scope_can_be_compared(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    """O34."""
    server.script(grant("one", scope="read"))
    auth = auth_of(scope="read write")
    auth.access_token()
    assert auth.granted_scope == "read"


def test_sixteen_threads_ask_once(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    """O26."""
    server.script(grant("one"))
    auth = auth_of()
    start = threading.Barrier(16)
    tokens: list[str] = []

    def ask() -> None:
        start.wait()
        tokens.append(auth.access_token())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tokens == ["one"] * 16
    assert len(server.journal) == 1


# ---- renewing it ----


def test_a_refresh_token_is_kept_when_the_answer_gives_none(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, store: MemoryTokenStore
) -> None:
    """O03: RFC 6749 section 6."""
    server.script(grant("one", refresh_token="r1", scope="a"), grant("two"), grant("three", refresh_token="r3"))
    auth = auth_of()
    for expected in ("one", "two", "three"):
        assert auth.access_token() == expected
        time.pass_by(3600)
    assert [seen.form.get("refresh_token") for seen in server.journal] == [None, "r1", "r1"]
    assert server.journal[1].headers["authorization"] == server.journal[0].headers["authorization"]
    kept = store.load("")
    assert kept is not None
    assert (kept.refresh_token, kept.scope, kept.version) == ("r3", "a", 3)


@pytest.mark.parametrize("broken", [Reply(200, {}, b"<html>"), json_reply({"access_token": ""}), json_reply([])])
def test_a_bad_answer_does_not_destroy_the_session(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, store: MemoryTokenStore, broken: Reply
) -> None:
    """O13: validate first, then replace in one step."""
    server.script(grant("one", refresh_token="r1"), broken, grant("two"))
    auth = auth_of()
    auth.access_token()
    before = store.load("")
    time.pass_by(3600)
    with pytest.raises(OAuthAccessTokenError):
        auth.access_token()
    assert store.load("") == before
    assert auth.access_token() == "two"
    assert server.journal[2].form["refresh_token"] == "r1"


def test_a_refused_refresh_falls_back_to_the_grant_that_made_the_session(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time
) -> None:
    """O14: invalid_grant is not the end of a client's own session."""
    server.script(grant("one", refresh_token="r1"), refusal("invalid_grant"), grant("two"))
    auth = auth_of()
    auth.access_token()
    time.pass_by(3600)
    assert auth.access_token() == "two"
    assert grants(server) == ["client_credentials", "refresh_token", "client_credentials"]


@pytest.mark.usefixtures("password_warning")
def test_a_password_session_falls_back_to_the_password(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time
) -> None:
    """O04, O14: and not to the client's own credentials, which are another principal."""
    server.script(grant("one", refresh_token="r1"), refusal("invalid_grant"), grant("two"))
    auth = auth_of(username="ada", password="lovelace")
    auth.access_token()
    time.pass_by(3600)
    auth.access_token()
    assert grants(server) == ["password", "refresh_token", "password"]
    assert server.journal[0].form["username"] == "ada"


def test_a_refused_refresh_is_believed_only_after_the_store_was_read_again(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, store: MemoryTokenStore
) -> None:
    """O14: another process has rotated the token meanwhile; its token is used and nobody logs in again."""
    auth = auth_of()

    def rotate() -> None:
        state = store.load("")
        assert state is not None
        newer = replace(
            state,
            access_token="theirs",
            refresh_token="r2",
            obtained_at=time.wall,
            expires_at=time.wall + timedelta(hours=1),
        )
        assert store.save("", newer, expected_version=state.version)

    server.script(grant("one", refresh_token="r1"), replace(refusal("invalid_grant"), before=rotate))
    auth.access_token()
    time.pass_by(3600)
    assert auth.access_token() == "theirs"
    assert len(server.journal) == 2


def interactive(store: MemoryTokenStore, time: Time, refresh_token: str | None, life: float = 0) -> None:
    ends = time.wall + timedelta(seconds=life)
    state = TokenState("one", refresh_token, "Bearer", ends, time.wall, None, "authorization_code")
    assert store.save("", state, expected_version=0)


LOGIN = {"authorization_url": "https://login.example/authorize", "redirect_uri": "http://127.0.0.1/cb"}


def test_a_persons_session_never_becomes_the_clients_own(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, store: MemoryTokenStore
) -> None:
    """O04: another principal sees other data."""
    with pytest.raises(ReauthorizationRequiredError):
        auth_of(**LOGIN).access_token()
    interactive(store, time, None)
    with pytest.raises(ReauthorizationRequiredError):
        auth_of(**LOGIN).access_token()
    assert server.journal == []


def test_a_persons_session_that_is_over_is_asked_about_once(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, store: MemoryTokenStore
) -> None:
    """O14: reauthorize, without hammering."""
    interactive(store, time, "r1")
    server.route("/token", refusal("invalid_grant"))
    auth = auth_of(**LOGIN)
    for _ in range(3):
        with pytest.raises(ReauthorizationRequiredError) as caught:
            auth.access_token()
        assert caught.value.kind is OAuthErrorKind.REAUTHORIZE
    assert grants(server) == ["refresh_token"]


def test_a_persons_session_is_renewed(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, store: MemoryTokenStore
) -> None:
    interactive(store, time, "r1")
    server.script(grant("two"))
    assert auth_of(**LOGIN).access_token() == "two"
    kept = store.load("")
    assert kept is not None
    assert (kept.grant, kept.refresh_token) == ("authorization_code", "r1")


def test_a_stored_session_of_another_principal_is_not_used(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, store: MemoryTokenStore
) -> None:
    """O04: the other way round."""
    interactive(store, time, "r1", life=3600)
    server.script(grant("own"))
    assert auth_of().access_token() == "own"
    assert grants(server) == ["client_credentials"]


def test_a_token_that_still_lives_outlasts_an_endpoint_that_is_down(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time
) -> None:
    """The leeway is for this."""
    server.script(grant("one"), *[Reply(503)] * 4, grant("two"))
    auth = auth_of()
    auth.access_token()
    time.pass_by(3580)
    assert [auth.access_token() for _ in range(3)] == ["one"] * 3
    assert len(server.journal) == 5
    time.pass_by(6)
    assert auth.access_token() == "two"


# ---- rejected tokens ----


def test_a_rejected_token_is_renewed_and_the_request_repeated(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], client_of: Callable[..., Client]
) -> None:
    """O07, through the whole library."""
    server.route("/token", grant("old"), grant("new"))
    server.route("/x", Reply(401), OK)
    assert client_of(server, auth=auth_of()).read("x") == {"ok": True}
    assert [seen.headers["authorization"] for seen in server.journal if seen.path == "/x"] == [
        "Bearer old",
        "Bearer new",
    ]


def test_a_late_rejection_does_not_throw_away_the_new_token(
    server: ScriptedServer, auth_of: Callable[..., OAuth2]
) -> None:
    """O07: compare and clear."""
    server.script(grant("old"), grant("new"))
    auth = auth_of()
    auth.access_token()
    assert [auth.renew("old"), auth.renew("old"), auth.renew("older")] == ["new"] * 3
    assert len(server.journal) == 2


def test_a_rejection_uses_what_another_process_got(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], store: MemoryTokenStore
) -> None:
    """O07, section 3.3: across processes too."""
    server.script(grant("old"), grant("new"))
    here, there = auth_of(), auth_of()
    assert [here.access_token(), there.access_token()] == ["old", "old"]
    assert there.renew("old") == "new"
    assert here.renew("old") == "new"
    assert len(server.journal) == 2


def test_many_rejections_of_one_token_cause_one_renewal(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    """O07, O26."""
    server.script(grant("old"), grant("new"))
    auth = auth_of()
    auth.access_token()
    tokens: list[str] = []
    threads = [threading.Thread(target=lambda: tokens.append(auth.renew("old"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tokens == ["new"] * 8
    assert len(server.journal) == 2


def test_an_endpoint_that_gives_the_rejected_token_again_is_not_asked_for_ever(
    server: ScriptedServer, auth_of: Callable[..., OAuth2]
) -> None:
    """O07."""
    server.route("/token", grant("same"))
    auth = auth_of()
    auth.access_token()
    assert auth.renew("same") == "same"
    assert len(server.journal) <= 3


# ---- the store ----


def test_a_restart_needs_no_new_token(server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time) -> None:
    """C06: the state is loaded at first use."""
    server.script(grant("one"))
    auth_of().access_token()
    time.pass_by(1800)
    again = auth_of()
    assert again.is_valid()
    assert again.access_token() == "one"
    assert len(server.journal) == 1


def test_profiles_have_sessions_of_their_own(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    server.script(grant("one"), grant("two"))
    assert [auth_of(profile="a").access_token(), auth_of(profile="b").access_token()] == ["one", "two"]


class Unopenable(MemoryTokenStore):
    def load(self, profile: str) -> TokenState | None:
        raise TokenStateError(f"the token state of {profile!r} cannot be opened")


def test_a_state_that_cannot_be_opened_is_an_error_and_no_new_login(
    server: ScriptedServer, auth_of: Callable[..., OAuth2]
) -> None:
    """C07."""
    with pytest.raises(TokenStateError):
        auth_of(store=Unopenable()).access_token()
    assert server.journal == []


class Overtaken(MemoryTokenStore):
    """Somebody else saves first, once."""

    def save(self, profile: str, state: TokenState, *, expected_version: int) -> bool:
        if expected_version == 0:
            super().save(profile, replace(state, access_token="theirs"), expected_version=0)
        return super().save(profile, state, expected_version=expected_version)


def test_a_token_that_could_not_be_saved_is_not_used(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    """Section 3.3, step 4: saved before first use; whoever saved first is followed."""
    server.script(grant("ours"))
    assert auth_of(store=Overtaken()).access_token() == "theirs"


class Failing(MemoryTokenStore):
    def save(self, profile: str, state: TokenState, *, expected_version: int) -> bool:
        raise OSError("disk full")


def test_a_token_that_cannot_be_kept_is_not_handed_out(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    server.script(grant("ours"))
    with pytest.raises(OSError, match="disk full"):
        auth_of(store=Failing()).access_token()


class Leased(MemoryTokenStore):
    """Another process holds the lease, and finishes when it was asked `until` times."""

    def __init__(self, until: int, token: str) -> None:
        super().__init__()
        self.asked, self._until, self._token = 0, until, token

    @contextmanager
    def lease(self, profile: str, *, seconds: float) -> Iterator[bool]:
        self.asked += 1
        if self.asked == self._until:
            state = self.load(profile)
            now = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
            new = TokenState(self._token, None, "Bearer", now + timedelta(hours=1), now, None, "client_credentials")
            self.save(profile, new, expected_version=0 if state is None else state.version)
        yield False


def test_who_has_no_lease_waits_for_the_token_of_who_has_it(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, waits: Waits
) -> None:
    """O26: across processes, section 3.3 step 5."""
    time.pass_by(3600)
    assert auth_of(store=Leased(3, "theirs")).access_token() == "theirs"
    assert len(waits.waits) == 3
    assert all(0.02 <= one <= 0.08 for one in waits.waits)
    assert server.journal == []


def test_who_has_no_lease_goes_on_with_a_token_that_still_lives(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, store: MemoryTokenStore
) -> None:
    """O26, section 3.3 step 5."""
    server.script(grant("one"))
    auth = auth_of()
    auth.access_token()
    time.pass_by(3590)
    with store.lease("", seconds=60):
        assert auth.access_token() == "one"
    assert len(server.journal) == 1


def test_a_holder_who_never_finishes_is_not_waited_for_without_end(
    auth_of: Callable[..., OAuth2], time: Time, waits: Waits
) -> None:
    """O16."""
    ticks = itertools.count(0.0, 0.01)
    auth = auth_of(store=Leased(-1, ""), timeout=1.0, monotonic=lambda: next(ticks))
    with pytest.raises(OAuthAccessTokenError, match="another process") as caught:
        auth.access_token()
    assert caught.value.kind is OAuthErrorKind.TEMPORARY


def test_waiting_for_a_token_ends_with_a_stop(auth_of: Callable[..., OAuth2], waits: Waits) -> None:
    waits.stops_after = 1
    with pytest.raises(ClientStoppedError):
        auth_of(store=Leased(-1, "")).access_token()


def test_a_cleared_session_is_gone_here_and_in_the_store(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], store: MemoryTokenStore
) -> None:
    """C06, O33."""
    server.script(grant("one"))
    auth = auth_of()
    auth.access_token()
    auth.clear_state()
    assert not auth.is_valid()
    assert store.load("") is None


# ---- the endpoint ----


@pytest.mark.parametrize(
    "trouble", [Reply(429, {"Retry-After": "2"}), Reply(502), Reply(503), Reply(504), Reply(close=True)]
)
def test_a_token_endpoint_in_trouble_is_asked_again(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], waits: Waits, trouble: Reply
) -> None:
    """O17."""
    server.script(trouble, grant("one"))
    assert auth_of().access_token() == "one"
    assert len(waits.waits) == 1
    if trouble.status == 429:
        assert waits.waits == [2.0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
def test_a_refusal_is_not_repeated(server: ScriptedServer, auth_of: Callable[..., OAuth2], status: int) -> None:
    """O17."""
    server.script(refusal("invalid_client", status), grant("one"))
    with pytest.raises(OAuthAccessTokenError) as caught:
        auth_of().access_token()
    assert caught.value.status == status
    assert len(server.journal) == 1


def test_a_long_wait_is_told(server: ScriptedServer, auth_of: Callable[..., OAuth2], waits: Waits) -> None:
    server.script(Reply(429, {"Retry-After": "900"}))
    with pytest.raises(OAuthAccessTokenError) as caught:
        auth_of().access_token()
    assert (caught.value.retry_after, caught.value.kind) == (900.0, OAuthErrorKind.TEMPORARY)
    assert waits.waits == []


def test_a_silent_token_endpoint_is_left_in_time(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    """O16."""
    server.route("/token", Reply(hang=True))
    with pytest.raises(OAuthAccessTokenError, match="no answer") as caught:
        auth_of(timeout=0.2).access_token()
    assert caught.value.kind is OAuthErrorKind.TEMPORARY
    assert caught.value.status is None


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_with_the_secret(
    server: ScriptedServer, other_server: ScriptedServer, auth_of: Callable[..., OAuth2], status: int
) -> None:
    """RFC 9700: standards row 5."""
    server.script(Reply(status, {"Location": other_server.url}))
    with pytest.raises(OAuthAccessTokenError, match=f"status code {status}"):
        auth_of().access_token()
    assert other_server.journal == []


def test_the_token_endpoint_is_verified_and_takes_the_same_settings(
    tls_server: ScriptedServer, certificate: Path
) -> None:
    """O18."""
    tls_server.script(grant("one"))
    url = tls_server.url + "/token"
    with pytest.raises(OAuthAccessTokenError) as caught:
        OAuth2(url, "id", "secret", None).access_token()
    assert caught.value.kind is OAuthErrorKind.CONFIGURATION
    assert OAuth2(url, "id", "secret", None, ca_file=str(certificate)).access_token() == "one"


def test_a_token_url_may_have_a_query_and_the_form_no_secret_in_it(server: ScriptedServer, waits: Waits) -> None:
    """Standards row 3: credentials never stand in the URL."""
    server.script(grant("one"))
    OAuth2(server.url + "/token?p=policy", "i:d", "s e", ["a", "b"], {"type": "t"}, stop=waits).access_token()
    seen = server.journal[0]
    assert (seen.method, seen.target) == ("POST", "/token?p=policy")
    assert b64decode(seen.headers["authorization"].removeprefix("Basic ")) == b"i%3Ad:s+e"
    assert seen.form == {
        "grant_type": "client_credentials",
        "scope": "a b",
        "authorization_details": '[{"type":"t"}]',
    }


def test_an_error_of_the_endpoint_shows_no_secret(server: ScriptedServer, auth_of: Callable[..., OAuth2]) -> None:
    """C05, section 3.4."""
    server.script(grant("access-secret", refresh_token="refresh-secret"), Reply(close=True))
    auth = auth_of()
    auth.access_token()
    server.refuse()
    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.renew("access-secret")
    shown = str(caught.value) + repr(caught.value) + repr(auth)
    assert "secret" not in shown


def test_a_create_whose_answer_was_lost_is_not_blamed_on_the_token(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], client_of: Callable[..., Client], time: Time
) -> None:
    """K02: the first attempt may have created the record; that no token was to be had later does not undo it."""
    server.route("/token", grant("one"), refusal("invalid_client", 401))
    server.route("/x", Reply(close=True, before=lambda: time.pass_by(4000)))
    with pytest.raises(AnswerLostError) as caught:
        client_of(server, auth=auth_of()).create("x", {}, idempotency_key=("Idempotency-Key", "k"))
    assert isinstance(caught.value.__cause__, OAuthAccessTokenError)


# ---- configuration ----


@pytest.mark.parametrize("key", ["correct horse", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="])
def test_an_encryption_key_seals_what_the_built_in_store_keeps(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, key: str
) -> None:
    """C01, C03, C04: and the way of a request does not open it."""
    server.script(grant("one", refresh_token="r1"), grant("two"))
    auth = auth_of(store=None, encryption_key=key)
    assert auth.access_token() == "one"
    time.pass_by(3600)
    assert auth.access_token() == "two"
    assert server.journal[1].form["refresh_token"] == "r1"


@pytest.mark.parametrize("half", [{"username": "u"}, {"password": "p"}])
def test_half_a_credential_is_a_mistake(auth_of: Callable[..., OAuth2], half: dict[str, str]) -> None:
    """O28."""
    with pytest.raises(ValueError, match="go together"):
        auth_of(**half)


@pytest.mark.parametrize(
    "options",
    [
        {"client_auth": "basik"},
        {"state_length": 8},
        {"encryption_key": "", "store": None},
        {"encryption_key": "with a store that seals for itself"},
        {"extra_params": {"scope": "x"}},
    ],
)
def test_settings_that_cannot_work_are_refused(auth_of: Callable[..., OAuth2], options: dict[str, Any]) -> None:
    """O22, O23."""
    with pytest.raises(ValueError, match=r"basik|state_length|encryption_key|extra_params"):
        auth_of(**options)


def test_secrets_do_not_travel_in_the_clear() -> None:
    """O29: neither to the token endpoint nor through a browser."""
    with pytest.raises(InsecureError):
        OAuth2("http://login.example/token", "id", "secret", None)
    with pytest.raises(InsecureError):
        OAuth2("https://login.example/token", "id", "s", None, authorization_url="http://login.example/a")
    OAuth2("http://login.example/token", "id", "secret", None, allow_insecure=True)


@pytest.mark.parametrize("url", ["https://u:secret@h.example/token", "https://h.example/token#x"])
def test_a_token_url_holds_no_credentials_and_no_fragment(url: str) -> None:
    with pytest.raises(ValueError, match="no fragment") as caught:
        OAuth2(url, "id", "s", None)
    assert "secret" not in str(caught.value)


def test_a_valid_token_costs_next_to_nothing(server: ScriptedServer) -> None:
    """C04: no key derivation, no lock, no store on the way of a request; the budget is 50 us."""
    server.script(grant("one"))
    auth = OAuth2(server.url + "/token", "id", "secret", None)
    auth.access_token()
    began = perf_counter()
    for _ in range(5000):
        auth.access_token()
    assert (perf_counter() - began) / 5000 < 50e-6


# ---- a server that is down ----

DOWN = Reply(503)
TRIES = 4
"""What one renewal asks before it gives up."""


def test_a_server_that_is_down_in_the_middle_is_waited_for(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, waits: Waits
) -> None:
    told: list[tuple[float, int | None]] = []
    auth = auth_of(patience=300.0, on_wait=lambda wait, error: told.append((wait, error.status)))
    server.script(grant("one"), *[DOWN] * (2 * TRIES), grant("two"))
    auth.access_token()
    time.pass_by(3600)
    assert auth.access_token() == "two"
    assert [status for _, status in told] == [503, 503]
    assert 0.5 <= told[0][0] <= 1.0 <= told[1][0] <= 2.0
    assert all(wait in waits.waits for wait, _ in told)


def test_a_server_that_is_down_at_the_start_is_told_at_once(
    server: ScriptedServer, auth_of: Callable[..., OAuth2]
) -> None:
    server.script(*[DOWN] * TRIES)
    with pytest.raises(OAuthAccessTokenError):
        auth_of(patience=300.0).access_token()
    assert len(server.journal) == TRIES


def test_patience_has_an_end(server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time) -> None:
    def wait(seconds: float, error: OAuthAccessTokenError) -> None:
        time.pass_by(seconds)

    auth = auth_of(patience=4.0, on_wait=wait)
    server.script(grant("one"), *[DOWN] * 99)
    auth.access_token()
    time.pass_by(3600)
    before = time.ticks
    with pytest.raises(OAuthAccessTokenError) as caught:
        auth.access_token()
    assert caught.value.kind is OAuthErrorKind.TEMPORARY
    assert 0.5 <= time.ticks - before < 4.0


@pytest.mark.parametrize(
    "reply",
    [Reply(429, {"Retry-After": "301"}), refusal("invalid_client", 401)],
    ids=["it wants to be left alone for longer", "waiting does not help"],
)
def test_what_patience_does_not_help_is_told_at_once(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, reply: Reply
) -> None:
    auth = auth_of(patience=300.0)
    server.script(grant("one"), reply)
    auth.access_token()
    time.pass_by(3600)
    with pytest.raises(OAuthAccessTokenError):
        auth.access_token()
    assert len(server.journal) == 2


def test_patience_ends_with_a_stop(
    server: ScriptedServer, auth_of: Callable[..., OAuth2], time: Time, waits: Waits
) -> None:
    auth = auth_of(patience=300.0, on_wait=lambda _, __: setattr(waits, "stops_after", 0))
    server.script(grant("one"), *[DOWN] * TRIES)
    auth.access_token()
    time.pass_by(3600)
    with pytest.raises(ClientStoppedError, match="while the token endpoint was down"):
        auth.access_token()


# ---- what is known without asking ----


def test_whether_a_login_is_needed_is_told_by_the_kept_state_alone(time: Time) -> None:
    before = time.wall - timedelta(hours=1)
    good = TokenState("one", "r1", "Bearer", time.wall, before, None, "authorization_code")
    over = replace(good, over_since=time.wall, over_because="invalid_grant")
    assert login_needed(None, time.wall) == "nobody is logged in"
    assert login_needed(good, time.wall + timedelta(days=900)) is None
    assert login_needed(replace(good, refresh_token=None), time.wall - timedelta(seconds=1)) is None
    assert login_needed(replace(good, refresh_token=None, expires_at=None), time.wall) is None
    ended = login_needed(replace(good, refresh_token=None), time.wall)
    assert ended == "the session ended with its token at 2026-03-01 12:00:00 UTC; no refresh token was given"
    assert login_needed(over, time.wall) == "the session is over since 2026-03-01 12:00:00 UTC: invalid_grant"
