"""Rules for answers that cannot come, and PUTs that would lose what others wrote: told with place and cure."""

from pathlib import Path

import pytest

from daemon.spec import SpecError, Then, load
from daemon.spec.answers import _INSTEAD, _PLACES
from tests.unit.spec.files import good_but, write

UPDATE = 'update: "users/{{ target.id }}"'
READ = "read: employees"
KEY = "key: record.id"


def problems(folder: Path, *changes: tuple[str, str]) -> list[tuple[str, str, str | None]]:
    with pytest.raises(SpecError) as caught:
        load(write(folder, good_but(*changes)))
    return [(str(one.as_dict()["path"]), one.message, one.cure) for one in caught.value.problems]


def accepts(folder: Path, *changes: tuple[str, str]) -> None:
    load(write(folder, good_but(*changes)))


def update(text: str, *more: str) -> tuple[str, str]:
    return UPDATE, ", ".join([f'update: {{uri: "users/{{{{ target.id }}}}", {text}}}', *more])


GET = 'get: "users/{{ target.id }}"'
LOOKUP = 'match: no, lookup: "users?no={{ key }}"'


# ---- PUT ---------------------------------------------------------------------------------------------------------


def test_a_put_that_cannot_read_first_is_refused_with_both_cures(tmp_path: Path) -> None:
    ((path, message, cure),) = problems(tmp_path, update("replace: true"))

    assert path == "jobs.people.target.update.replace"
    assert "must first read what the job does not map" in message
    assert cure == "declare target.get; or write body: document if the document is the whole record"


@pytest.mark.parametrize(
    "text",
    [
        update("replace: true", GET),
        update("replace: true", LOOKUP),
        update('replace: true, body: {user: "{{ document }}"}', GET),
        update("replace: true, body: document"),
        update("method: PUT, body: changed"),
        update('method: PUT, body: {user: "{{ document }}"}'),
        update("method: PUT, replace: true", GET),
    ],
    ids=lambda text: text[1],
)
def test_a_put_that_reads_first_or_says_outright_what_it_sends_is_taken(tmp_path: Path, text: tuple[str, str]) -> None:
    accepts(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "place", "word"),
    [
        ("replace: true, body: changed", "body", "method: PUT"),
        ("method: PUT", "method", "replace: true"),
        ('replace: true, body: {user: "{{ document }}"}', "replace", "declare target.get"),
    ],
)
def test_a_put_that_would_clear_fields_is_refused(tmp_path: Path, text: str, place: str, word: str) -> None:
    ((path, _, cure),) = problems(tmp_path, update(text))

    assert path == f"jobs.people.target.update.{place}"
    assert cure is not None
    assert word in cure


def test_a_put_of_the_document_alone_and_a_field_that_is_set_once_do_not_go_together(tmp_path: Path) -> None:
    mapped = (KEY, f"{KEY}\n    map: {{locale: {{from: record.locale, set_once: true}}}}")

    ((path, message, _),) = problems(tmp_path, mapped, update("replace: true, body: document"))

    assert (path, "'locale'" in message) == ("jobs.people.target.update.body", True)


# ---- on_response -------------------------------------------------------------------------------------------------


def rule(text: str) -> tuple[str, str]:
    return update(f"on_response: [{text}]")


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("{status: 400, then: rety}", "[0].then", "'rety' is not one of"),
        ("{status: 4x, then: skip}", "[0].status", "422 or 4xx"),
        ("{status: 40, then: skip}", "[0].status", ""),
        ("{status: [], then: skip}", "[0].status", ""),
        ("{then: skip}", "[0]", "say which answers are meant"),
        ("{status: 400, when: respnse.body, then: skip}", "[0].when", "unknown name 'respnse'"),
        ("{status: 400, when: record.no, then: skip}", "[0].when", "unknown name 'record'"),
        ("{status: 400, when: response.body ==, then: skip}", "[0].when", ""),
        ("{status: 400, then: skip}, {status: 409, then: exists}", "[1].then", "cannot mean 'exists'"),
        ("{status: 400, so: skip}", "[0].so", "unknown key"),
    ],
)
def test_a_rule_that_is_none_is_told_at_its_place(tmp_path: Path, text: str, place: str, message: str) -> None:
    found = problems(tmp_path, rule(text))

    assert [one for one in found if one[0].startswith(f"jobs.people.target.update.on_response{place}")], found
    assert any(message in one[1] for one in found), found


def parents(place: tuple[str, ...], rules: str, block: str) -> str:
    if place[-1] == "read":
        inner = f"{{as: one, connection: hr, read: {block}}}"
    else:
        inner = f"{{as: one, connection: hr, read: all, on_response: [{rules}]}}"
    is_outer = place.count("for_each") > 1
    return f"{{as: two, connection: hr, read: 'in/{{{{ one.id }}}}', for_each: {inner}}}" if is_outer else inner


@pytest.mark.parametrize(
    ("place", "senses"), _PLACES.items(), ids=lambda one: str(one) if isinstance(one, tuple) else ""
)
def test_each_request_takes_the_words_that_make_sense_for_it_and_no_others(
    tmp_path: Path, place: tuple[str, ...], senses: frozenset[Then]
) -> None:
    rules = ", ".join(f"{{status: {400 + number}, then: {then}}}" for number, then in enumerate(Then))
    block = f"{{uri: 'users/all', on_response: [{rules}]}}"
    in_batch = (
        f'{place[-2:][0]}: {{batch: {{uri: all, by: order, body: "{{{{ items }}}}", on_response: [{rules}]}}}}'
        * (place[-1] == "batch")
    )
    change = {
        ("target", "create", "batch"): ("create: users", f"{in_batch}, {LOOKUP}"),
        ("target", "update", "batch"): (UPDATE, in_batch),
        ("target", "delete", "batch"): (UPDATE, f"{UPDATE}, {in_batch}"),
        ("source",): (READ, f"{READ}, on_response: [{rules}]"),
        ("source", "read"): (READ, f"read: {block}"),
        ("target", "create"): ("create: users", f"create: {block}, {LOOKUP}"),
        ("target", "update"): (UPDATE, f"update: {block}"),
        **{one: (KEY, f"for_each: {parents(one, rules, block)}\n    {KEY}") for one in _PLACES if "for_each" in one},
    }.get(place, (UPDATE, f"{UPDATE}, match: no, {place[-1]}: {block}"))

    found = problems(tmp_path, change)

    told = [path for path, _, _ in found if ".on_response[" in path]
    refused = {Then(list(Then)[int(path.split(".on_response[")[1].split("]")[0])]) for path in told}
    assert refused == set(Then) - senses
    assert all(cure for _, _, cure in found)


def test_every_word_that_is_refused_somewhere_has_its_cure() -> None:
    assert {then for senses in _PLACES.values() for then in set(Then) - senses} == set(_INSTEAD)


def test_a_record_that_exists_must_be_findable(tmp_path: Path) -> None:
    create = ("create: users", "create: {uri: users, on_response: [{status: 400, then: exists}]}")

    ((path, message, cure),) = problems(tmp_path, create)

    assert path == "jobs.people.target.create.on_response[0].then"
    assert "no target.lookup" in message
    assert cure == "declare target.lookup, or write then: reject"
