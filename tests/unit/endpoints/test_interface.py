"""An interface's models as endpoints: the client is ours, and what its methods do is judged as requests are."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon.endpoints.exchange import Exchange
from daemon.endpoints.models import file_problems, method_problem, open_interface
from daemon.errors import (
    ConfigError,
    ConflictError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UnknownError,
)
from daemon.spec import InterfaceConnection
from daemon.sync.certificate import certify
from daemon.sync.change import Kind
from tests.fakes.files import read
from tests.fakes.interfaces import FILE, call_source, call_target
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.fakes.scripted import Reply, ScriptedServer, json_reply, serving
from tests.unit.endpoints.rig import SECRETS, change, exchange


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as one:
        yield one


@pytest.fixture
def api(server: ScriptedServer) -> Iterator[Exchange]:
    made = exchange(server.url)
    yield made
    made.client.close()


# ---- reading -------------------------------------------------------------------------------------------------------


def test_a_list_that_nobody_calls_complete_deletes_nothing(
    server: ScriptedServer, api: Exchange, tmp_path: Path
) -> None:
    server.route("/users", json_reply([{"id": 1}]))

    _, end = read(call_source(api, tmp_path, call="user.get_page", arguments={"page": 1}))

    assert certify(end, ()).doubts == (
        "nothing says that user.get_page returns the whole list; if it does, say complete: true",
    )


def test_every_digit_of_a_number_survives(server: ScriptedServer, api: Exchange, tmp_path: Path) -> None:
    server.route("/users", Reply(200, {"Content-Type": "application/json"}, b'[{"id":9007199254740993,"n":19.90}]'))

    pages, _ = read(call_source(api, tmp_path, call="user.get_page", arguments={"page": 1}))

    assert pages[0].records == (b'{"id":9007199254740993,"n":19.90}',)


def test_a_cursor_goes_on_among_the_arguments(server: ScriptedServer, api: Exchange, tmp_path: Path) -> None:
    server.route(
        "/users",
        json_reply({"data": [{"id": 1}], "meta": {"next": "abc", "total": 2}}),
        json_reply({"data": [{"id": 2}], "meta": {"next": None, "total": 2}}),
    )
    paginate = {"type": "cursor", "param": "page", "next": "meta.next", "total": "meta.total"}
    source = call_source(api, tmp_path, call="user.get_page", records="data", paginate=paginate)

    pages, end = read(source)

    assert [page.records for page in pages] == [(b'{"id":1}',), (b'{"id":2}',)]
    assert (end.reason, end.total) == ("no next page", 2)


@pytest.mark.edge(8)
def test_a_page_that_comes_again_is_an_error(server: ScriptedServer, api: Exchange, tmp_path: Path) -> None:
    server.route("/users", json_reply([{"id": 1}]), json_reply([{"id": 1}]))

    with pytest.raises(MalformedError, match=r"user\.get_page: .*the same records as page 1"):
        read(call_source(api, tmp_path, call="user.get_page", paginate={"type": "page", "param": "page"}))


@pytest.mark.edge(12)
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (json_reply({"data": []}), "returned dict, not a list; say records"),
        (Reply(200, {"Content-Type": "text/html"}, b"<html>"), "returned bytes, not a list"),
    ],
    ids=["an envelope", "HTML"],
)
def test_what_is_no_list_is_an_error(
    server: ScriptedServer, api: Exchange, tmp_path: Path, answer: Reply, said: str
) -> None:
    server.route("/users", answer)

    with pytest.raises(MalformedError, match=said):
        read(call_source(api, tmp_path, call="user.get_page", arguments={"page": 1}))


def test_a_generator_that_breaks_off_is_no_end(server: ScriptedServer, api: Exchange, tmp_path: Path) -> None:
    server.route("/users", json_reply({"users": [{"id": 1}]}), json_reply({}, 500))

    with pytest.raises(UnavailableError):
        read(call_source(api, tmp_path, call="user.each", complete=True))


def test_a_fault_of_the_method_itself_says_whose_it_is(api: Exchange, tmp_path: Path) -> None:
    with pytest.raises(MalformedError, match=r"api: user\.broken raised KeyError: 'no such field'"):
        read(call_source(api, tmp_path, call="user.broken", complete=True))


def test_a_read_that_is_to_stop_asks_no_more(server: ScriptedServer, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    api = exchange(server.url, stop=stop)

    with pytest.raises(Exception, match="stop"):
        read(call_source(api, tmp_path, call="user.each", complete=True))

    assert server.journal == []
    api.client.close()


def test_a_system_that_is_left_alone_is_not_asked_by_a_method_either(server: ScriptedServer, tmp_path: Path) -> None:
    server.route("/users", json_reply({}, 500))
    api = exchange(server.url, breaker={"failures": 1, "cool_down": "1h"})

    for _ in range(3):
        with pytest.raises(UnavailableError):
            read(call_source(api, tmp_path, call="user.each", complete=True))

    assert len(server.journal) == 1
    api.client.close()


def test_a_method_that_tells_its_credentials_is_not_repeated(server: ScriptedServer, tmp_path: Path) -> None:
    token = SECRETS["TOKEN"]
    server.route("/users", json_reply([{"id": 1}]))
    api = exchange(server.url, auth={"type": "bearer", "token": {"env": "TOKEN"}})

    read(call_source(api, tmp_path, call="user.get_page", complete=True))
    with pytest.raises(MalformedError) as caught:
        read(call_source(api, tmp_path, call="user.tell", complete=True))

    assert server.journal[0].headers["authorization"] == f"Bearer {token}"
    assert token not in str(caught.value)
    api.client.close()


# ---- writing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        (Kind.CREATE, 409, ConflictError),
        (Kind.CREATE, 422, RefusedError),
        (Kind.CREATE, 500, UnknownError),
        (Kind.UPDATE, 400, RefusedError),
        (Kind.UPDATE, 503, UnavailableError),
        (Kind.DELETE, 403, RefusedError),
    ],
    ids=str,
)
def test_a_status_means_what_it_means_to_a_request(
    server: ScriptedServer, api: Exchange, tmp_path: Path, kind: Kind, status: int, error: type[Exception]
) -> None:
    server.route("/users", json_reply({"error": "no"}, status))
    server.route("/users/7", json_reply({"error": "no"}, status))
    target = call_target(api, tmp_path)
    write = {Kind.CREATE: target.create, Kind.UPDATE: target.update, Kind.DELETE: target.delete}[kind]

    with pytest.raises(error):
        write(change(kind, target_id=None if kind is Kind.CREATE else "7"))


def test_a_delete_of_what_is_gone_is_done(server: ScriptedServer, api: Exchange, tmp_path: Path) -> None:
    server.route("/users/7", json_reply({}, 404))

    assert call_target(api, tmp_path).delete(change(Kind.DELETE, target_id="7")) is None


@pytest.mark.edge(23)
def test_a_create_whose_answer_is_lost_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with MisbehavingServer(seed=3) as server:
        users = server.collection("users", paging="page")
        server.fault(Fault.close_after(), method="POST")
        api = exchange(server.url)

        with pytest.raises(UnknownError):
            call_target(api, tmp_path).create(change())

        assert len(users.records()) == 1
        api.client.close()


def test_a_refusal_after_a_write_that_went_through_is_no_refusal(
    server: ScriptedServer, api: Exchange, tmp_path: Path
) -> None:
    """A method may make several requests, and the second says nothing of the first."""
    server.route("/users", json_reply({"id": 1}, 201), json_reply({"error": "no"}, 422))
    target = call_target(api, tmp_path, create={"call": "create_twice", "arguments": {"data": "{{ document }}"}})

    with pytest.raises(UnknownError, match="a request before that was carried out"):
        target.create(change())


def test_a_method_that_fails_in_a_write_leaves_it_unknown(api: Exchange, tmp_path: Path) -> None:
    target = call_target(api, tmp_path, create={"call": "broken", "arguments": {"data": "{{ document }}"}})

    with pytest.raises(UnknownError, match="KeyError"):
        target.create(change())


def test_a_create_that_is_given_its_key_may_be_repeated(api: Exchange, tmp_path: Path) -> None:
    keyed = {"call": "create", "arguments": {"data": {"key": "{{ idempotency_key }}", "user": "{{ document }}"}}}

    assert call_target(api, tmp_path, create=keyed).has_idempotency
    assert not call_target(api, tmp_path).has_idempotency


def test_a_call_is_shown_before_it_is_made(server: ScriptedServer, api: Exchange, tmp_path: Path) -> None:
    (sending,) = call_target(api, tmp_path).shown(change(Kind.UPDATE, target_id="7"))

    assert (sending.method, sending.url) == ("call", "user.update")
    assert sending.body == '{"identification":"7","data":{"external_id":"E1","name":"Ada"}}'
    assert server.journal == []


# ---- the file ------------------------------------------------------------------------------------------------------


def connection(folder: Path, text: str = FILE, **more: Any) -> InterfaceConnection:
    (folder / "directory.yaml").write_text(text)
    block = {"type": "interface", "host": "api.example.com", "file": folder / "directory.yaml"}
    return InterfaceConnection.model_validate({**block, **more})


@pytest.mark.parametrize(
    ("text", "more", "said"),
    [
        (FILE.replace("models:", "model:"), {}, "directory.yaml:6: unknown key 'model'; did you mean 'models'?"),
        (FILE, {"interface": "People"}, "it has no interface People; it has Directory"),
        ("version: 1\n", {}, "it has 0 interfaces; say which one"),
    ],
    ids=["a mistake", "a name", "none"],
)
def test_what_is_wrong_with_an_interface_file_is_told(
    tmp_path: Path, api: Exchange, text: str, more: dict[str, str], said: str
) -> None:
    declared = connection(tmp_path, text, **more)

    assert any(said in problem for problem in file_problems(declared))
    with pytest.raises(ConfigError) as caught:
        open_interface("desk", declared, api)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    declared = connection(tmp_path)
    declared.file.unlink()

    assert [problem.endswith("directory.yaml: No such file or directory") for problem in file_problems(declared)] == [
        True
    ]


def test_a_package_that_cannot_be_imported_is_told(tmp_path: Path, api: Exchange) -> None:
    with pytest.raises(ConfigError, match=r"directory\.yaml:4: package 'nowhere\.at_all' cannot be imported"):
        open_interface("desk", connection(tmp_path, FILE.replace("tests.fakes.people_sdk", "nowhere.at_all")), api)


def test_models_and_methods_are_looked_up_without_importing_anything(tmp_path: Path) -> None:
    declared = connection(tmp_path, FILE.replace("tests.fakes.people_sdk", "nowhere.at_all"))

    assert method_problem(declared, "user", "get_list") == ""
    assert method_problem(declared, "person", "get_list") == "directory.yaml has no model person; it has user"
    assert method_problem(declared, "user", "drop").startswith("model user has no method drop; it has get_list, each")


SDK = """
from cruds import Client

def __init__(self, token):
    raise AssertionError("it would make a client of its own")

def get_list(self):
    return self._owner.client.read(self._uri)
"""


def test_an_interface_that_makes_its_own_client_gets_ours_instead(
    server: ScriptedServer, api: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.route("/users", json_reply([{"id": 1}]))
    (tmp_path / "sdk_with_a_client.py").write_text(SDK)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = FILE.replace("tests.fakes.people_sdk", "sdk_with_a_client").replace(
        ", each, get_page, find, get, create", ""
    )
    declared = connection(tmp_path, text.replace(", update, delete, create_twice, broken, tell", ""))

    interface = open_interface("desk", declared, api)

    assert interface.user.get_list() == [{"id": 1}]
    assert interface.client is api.client
