"""What a batch needs is told with its place and its cure, before anything is sent."""

from pathlib import Path

import pytest

from daemon.spec import RequestTarget, SpecError, load
from tests.unit.spec.files import write

CREATE = "create: users"
WHOLE = 'uri: bulk, body: {users: "{{ documents }}"}'


def problems(folder: Path, *changes: tuple[str, str]) -> list[tuple[str, str, str | None]]:
    path = write(folder)
    text = path.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, encoding="utf-8")
    try:
        load(path)
    except SpecError as error:
        return [(str(one.as_dict()["path"]), one.message, one.cure) for one in error.problems]
    return []


def batch(text: str, *, rest: str = "uri: users, ") -> tuple[str, str]:
    return CREATE, f"create: {{{rest}batch: {{{text}}}}}"


@pytest.mark.parametrize(
    "text",
    [
        f"{WHOLE}, by: order",
        f"{WHOLE}, results: data.items, item_key: no, item_status: status, ok: [created, 200], size: 500",
        f"{WHOLE}, results: data, by: order, atomic: true, failures: errors",
        'uri: bulk, item: {method: POST, body: "{{ document }}"}, body: {all: "{{ items }}"}, by: order',
        'uri: bulk, params: {keys: "{{ keys | join }}"}, by: order',
    ],
)
def test_a_batch_that_says_all_it_must_is_taken(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, batch(text)) == []
    assert problems(tmp_path, batch(text, rest="")) == []


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("uri: bulk, by: order", "", "nothing in this batch says which changes it is about"),
        ("uri: bulk, body: documents, by: order", "", "nothing in this batch says which changes it is about"),
        (f"{WHOLE}", "", "say how a result is known to be of a change"),
        (f"{WHOLE}, by: order, size: 0", ".size", ""),
        (f"{WHOLE}, by: order, item_key: no", "", "by: order says otherwise"),
        (f"{WHOLE}, by: key", "", "by: key needs item_key"),
        (f"{WHOLE}, by: order, ok: [created]", "", "add item_status"),
        (f"{WHOLE}, by: order, ok: [true], item_status: s", ".ok[0]", "a number or a word"),
        (f"{WHOLE}, by: order, failures: errors", "", "atomic: true"),
        (f'{WHOLE}, by: order, item: "{{{{ key }}}}"', "", "item makes the list items"),
        (f"{WHOLE}, by: order, item_status: 'a['", ".item_status", "not a JMESPath"),
        (f"{WHOLE}, by: order, results: 'header:X'", ".results", "no header can stand here"),
        (f"{WHOLE}, by: order, answers: data", ".answers", "unknown key"),
        ('uri: bulk, body: {a: "{{ documents }}", b: "{{ key }}"}, by: order', ".body.b", "unknown name 'key'"),
        (
            'uri: bulk, item: "{{ items }}", body: {a: "{{ items }}"}, by: order',
            ".item",
            "unknown name 'items'",
        ),
        (f"{WHOLE}, by: id", ".by", "a new record has no id"),
        (f"{WHOLE}, atomic: true", "", "the ids of new records"),
        (
            f"{WHOLE}, by: order, on_response: [{{status: 400, then: skip}}]",
            ".on_response[0].then",
            "cannot mean 'skip'",
        ),
    ],
)
def test_what_a_batch_lacks_is_told_at_its_place(tmp_path: Path, text: str, place: str, message: str) -> None:
    found = problems(tmp_path, batch(text))

    assert [one for one in found if one[0] == f"jobs.people.target.create.batch{place}" and message in one[1]], found


def test_a_request_without_an_address_needs_a_batch(tmp_path: Path) -> None:
    ((path, message, _),) = problems(tmp_path, (CREATE, "create: {id: id}"))

    assert (path, "uri, batch, or both" in message) == ("jobs.people.target.create", True)


def test_a_batch_reads_no_record_before_it_replaces_it(tmp_path: Path) -> None:
    replaced = ("create: users", f"create: users, delete: {{uri: users, replace: true, batch: {{{WHOLE}, by: order}}}}")

    assert "a batch cannot read each record" in problems(tmp_path, replaced)[0][1]


def test_a_batch_must_send_the_version_that_a_single_request_would(tmp_path: Path) -> None:
    def update(item: str) -> tuple[str, str]:
        whole = f'uri: bulk, item: {item}, body: {{all: "{{{{ items }}}}"}}, by: order'
        return CREATE, f'{CREATE}, delete: {{uri: "users/{{{{ target.id }}}}", if_match: true, batch: {{{whole}}}}}'

    ((path, _, cure),) = problems(tmp_path, update('"{{ target.id }}"'))

    assert path == "jobs.people.target.delete.batch"
    assert cure is not None
    assert "version" in cure
    assert problems(tmp_path, update('{id: "{{ target.id }}", version: "{{ version }}"}')) == []


@pytest.mark.parametrize("single", ["idempotency_header: Idempotency-Key", "method: PUT"])
def test_what_a_batch_made_must_not_be_made_again_by_a_single_request(tmp_path: Path, single: str) -> None:
    ((path, _, cure),) = problems(tmp_path, batch(f"{WHOLE}, by: order", rest=f"uri: users, {single}, "))

    assert path == "jobs.people.target.create.batch"
    assert cure is not None
    assert "idempotency_key" in cure
    assert problems(tmp_path, batch(f"{WHOLE}, by: order, repeatable: true", rest=f"uri: users, {single}, ")) == []


def test_a_batch_of_deletes_has_no_documents(tmp_path: Path) -> None:
    delete = (CREATE, f"{CREATE}, delete: {{batch: {{{WHOLE}, by: order}}}}")

    assert [one[1] for one in problems(tmp_path, delete)] == ["unknown name 'documents'"]


def test_a_batch_has_a_hundred_changes_at_most_unless_it_says_another_size() -> None:
    target = RequestTarget.model_validate(
        {"connection": "a", "create": {"batch": {"uri": "bulk", "body": "{{ documents }}", "by": "order"}}}
    )

    assert target.create is not None
    assert target.create.batch is not None
    assert target.create.batch.size == 100
