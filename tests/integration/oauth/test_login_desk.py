"""`crudsd auth` against the certified server, in this process: every way a login or a logout can end."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cruds.oauth2.token import TokenState
from daemon.app import open_app
from daemon.endpoints.login import LoginError, RefusedLoginError
from daemon.endpoints.standing import AuthStatus, Standing
from daemon.errors import ConfigError, CrudsdError, StoppedError, UnavailableError, UsageError
from daemon.runtime.auth_desk import AuthDesk, BrowserLogin, DeviceLogin, StrayAnswer, Told
from daemon.runtime.login_answers import Pasted
from tests.integration.harness import Desk
from tests.integration.oauth.person import enter, log_in
from tests.integration.oauth.world import World
from tests.servers.exchange import ask
from tests.servers.rewriting_proxy import error, members, status

pytestmark = pytest.mark.servers

SCOPE = "people.read people.write"
LOOPBACK = "http://127.0.0.1/callback"


@dataclass
class Person:
    """Does what they are told, and comes back in their own way."""

    come_back: Callable[[str], None] = field(repr=False)
    """Given the address that they end at."""
    says: dict[str, str] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)

    def __call__(self, told: Told) -> None:
        self.told.append(told)
        if isinstance(told, BrowserLogin):
            self.come_back(log_in(told.address, **self.says))
        elif isinstance(told, DeviceLogin):
            enter(told.code.address, told.code.user_code, deny=bool(self.says))

    def strays(self) -> list[str]:
        return [one.reason for one in self.told if isinstance(one, StrayAnswer)]


def nobody(told: Told) -> None:
    """Someone who has gone for lunch."""
    del told


class Scene:
    """A folder with one connection of each kind, and a person at a terminal."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.desk = Desk(
            folder,
            {"connections": self._connections(), "jobs": {}},
            secrets={"SECRET": world.oidc.clients["cc-basic"].secret},
        )
        self.stop = threading.Event()
        self._reads, self._writes = os.pipe()

    def close(self) -> None:
        for end in (self._reads, self._writes):
            with suppress(OSError):
                os.close(end)

    def paste(self, *lines: str) -> None:
        """Put lines before the command, and leave."""
        os.write(self._writes, "".join(f"{line}\n" for line in lines).encode())

    def leave(self) -> None:
        os.close(self._writes)

    @contextmanager
    def auth(self) -> Iterator[AuthDesk]:
        with open_app(self.desk.settings, stop=self.stop) as app:
            yield app.auth()

    def login(self, name: str = "hr", *, person: Callable[[Told], None] | None = None, **says: str) -> AuthStatus:
        """Log in by pasting, as that person or as one who says this."""
        somebody = person or Person(self.paste, says)
        with self.auth() as auth:
            return auth.login(name, somebody, pasted=Pasted(self._reads), listens=False, wait_s=20)

    def status(self, name: str = "hr") -> AuthStatus:
        with self.auth() as auth:
            return auth.status(name)[0]

    def logout(self, name: str = "hr", *, local: bool = False) -> bool:
        with self.auth() as auth:
            return auth.logout(name, local=local)

    def kept(self, name: str = "hr") -> TokenState | None:
        """What lies in the state database."""
        with open_app(self.desk.settings) as app:
            auth: Any = app.spec.http_connections[name].auth
            return app.connections.around().token_store(name, auth, auth.client_id).load(name)

    def token(self, name: str = "hr") -> str:
        state = self.kept(name)
        assert state is not None
        return state.access_token

    def _connections(self) -> dict[str, Any]:
        oidc, proxy = self.world.oidc, self.world.proxy
        base = {"type": "oauth2", "url": f"{proxy.url}/token", "scope": SCOPE}
        code = {**base, "grant": "authorization_code", "authorization_url": f"{proxy.url}/auth"}
        found = {"type": "oauth2", "grant": "authorization_code", "issuer": oidc.issuer, "scope": SCOPE}
        revokes = {"revocation_url": f"{proxy.url}/token/revocation"}
        auths = {
            "hr": {**code, **revokes, "client_id": "native", "redirect_uri": LOOPBACK},
            "found": found | {"client_id": "native", "redirect_uri": LOOPBACK},
            "brief": {**code, "client_id": "native-once", "redirect_uri": LOOPBACK},
            "tv": {**base, "grant": "device_code", "client_id": "device"}
            | {"device_authorization_url": f"{proxy.url}/device/auth"},
            "machine": {**base, **revokes, "client_id": "cc-basic", "client_secret": {"env": "SECRET"}},
            "wrong": {**base, "client_id": "cc-post", "client_secret": {"env": "SECRET"}},
            "fixed": {"type": "header", "name": "X-Api-Key", "value": {"env": "SECRET"}},
        }
        return {name: {"host": self.world.gate.url, "auth": auth} for name, auth in auths.items()}


@pytest.fixture
def scene(world: World, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        made = Scene(world, tmp_path)
        stack.callback(made.close)
        yield made


# ---- logins that end well ----


def test_a_pasted_address_makes_a_session_that_the_api_takes(scene: Scene) -> None:
    assert scene.status().standing is Standing.NEEDS_LOGIN

    status = scene.login()

    assert (status.standing, status.renews, status.scope_granted) == (Standing.VALID, True, tuple(SCOPE.split()))
    assert scene.world.oidc.introspect(scene.token())["sub"] == "ada"


def test_a_browser_that_comes_back_to_the_listener_makes_one_too(scene: Scene) -> None:
    pages: list[str] = []
    threads: list[threading.Thread] = []

    def follow(address: str) -> None:
        threads.append(threading.Thread(target=lambda: pages.append(ask("GET", address).expect(200).body.decode())))
        threads[0].start()

    with scene.auth() as auth:
        status = auth.login("found", Person(follow), pasted=None, listens=True, wait_s=20)
    threads[0].join(20)

    assert status.standing is Standing.VALID
    assert "You may close this window" in pages[0]


def test_a_browser_with_an_answer_to_another_login_is_told_so_and_the_right_one_still_counts(scene: Scene) -> None:
    pages: list[int] = []
    threads: list[threading.Thread] = []

    def follow(address: str) -> None:
        stray = f"{address.partition('?')[0]}?error=access_denied&state=of-another"
        threads.append(
            threading.Thread(target=lambda: pages.extend(ask("GET", one).status for one in (stray, address)))
        )
        threads[0].start()

    person = Person(follow)
    with scene.auth() as auth:
        status = auth.login("found", person, pasted=None, listens=True, wait_s=20)
    threads[0].join(20)

    assert status.standing is Standing.VALID
    assert pages == [400, 200]
    assert [reason.partition(" (")[0] for reason in person.strays()] == ["that address ends another login"]


def test_a_device_login_makes_one_too(scene: Scene) -> None:
    scene.world.proxy.next("/device/auth", members(interval=1))
    person = Person(scene.paste)

    assert scene.login("tv", person=person).standing is Standing.VALID
    assert [type(one) for one in person.told] == [DeviceLogin]


def test_a_second_login_takes_the_place_of_the_first(scene: Scene) -> None:
    scene.login()
    first = scene.token()

    scene.login()

    assert scene.token() != first
    assert scene.world.oidc.is_active(scene.token())


def test_what_is_no_answer_to_this_login_is_said_and_waited_on(scene: Scene) -> None:
    person = Person(lambda back: scene.paste("yes?", f"{LOOPBACK}?code=c&state=other", f"{back}&code=2", back))

    assert scene.login(person=person).standing is Standing.VALID
    assert [reason.partition(":")[0] for reason in person.strays()] == [
        "that is not the address of a page that ends a login",
        "that address ends another login (its state is not the one of this login)",
        "that is not the address of a page that ends a login",
    ]


def test_less_than_was_asked_is_told(scene: Scene) -> None:
    status = scene.login(scope="people.read")

    assert (status.scope_granted, status.scope_missing) == (("people.read",), ("people.write",))


def test_a_session_that_cannot_be_renewed_is_told(scene: Scene) -> None:
    assert scene.login("brief").renews is False


def test_a_session_made_under_another_client_is_not_taken_for_this_one(scene: Scene) -> None:
    scene.login()
    (config := scene.desk.settings.config).write_text(config.read_text().replace('"native"', '"native-5s"'))

    assert scene.status().standing is Standing.UNREADABLE
    assert scene.login().standing is Standing.VALID


# ---- logins that do not, and what was kept before stays ----


@contextmanager
def nothing_changed(scene: Scene, name: str = "hr") -> Iterator[None]:
    before = scene.kept(name)
    yield
    assert scene.kept(name) == before


def test_a_refusal_keeps_the_session_that_was_there(scene: Scene) -> None:
    scene.login()

    with nothing_changed(scene), pytest.raises(RefusedLoginError, match=r"access_denied.*is as it was.*begins again"):
        scene.login(answer="deny")

    assert scene.world.oidc.is_active(scene.token())


def test_a_refusal_on_the_device_is_told_as_one(scene: Scene) -> None:
    scene.world.proxy.next("/device/auth", members(interval=1))

    with nothing_changed(scene, "tv"), pytest.raises(RefusedLoginError, match="access_denied"):
        scene.login("tv", answer="deny")


def test_a_code_that_nobody_enters_runs_out(scene: Scene) -> None:
    scene.world.proxy.next("/device/auth", members(interval=1, expires_in=1))

    with nothing_changed(scene, "tv"), pytest.raises(LoginError, match="nobody has agreed"):
        scene.login("tv", person=nobody)


def test_a_code_that_was_used_before_is_told_with_what_to_do(scene: Scene) -> None:
    scene.login()
    scene.world.proxy.next("/token", error("invalid_grant"))

    with nothing_changed(scene), pytest.raises(LoginError, match=r"used already.*`crudsd auth login hr` begins again"):
        scene.login()


def test_an_answer_of_another_server_is_refused(scene: Scene) -> None:
    person = Person(lambda back: scene.paste(back.partition("&iss=")[0] + "&iss=https%3A%2F%2Fevil.example.com"))

    with (
        nothing_changed(scene, "found"),
        pytest.raises(LoginError, match=r"not from the authorization server.*\(iss\)"),
    ):
        scene.login("found", person=person)


def test_nobody_who_answers_in_time_ends_the_wait(scene: Scene) -> None:
    with scene.auth() as auth, pytest.raises(LoginError, match="nobody answered in time"):
        auth.login("hr", nobody, pasted=None, listens=True, wait_s=0.1)


def test_nobody_who_can_answer_ends_it_at_once(scene: Scene) -> None:
    with pytest.raises(LoginError, match="no address was pasted"):
        scene.login(person=Person(lambda back: scene.leave()))


def test_an_interruption_keeps_the_session_that_was_there(scene: Scene) -> None:
    scene.login()

    with nothing_changed(scene), pytest.raises(StoppedError, match="interrupted"):
        scene.login(person=Person(lambda back: scene.stop.set()))


def test_a_server_that_is_down_is_told_as_such(scene: Scene) -> None:
    scene.login()
    scene.world.proxy.next("/token", status(503, Retry_After="3600"), times=9)

    with nothing_changed(scene), pytest.raises(UnavailableError, match="try again later"):
        scene.login()


@pytest.mark.parametrize("name", ["hr", "tv"])
def test_without_a_key_nobody_is_asked(scene: Scene, name: str) -> None:
    (scene.desk.folder / "crudsd.key").unlink()
    person = Person(scene.paste)

    with pytest.raises(ConfigError, match=r"`crudsd key generate .*crudsd\.key`"):
        scene.login(name, person=person)

    assert person.told == []
    assert scene.world.proxy.asked() == []


def test_an_unknown_connection_is_answered_with_the_nearest(scene: Scene) -> None:
    with scene.auth() as auth:
        for verb in (auth.status, auth.try_out, auth.is_personal, lambda name: auth.logout(name, local=False)):
            with pytest.raises(UsageError, match="did you mean machine"):
                verb("machin")


# ---- connections that need no login ----


def test_where_no_person_is_needed_it_is_tried_whether_a_token_can_be_had(scene: Scene) -> None:
    with scene.auth() as auth:
        first = auth.try_out("machine")
        again = auth.try_out("machine")

    assert (first.standing, again.standing) == (Standing.VALID, Standing.VALID)
    assert len(scene.world.token_requests("client_credentials")) == 2  # a kept token proves nothing about now


def test_a_client_that_is_refused_is_told_with_where_to_look(scene: Scene) -> None:
    with scene.auth() as auth, pytest.raises(LoginError, match=r"invalid_client.*client_id, client_auth"):
        auth.try_out("wrong")


def test_fixed_credentials_are_static_and_nobody_is_asked(scene: Scene) -> None:
    with scene.auth() as auth:
        assert auth.try_out("fixed").standing is Standing.STATIC
        with pytest.raises(UsageError, match="no session that could be ended"):
            auth.logout("fixed", local=False)


# ---- logout ----


def test_a_logout_gives_the_tokens_back_and_a_login_is_needed_again(scene: Scene) -> None:
    scene.login()
    token = scene.token()

    assert scene.logout()

    assert not scene.world.oidc.is_active(token)
    assert scene.kept() is None
    assert scene.status().standing is Standing.NEEDS_LOGIN
    hints = [asked.form["token_type_hint"] for asked in scene.world.proxy.asked("/token/revocation")]
    assert hints == ["refresh_token", "access_token"]
    assert not scene.logout()


def test_a_server_that_is_down_keeps_the_session(scene: Scene) -> None:
    scene.login()
    scene.world.proxy.next("/token/revocation", status(503, Retry_After="3600"), times=9)

    with nothing_changed(scene), pytest.raises(UnavailableError, match=r"logout of hr.*try again later"):
        scene.logout()


def test_without_a_revocation_endpoint_it_is_said_and_only_a_local_logout_forgets(scene: Scene) -> None:
    scene.login("brief")
    token = scene.token("brief")

    with nothing_changed(scene, "brief"), pytest.raises(LoginError, match=r"revocation_url.*--local"):
        scene.logout("brief")

    assert scene.logout("brief", local=True)
    assert scene.kept("brief") is None
    assert scene.world.oidc.is_active(token)


def test_a_key_that_is_lost_is_told_and_a_local_logout_is_the_way_out(scene: Scene) -> None:
    scene.login()
    (scene.desk.folder / "crudsd.key").unlink()

    assert (scene.status().standing, scene.status().reason) == (Standing.UNREADABLE, "there is no key")
    with pytest.raises(CrudsdError, match=r"cannot be opened: there is no key.*--local"):
        scene.logout()
    assert scene.logout(local=True)
    assert scene.status().standing is Standing.NEEDS_LOGIN


def test_a_machine_s_session_is_ended_too_and_begins_again_by_itself(scene: Scene) -> None:
    with scene.auth() as auth:
        auth.try_out("machine")
    token = scene.token("machine")

    assert scene.logout("machine")

    assert not scene.world.oidc.is_active(token)
    assert scene.status("machine").standing is Standing.NOT_USED
