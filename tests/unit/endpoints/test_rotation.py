"""Secrets that the platform replaces: picked up without a restart, whatever a file looks like in the meantime."""

import base64
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cruds.auth import OAuth2
from cruds.exception import TokenStateError
from cruds.oauth2.store import MemoryTokenStore, TokenState
from daemon.endpoints.call import Call
from daemon.endpoints.exchange import Exchange
from daemon.endpoints.rotation import Papers, Stamp, WatchedSecret, file_stamp
from daemon.endpoints.sessions import RotatedOAuth2
from daemon.errors import AuthError, ConfigError
from daemon.spec import SecretRef
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving
from tests.unit.endpoints.rig import exchange

OK = json_reply({"ok": True})
READ = Call("GET", "x")
OLD, NEW = "the-old-s3cret", "the-new-s3cret"


class Told(list[tuple[str, str]]):
    """What was told of secrets: event and message."""

    def __call__(self, name: str, event: str, message: str) -> None:
        assert name == "api"
        self.append((event, message))

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self]


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving() as one:
        yield one


@pytest.fixture
def told() -> Told:
    return Told()


def put(path: Path, text: str, *, age_s: float = 10.0) -> Path:
    """Write a secret as if it had been there for a while."""
    path.write_text(f"{text}\n")
    then = path.stat().st_mtime_ns - int(age_s * 1e9)
    os.utime(path, ns=(then, then))
    return path


def overwrite(path: Path) -> None:
    """Replace a secret this very moment."""
    path.write_text(NEW)


KINDS: dict[str, tuple[dict[str, Any], Callable[[Any], str]]] = {
    "bearer": ({"type": "bearer", "token": None}, lambda seen: seen.headers["authorization"].removeprefix("Bearer ")),
    "basic": (
        {"type": "basic", "username": "me", "password": None},
        lambda seen: base64.b64decode(seen.headers["authorization"].removeprefix("Basic ")).decode()[3:],
    ),
    "header": ({"type": "header", "name": "X-Api-Key", "value": None}, lambda seen: seen.headers["x-api-key"]),
    "query": ({"type": "query", "name": "key", "value": None}, lambda seen: dict(seen.query)["key"]),
}
every_kind = pytest.mark.parametrize(("auth", "sent"), KINDS.values(), ids=KINDS.keys())


def with_file(auth: dict[str, Any], path: Path) -> dict[str, Any]:
    return {key: {"file": str(path)} if value is None else value for key, value in auth.items()}


@every_kind
def test_a_secret_that_is_replaced_is_sent_from_the_next_request_on(
    server: ScriptedServer, told: Told, tmp_path: Path, auth: dict[str, Any], sent: Callable[[Any], str]
) -> None:
    server.route("/x", OK)
    file = put(tmp_path / "secret", OLD)
    api = exchange(server.url, auth=with_file(auth, file), on_secret=told)

    api.send(READ)
    put(file, NEW)
    api.send(READ)

    assert list(map(sent, server.journal)) == [OLD, NEW]
    assert told.events == ["secret.reread"]
    assert api.blot(f"{OLD} and {NEW}") == "… and …"
    assert not any(OLD in text or NEW in text for _, text in told)


@every_kind
@pytest.mark.parametrize("moment", ["missing", "empty", "not text"])
def test_a_torn_moment_of_its_replacement_keeps_the_old_one_in_use(
    server: ScriptedServer,
    told: Told,
    tmp_path: Path,
    auth: dict[str, Any],
    sent: Callable[[Any], str],
    moment: str,
) -> None:
    server.route("/x", OK)
    file = put(tmp_path / "secret", OLD)
    api = exchange(server.url, auth=with_file(auth, file), on_secret=told)

    file.unlink()
    if moment != "missing":
        put(file, "" if moment == "empty" else "x")
        file.write_bytes(b"" if moment == "empty" else b"\xff\xfe")
        os.utime(file, ns=(0, 0))
    for _ in range(3):
        api.send(READ)
    put(file, NEW)
    api.send(READ)

    assert list(map(sent, server.journal)) == [OLD, OLD, OLD, NEW]
    assert told.events == ["secret.stale", "secret.reread"]


def test_a_secret_that_is_refused_is_read_again_at_once(server: ScriptedServer, told: Told, tmp_path: Path) -> None:
    """The file was replaced a moment ago, too short to be believed by itself; the 401 says that the old one is over."""
    file = put(tmp_path / "secret", OLD)
    server.script(Reply(401, before=partial(overwrite, file)), OK)
    api = exchange(server.url, auth=with_file(KINDS["bearer"][0], file), on_secret=told)

    api.send(READ)

    assert [seen.headers["authorization"] for seen in server.journal] == [f"Bearer {OLD}", f"Bearer {NEW}"]


def test_a_secret_that_is_refused_and_was_not_replaced_is_not_sent_again(
    server: ScriptedServer, tmp_path: Path
) -> None:
    server.script(Reply(401))
    file = put(tmp_path / "secret", OLD)

    with pytest.raises(AuthError):
        exchange(server.url, auth=with_file(KINDS["bearer"][0], file)).send(READ)

    assert len(server.journal) == 1


def test_a_new_secret_that_no_header_can_hold_is_told_and_not_sent(
    server: ScriptedServer, told: Told, tmp_path: Path
) -> None:
    server.route("/x", OK)
    file = put(tmp_path / "secret", OLD)
    api = exchange(server.url, auth=with_file(KINDS["header"][0], file), on_secret=told)

    put(file, f"{NEW}\nwith a second line")
    api.send(READ)

    assert server.journal[0].headers["x-api-key"] == OLD
    assert told.events == ["secret.reread", "secret.stale"]
    assert NEW not in told[-1][1]


def test_a_secret_that_is_not_there_at_the_start_is_an_error(server: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there"):
        exchange(server.url, auth=with_file(KINDS["bearer"][0], tmp_path / "absent"))


# ---- OAuth2: the token outlives the secret that it was bought with -----------------------------------------------


def token_client(
    server: ScriptedServer,
    told: Told,
    *,
    store: MemoryTokenStore | None = None,
    stop: threading.Event | None = None,
    **auth: Any,
) -> Exchange:
    oauth = {"type": "oauth2", "url": f"{server.url}/token", "client_id": "me", "client_auth": "post"}
    return exchange(server.url, auth=oauth | auth, on_secret=told, store=store, stop=stop)


def token(value: str, **more: str) -> Reply:
    return json_reply({"access_token": value, "token_type": "Bearer", "expires_in": 3600} | more)


class Hurried(threading.Event):
    """Ends no wait, and lets none last."""

    def wait(self, timeout: float | None = None) -> bool:
        del timeout
        return False


def test_a_changed_client_secret_does_not_cost_a_good_token(server: ScriptedServer, told: Told, tmp_path: Path) -> None:
    server.route("/x", OK, OK, Reply(401), OK)
    server.route("/token", token("t1"), token("t2"))
    file = put(tmp_path / "secret", OLD)
    api = token_client(server, told, client_secret={"file": str(file)})

    api.send(READ)
    put(file, NEW)
    api.send(READ)  # the token lives
    api.send(READ)  # the token is revoked: the next is asked for with the new secret

    asked = [seen.form["client_secret"] for seen in server.journal if seen.path == "/token"]
    used = [seen.headers["authorization"] for seen in server.journal if seen.path == "/x"]
    assert asked == [OLD, NEW]
    assert used == ["Bearer t1", "Bearer t1", "Bearer t1", "Bearer t2"]
    assert told.events == ["secret.reread"]
    assert api.blot(f"{OLD} {NEW} t1-and-t2").startswith("… …")


@pytest.mark.parametrize("error", ["invalid_client", "invalid_grant"])
def test_a_client_that_is_refused_looks_for_a_new_secret_before_it_gives_up(
    server: ScriptedServer, told: Told, tmp_path: Path, error: str
) -> None:
    server.route("/x", OK)
    file = put(tmp_path / "secret", OLD)
    refusal = json_reply({"error": error}, 401)
    server.route("/token", Reply(401, refusal.headers, refusal.body, before=partial(overwrite, file)), token("t1"))
    api = token_client(server, told, client_secret={"file": str(file)})

    api.send(READ)

    assert [seen.form["client_secret"] for seen in server.journal if seen.path == "/token"] == [OLD, NEW]


def test_a_client_that_is_refused_for_good_is_not_asked_for_again_and_again(
    server: ScriptedServer, told: Told, tmp_path: Path
) -> None:
    server.route("/token", json_reply({"error": "invalid_client"}, 401))
    api = token_client(server, told, client_secret={"file": str(put(tmp_path / "secret", OLD))})

    with pytest.raises(AuthError):
        api.send(READ)

    assert len(server.journal) == 1


class FullFor(MemoryTokenStore):
    """A store whose disk is full for some saves, after the login."""

    def __init__(self) -> None:
        super().__init__()
        self.is_full = False

    def save(self, profile: str, state: TokenState, *, expected_version: int) -> bool:
        if self.is_full and state.renewing_since is None:  # the mark that a renewal begins still finds room
            raise TokenStateError("no space left on the device")
        return super().save(profile, state, expected_version=expected_version)


def test_a_persons_token_that_could_not_be_saved_outlives_the_client_secret(
    server: ScriptedServer, told: Told, tmp_path: Path
) -> None:
    server.route("/x", Reply(401), Reply(401), OK)
    server.route("/token", token("t2", refresh_token="r2"), json_reply({"error": "invalid_grant"}, 400))
    store, stop = FullFor(), Hurried()
    now = datetime.now(UTC)
    logged_in = TokenState("t1", "r1", "Bearer", now + timedelta(hours=1), now, None, "authorization_code")
    store.save("api", logged_in, expected_version=0)
    file = put(tmp_path / "secret", OLD)
    login = {
        "grant": "authorization_code",
        "authorization_url": f"{server.url}/authorize",
        "redirect_uri": "http://127.0.0.1:7/back",
        "client_secret": {"file": str(file)},
    }
    api = token_client(server, told, store=store, stop=stop, **login)
    store.is_full = True
    with pytest.raises(AuthError, match="cannot be saved"):
        api.send(READ)

    store.is_full = False
    put(file, NEW)
    api.send(READ)

    assert [seen.form["refresh_token"] for seen in server.journal if seen.path == "/token"] == ["r1"]
    assert server.journal[-1].headers["authorization"] == "Bearer t2"
    kept = store.load("api")
    assert kept is not None
    assert kept.refresh_token == "r2"


class Client(OAuth2):
    """Its token is its secret."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._secret = values["client_secret"]
        super().__init__("https://login.example.com/token", "me", self._secret, None)

    def access_token(self) -> str:
        return self._secret


class Replaced(Papers):
    """A certificate that is replaced while something else happens."""

    def __init__(self) -> None:
        super().__init__(None, lambda event, message: None)
        self.meanwhile: list[Callable[[], object]] = []

    def renew(self, load: Callable[[], None]) -> None:
        if self.meanwhile:
            self.meanwhile.pop()()
            load()


def test_a_certificate_and_a_client_secret_that_are_replaced_at_once_are_both_used(told: Told, tmp_path: Path) -> None:
    file, papers = put(tmp_path / "secret", OLD), Replaced()
    secret = WatchedSecret(
        SecretRef(file=file),
        what="client_secret",
        resolve=lambda ref: file.read_text().strip(),
        look=partial(file_stamp, str(file)),
        learn=lambda value: None,
        tell=partial(told, "api"),
    )
    client = RotatedOAuth2({"client_secret": secret}, papers, Client, partial(told, "api"))

    def another_thread() -> None:
        put(file, NEW)
        assert client.access_token() == NEW

    papers.meanwhile.append(another_thread)

    assert client.access_token() == NEW
    assert client.access_token() == NEW


def test_a_private_key_that_cannot_be_read_leaves_the_old_one_in_use(
    server: ScriptedServer, told: Told, tmp_path: Path
) -> None:
    from tests.servers.oidc import pem

    server.route("/x", OK)
    server.route("/token", token("t1"))
    file = put(tmp_path / "key", pem("ES256"))
    way: dict[str, Any] = {"private_key": {"file": str(file)}, "client_auth": "private_key_jwt"}
    api = token_client(server, told, **way)

    put(file, pem("ES256")[:80])
    api.send(READ)

    assert told.events == ["secret.reread", "secret.stale"]
    assert "private key in PEM" in told[-1][1]
    assert "client_assertion" in server.journal[0].form


# ---- the law -----------------------------------------------------------------------------------------------------

STILL_NS = 200_000_000


class Disk:
    """One file and a clock, both in hand."""

    def __init__(self, text: str) -> None:
        self.now_ns = 10**18
        self.write(text, age_ns=STILL_NS)
        self.reads = 0

    def write(self, text: str | None, *, age_ns: int = 0) -> None:
        self.text, self.changed_ns = text, self.now_ns - age_ns

    def look(self) -> Stamp:
        return (2, 0) if self.text is None else ((len(self.text), self.changed_ns), self.changed_ns)

    def resolve(self, _: SecretRef) -> str:
        self.reads += 1
        if not self.text:
            raise ConfigError("it is not there")
        return self.text

    def watched(self, learn: Callable[[str], None]) -> WatchedSecret:
        return WatchedSecret(
            SecretRef(file=Path("f")),
            what="token",
            resolve=self.resolve,
            look=self.look,
            learn=learn,
            tell=lambda event, message: None,
            wall_ns=lambda: self.now_ns,
        )


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("rotate"), st.text("abc", min_size=4, max_size=9)),
        st.tuples(st.sampled_from(["remove", "look", "wait", "look a little later"]), st.just("")),
    ),
    max_size=25,
)


@given(STEPS)
def test_what_is_given_out_was_whole_and_is_learned_before_and_ends_as_the_newest(
    steps: list[tuple[str, str]],
) -> None:
    """A writer truncates, writes half and the rest, in a moment; anybody may look in between."""
    disk = Disk("first")
    learned: list[str] = []
    secret = disk.watched(learned.append)
    whole, newest = {"first"}, "first"

    def look() -> None:
        value = secret.now()
        assert value in whole
        assert value in learned

    for step, text in steps:
        if step == "rotate":
            for part in ("", text[:3], text):
                disk.write(part)
                whole |= {text} if part == text else set()
                look()
                disk.now_ns += 1_000_000
            newest = text
        elif step == "remove":
            disk.write(None)
        elif step == "wait":
            disk.now_ns += STILL_NS
        else:
            disk.now_ns += 1_000 if step == "look" else STILL_NS // 10
            look()
    disk.now_ns += STILL_NS
    look()
    if disk.text is not None:
        assert secret.now() == newest


def test_a_request_costs_a_look_and_no_reading() -> None:
    disk = Disk("first")
    secret = disk.watched(lambda value: None)

    for _ in range(1000):
        secret.now()

    assert disk.reads == 1
