"""Interfaces: classes from a YAML file and a package of functions, as such files are written today."""

from __future__ import annotations

import copy
import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cruds.interface import InterfaceFileError, ModelFactory, load_config
from tests.fakes.scripted import Reply, ScriptedServer, json_reply

LOGIC = '''
"""The functions of the helpdesk."""

from cruds.core import Client

LIMIT = 200


def __init__(self, host, api_token, calls_per_min=LIMIT, **kwargs):
    self.client = Client(host=host, auth=api_token, **kwargs)
    self.calls_per_min = calls_per_min


@property
def calls_per_min(self):
    return self._calls_per_min


@calls_per_min.setter
def calls_per_min(self, value):
    self._calls_per_min = min(value, LIMIT)


@staticmethod
def total(*numbers):
    return sum(numbers)


def _uri_of(self, identification):
    return f"{self._uri}/{identification}"


def create(self, data):
    """Create one."""
    return self._owner.client.create(self._uri, data)


def get_by_id(self, identification):
    return self._owner.client.read(self._uri_of(identification))


def get_list(self, **params):
    yield from self._owner.client.read(self._uri, params=params or None)


def bulk_upsert(self, data):
    return self._owner.total(*(len(self._owner.client.update(self._uri, [one], replace=True)) for one in data))


def delete(self, identification):
    return self._owner.client.delete(self._uri_of(identification))


def download(self, identification, path=None, filename=None):
    return self._owner.client.download(self._uri_of(identification), path=path, filename=filename)
'''

INIT = """
import os

from cruds.interface import load_config


for name, Interface in load_config(f"{os.path.dirname(__file__)}/configuration.yaml"):
    globals()[name] = Interface
"""

FILE = """\
version: 1

api:
  - name: Helpdesk
    package: helpdesk_sdk.logic
    docstring: |
      Tickets and people.

      helpdesk = Helpdesk(api_token="...")

    methods:
      - __init__
      - calls_per_min
      - total

    default_model_methods:
      - create
      - get_by_id
      - get_list
      - delete
      - bulk_upsert

    required_model_methods:
      - _uri_of

    models:
      - name: Ticket
        docstring: |
          What people ask for.
        uri: tickets

      - name: Line_Item
        uri: lineitems
        methods:
          - get_by_id
          - download
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from, and forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def sdk(place: Path) -> Path:
    """The package as its author wrote it."""
    package = place / "helpdesk_sdk"
    package.mkdir()
    (package / "logic.py").write_text(LOGIC)
    (package / "configuration.yaml").write_text(FILE)
    (package / "__init__.py").write_text("")
    return package


@pytest.fixture
def make(sdk: Path, server: ScriptedServer) -> Callable[..., Any]:
    """Make a helpdesk that talks to the scripted server."""
    classes = dict(load_config(str(sdk / "configuration.yaml")))

    def build(token: str = "t1", **options: Any) -> Any:
        return classes["Helpdesk"](f"{server.url}/v1", token, **options)

    return build


def problems(text: str, folder: Path, **options: Any) -> list[str]:
    file = folder / "bad.yaml"
    file.write_text(text)
    with pytest.raises(InterfaceFileError) as caught:
        load_config(str(file), **options)
    assert str(caught.value) == "\n".join(map(str, caught.value.problems))
    return [str(one).removeprefix(f"{folder}/") for one in caught.value.problems]


def api(text: str) -> str:
    """An interface file whose interface, from line 3 on, says this."""
    return "version: 1\napi:\n" + "".join(f"  {line}\n" for line in text.splitlines())


# ---- what programs do with it today --------------------------------------------------------------------------


def test_a_package_of_today_works_as_it_is(sdk: Path, server: ScriptedServer) -> None:
    """K31: its `__init__` loops over names and classes, and its users import the class."""
    (sdk / "__init__.py").write_text(INIT)
    helpdesk_sdk = importlib.import_module("helpdesk_sdk")

    helpdesk = helpdesk_sdk.Helpdesk(host=server.url, api_token="t1", timeout=5, calls_per_min=900)
    server.script(json_reply({"id": "7"}), json_reply([{"id": "7"}]), json_reply({}), json_reply({}))
    assert helpdesk.ticket.create({"name": "Printer"}) == {"id": "7"}
    assert list(helpdesk.ticket.get_list(limit=1)) == [{"id": "7"}]
    assert helpdesk.ticket.delete("7") == {}
    assert helpdesk.line_item.get_by_id("9") == {}
    assert [(seen.method, seen.target) for seen in server.journal] == [
        ("POST", "/tickets"),
        ("GET", "/tickets?limit=1"),
        ("DELETE", "/tickets/7"),
        ("GET", "/lineitems/9"),
    ]
    assert {seen.headers["authorization"] for seen in server.journal} == {"Bearer t1"}
    assert helpdesk.calls_per_min == 200


def test_methods_may_be_functions_properties_and_static(make: Callable[..., Any], server: ScriptedServer) -> None:
    """K31."""
    helpdesk = make()
    helpdesk.calls_per_min = 500
    assert helpdesk.calls_per_min == 200
    assert helpdesk.total(1, 2) == 3
    server.route("/v1/tickets", json_reply({"ok": 1}))
    assert helpdesk.ticket.bulk_upsert([{"id": 1}, {"id": 2}]) == 2
    assert server.journal[0].method == "PUT"


def test_an_interface_downloads_as_its_client_does(
    make: Callable[..., Any], server: ScriptedServer, tmp_path: Path
) -> None:
    server.script(Reply(200, {"Content-Disposition": "attachment; filename=a.pdf"}, b"%PDF"))
    assert make().line_item.download("9", path=tmp_path).read_bytes() == b"%PDF"


def test_docstrings_and_names_are_those_of_the_file(make: Callable[..., Any]) -> None:
    helpdesk = make()
    assert "Tickets and people." in (type(helpdesk).__doc__ or "")
    assert (type(helpdesk).__name__, type(helpdesk).__module__) == ("Helpdesk", "helpdesk_sdk.logic")
    assert helpdesk.ticket.__doc__ == "What people ask for.\n"
    assert type(helpdesk.ticket).__qualname__ == "Helpdesk.ticket"
    assert helpdesk.ticket.create.__doc__ == "Create one."


def test_a_model_has_its_own_methods_or_the_default_ones_and_always_the_required_ones(
    make: Callable[..., Any],
) -> None:
    """K31."""
    helpdesk = make()
    assert hasattr(helpdesk.ticket, "get_list")
    assert not hasattr(helpdesk.ticket, "download")
    assert not hasattr(helpdesk.line_item, "get_list")
    assert helpdesk.line_item._uri_of("1") == "lineitems/1"


def test_classes_come_in_the_files_order_and_one_at_a_time(sdk: Path) -> None:
    file = sdk / "two.yaml"
    file.write_text(FILE + "\n  - name: Second\n    package: helpdesk_sdk.logic\n")
    found = load_config(str(file))
    assert next(found)[0] == "Helpdesk"
    name, second = next(found)
    assert (name, second.__name__, second.__doc__) == ("Second", "Second", "")
    with pytest.raises(StopIteration):
        next(found)


def test_a_file_without_interfaces_has_none(tmp_path: Path) -> None:
    file = tmp_path / "none.yaml"
    file.write_text("version: 1\n")
    assert list(load_config(str(file))) == []


# ---- a model belongs to its instance -------------------------------------------------------------------------


def test_two_instances_never_share_a_model(make: Callable[..., Any], server: ScriptedServer) -> None:
    """K31: otherwise one tenant's call goes out with the other's credentials."""
    first, second = make("t1"), make("t2")
    server.route("/v1/tickets/7", json_reply({}))
    kept = first.ticket
    second.ticket.get_by_id("7")
    kept.get_by_id("7")
    first.ticket.get_by_id("7")
    assert [seen.headers["authorization"] for seen in server.journal] == ["Bearer t2", "Bearer t1", "Bearer t1"]
    assert first.ticket is kept
    assert first.ticket is not second.ticket
    assert (first.ticket._owner, second.ticket._owner) == (first, second)


def test_a_copied_instance_gets_models_of_its_own(make: Callable[..., Any]) -> None:
    """K31: a copy brings the cached model of the original along."""
    first = make()
    kept = first.ticket
    second = copy.copy(first)
    assert second.ticket._owner is second
    assert first.ticket is kept


def test_threads_that_ask_at_once_get_one_model(make: Callable[..., Any]) -> None:
    helpdesk = make()
    start = threading.Barrier(8)
    found: list[Any] = []

    def ask() -> None:
        start.wait()
        found.append(helpdesk.ticket)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_a_model_may_be_deleted_and_is_made_anew_and_setting_it_does_nothing(make: Callable[..., Any]) -> None:
    """The reference's descriptor."""
    helpdesk = make()
    first = helpdesk.ticket
    helpdesk.ticket = "something else"
    assert helpdesk.ticket is first
    del helpdesk.ticket
    del helpdesk.ticket
    assert helpdesk.ticket is not first


def test_a_factory_is_used_in_a_class_by_hand() -> None:
    """The reference's constructor, and what a model knows."""

    def echo(self: Any, text: str) -> str:
        return f"{self._uri}:{self._owner.name}:{text}"

    class Api:
        name = "api"
        thing = ModelFactory(docstring="A thing.", uri="things", methods={"echo": echo})
        other = ModelFactory("Another.", "others", {"echo": echo})

    api = Api()
    assert api.thing.echo("x") == "things:api:x"
    assert api.other.echo("x") == "others:api:x"
    assert api.thing.__doc__ == "A thing."
    assert Api.thing.uri == "things"
    assert list(inspect.signature(ModelFactory).parameters) == ["docstring", "uri", "methods"]


# ---- what is refused, and where it stands --------------------------------------------------------------------

GOOD = "- name: A\n  package: helpdesk_sdk.logic\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "bad.yaml:1: the file is empty"),
        ("- 1\n", "bad.yaml:1: the file is a mapping"),
        ("api: []\n", "bad.yaml:1: the file needs 'version'"),
        ("api: []\nversion: 2\n", "bad.yaml:2: version: only 1 is known"),
        ("version: '1'\n", "bad.yaml:1: version: only 1 is known"),
        ("version: 1\napis: []\n", "bad.yaml:2: unknown key 'apis'; did you mean 'api'?"),
        ("version: 1\napi: {}\n", "bad.yaml:2: api is a list"),
        ("version: 1\nversion: 1\n", "bad.yaml:2: version stands here twice"),
        ("version: 1\napi:\n  - name: 'x\n", "bad.yaml:4: not YAML"),
        ("version: 1\n---\nversion: 1\n", "bad.yaml:2: not YAML"),
        ("version: 1\x00", "bad.yaml:1: not YAML"),
        (api("- 7"), "bad.yaml:3: an interface is a mapping"),
        (api("- name: A"), "bad.yaml:3: an interface needs 'package'"),
        (api("- package: helpdesk_sdk.logic"), "bad.yaml:3: an interface needs 'name'"),
        (api("- name: A\n  package: ../logic"), "bad.yaml:4: package: '../logic' is not a module's name"),
        (api("- name: A\n  package: .logic"), "bad.yaml:4: package: '.logic' is not a module's name"),
        (api("- name: A\n  package: no_such_thing.logic"), "bad.yaml:4: package 'no_such_thing.logic' cannot be"),
        (api("- name: A B\n  package: helpdesk_sdk.logic"), "bad.yaml:3: name: 'A B' cannot be written in Python"),
        (api(GOOD + "  doc: x"), "bad.yaml:5: unknown key 'doc'"),
        (api(GOOD + "  docstring: 7"), "bad.yaml:5: docstring is a text"),
        (api(GOOD + "  methods: get_list"), "bad.yaml:5: methods is a list"),
        (api(GOOD + "  methods: [yes]"), "bad.yaml:5: methods is a text; quote it"),
        (
            api(GOOD + "  methods:\n    - __init__\n    - nope"),
            "bad.yaml:7: package 'helpdesk_sdk.logic' has no 'nope'",
        ),
        (api(GOOD + "  methods:\n    - __init__\n    - LIMIT"), "bad.yaml:7: 'LIMIT' of package"),
        (api(GOOD + "  models:\n    - name: X"), "bad.yaml:6: a model needs 'uri'"),
        (api(GOOD + "  models:\n    - uri: x"), "bad.yaml:6: a model needs 'name'"),
        (
            api(GOOD + "  models:\n    - {name: X, uri: x, url: y}"),
            "bad.yaml:6: unknown key 'url'; did you mean 'uri'?",
        ),
        (api(GOOD + "  models:\n    - {name: class, uri: x}"), "bad.yaml:6: name: 'class' cannot be"),
        (api(GOOD + "  models:\n    - {name: x, uri: x}\n    - {name: X, uri: y}"), "bad.yaml:7: a second model 'x'"),
        (api(GOOD + "  methods: [total]\n  models:\n    - {name: Total, uri: x}"), "bad.yaml:7: model 'Total' hides"),
        (api(GOOD + "- name: A\n  package: helpdesk_sdk.logic"), "bad.yaml:5: a second interface 'A'"),
        (
            api(GOOD + "  required_model_methods: [_page]\n  models:\n    - {name: X, uri: x}"),
            "bad.yaml:5: package 'helpdesk_sdk.logic' has no '_page'",
        ),
        (
            api(GOOD + "  default_model_methods:\n    - get_list\n    - get_lst\n  models:\n    - {name: X, uri: x}"),
            "bad.yaml:7: package 'helpdesk_sdk.logic' has no 'get_lst'",
        ),
        (
            api(GOOD + "  models:\n    - name: X\n      uri: x\n      methods: [creat]"),
            "bad.yaml:8: package 'helpdesk_sdk.logic' has no 'creat'",
        ),
    ],
)
def test_a_mistake_is_an_error_at_load_with_its_place(sdk: Path, text: str, says: str) -> None:
    """K31: unknown keys and methods do not become None."""
    found = problems(text, sdk)
    assert len(found) == 1
    assert found[0].startswith(says)


def test_all_mistakes_are_told_at_once_in_the_files_order(sdk: Path) -> None:
    text = api("- nam: A\n  package: 7\n  models:\n    - {name: X, uri: 3, method: [a]}\n    - 5")
    assert [one.split(": ")[0] for one in problems(text, sdk)] == [
        "bad.yaml:3",
        "bad.yaml:3",
        "bad.yaml:4",
        "bad.yaml:6",
        "bad.yaml:6",
        "bad.yaml:7",
    ]


def test_a_package_without_the_interfaces_beginning_is_an_error(place: Path) -> None:
    """K31: without methods a class gets `__init__`, and that must be there."""
    (place / "bare_sdk.py").write_text("def get_list(self): ...\n")
    text = api("- name: A\n  package: bare_sdk")
    assert problems(text, place) == ["bad.yaml:4: package 'bare_sdk' has no '__init__'"]


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_config(str(tmp_path / "missing.yaml"))


# ---- code is run only from where it may be -------------------------------------------------------------------


@pytest.fixture
def trap(place: Path) -> Path:
    """A module that leaves a trace when it is imported."""
    (place / "trap_sdk.py").write_text(f"open({str(place / 'sprung')!r}, 'w').close()\n\n\ndef __init__(self): ...\n")
    return place / "sprung"


@pytest.mark.parametrize("allowed", [[], ["trap"], ["trap_sdk.logic"], {"other"}])
def test_a_package_that_is_not_allowed_is_not_imported(trap: Path, allowed: Any) -> None:
    """K31: a file is a program, and the daemon runs only those it was told to by name."""
    found = problems(api("- name: A\n  package: trap_sdk"), trap.parent, allow_packages=allowed)
    assert found == ["bad.yaml:4: package 'trap_sdk' is not among those that may be imported"]
    assert not trap.exists()


def test_nothing_is_imported_from_a_file_with_a_mistake(trap: Path) -> None:
    """K31: neither with a wrong key, nor beside a package that is not allowed."""
    problems(api("- name: A\n  package: trap_sdk\n  doc: x"), trap.parent)
    text = api("- name: A\n  package: trap_sdk\n- name: B\n  package: os")
    problems(text, trap.parent, allow_packages=["trap_sdk"])
    assert not trap.exists()


def test_an_allowed_package_is_imported(trap: Path) -> None:
    file = trap.parent / "good.yaml"
    file.write_text(api("- name: A\n  package: trap_sdk"))
    assert [name for name, _ in load_config(str(file), allow_packages={"trap_sdk"})] == ["A"]
    assert trap.exists()


def test_one_text_is_no_collection_of_names(tmp_path: Path) -> None:
    """K31: 'os' would be found in 'cosmos'."""
    with pytest.raises(TypeError, match="allow_packages"):
        load_config(str(tmp_path / "x.yaml"), allow_packages="cosmos")


@pytest.mark.parametrize(
    "text",
    [
        "!!python/object/apply:os.system ['touch sprung']\n",
        "version: !!python/name:os.system 1\n",
        "version: 1\napi: !!python/object/new:os.system ['x']\n",
        api("- name: !!python/object/apply:os.getcwd []\n  package: trap_sdk"),
    ],
)
def test_yaml_makes_no_python_objects(trap: Path, text: str) -> None:
    """K31: plain YAML only."""
    assert problems(text, trap.parent)
    assert not trap.exists()


def test_an_alias_to_itself_is_no_endless_file(tmp_path: Path) -> None:
    assert problems("&a\nversion: 1\napi: [*a]\n", tmp_path)
    assert problems("[" * 5000, tmp_path)
