"""A plan's digest: the same for the same writes in any order, another for any other write."""

from dataclasses import replace
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.sync import canonical
from daemon.sync.change import Change, Kind
from daemon.sync.pin import Digest, as_text, digests_of, from_text, mark, without

TEXTS = st.text(max_size=6)


def change(kind: Kind, key: str, target_id: str, document: dict[str, Any], fields: tuple[str, ...]) -> Change:
    is_delete = kind is Kind.DELETE
    return Change(
        seq=1,
        kind=kind,
        key=key,
        target_id=None if kind is Kind.CREATE else target_id,
        version=None,
        document=None if is_delete else document,
        before=None,
        fields=() if is_delete else fields,
        fingerprint=b"" if is_delete else canonical.fingerprint(document),
        raw=b"",
        owned=True,
        idempotency_key="run1-1",
    )


CHANGES = st.builds(
    change,
    kind=st.sampled_from(Kind),
    key=TEXTS,
    target_id=TEXTS,
    document=st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=3),
    fields=st.lists(TEXTS, max_size=3, unique=True).map(lambda names: tuple(sorted(names))),
)


@given(st.lists(CHANGES, max_size=6).flatmap(lambda one: st.tuples(st.just(one), st.permutations(one))))
def test_the_order_of_the_changes_does_not_matter(both: tuple[list[Change], list[Change]]) -> None:
    first, second = both

    assert digests_of(first) == digests_of(second)


@given(CHANGES, st.integers(2, 99), TEXTS)
def test_place_run_version_and_what_was_there_before_make_no_difference(one: Change, seq: int, text: str) -> None:
    other = replace(one, seq=seq, idempotency_key=f"run2-{seq}", version=text, before={"a": text}, reason=text)

    assert mark(one) == mark(other)


@given(CHANGES, CHANGES)
def test_two_changes_have_one_mark_only_if_they_write_the_same(one: Change, other: Change) -> None:
    same = (one.kind, one.key, one.target_id, one.fields, one.fingerprint) == (
        other.kind,
        other.key,
        other.target_id,
        other.fields,
        other.fingerprint,
    )

    assert (mark(one) == mark(other)) is same


@given(CHANGES, TEXTS, TEXTS, st.sampled_from(Kind))
def test_another_key_field_value_record_or_kind_is_another_change(one: Change, a: str, b: str, kind: Kind) -> None:
    assume(one.key != a and one.fields != (a, b) and one.target_id != b and one.kind is not kind)
    others = [
        replace(one, key=a),
        replace(one, fields=(a, b)),
        replace(one, kind=kind),
    ]
    if Kind.DELETE is not one.kind:
        others.append(replace(one, fingerprint=canonical.fingerprint({"other": a})))
    if Kind.CREATE is not one.kind and b:
        others.append(replace(one, target_id=b))

    assert mark(one) not in {mark(other) for other in others if other != one}


@given(CHANGES.filter(lambda one: one.kind is Kind.DELETE), TEXTS)
def test_what_is_remembered_of_a_record_is_no_part_of_its_delete(one: Change, text: str) -> None:
    assert mark(replace(one, fingerprint=canonical.fingerprint({"other": text}))) == mark(one)


@given(st.lists(CHANGES, max_size=6), st.data())
def test_what_was_carried_out_can_be_taken_off_and_leaves_the_rest(changes: list[Change], data: st.DataObject) -> None:
    done = [one for one in changes if data.draw(st.booleans())]
    rest = list(changes)
    for one in done:
        rest.remove(one)

    left = without(digests_of(changes), digests_of(done))

    assert {kind: digest for kind, digest in left.items() if digest != Digest()} == dict(digests_of(rest))


@given(st.lists(CHANGES, max_size=6))
def test_a_digest_comes_back_from_its_text(changes: list[Change]) -> None:
    digests = digests_of(changes)

    assert from_text(as_text(digests)) == digests


@given(CHANGES.filter(lambda one: one.kind is Kind.UPDATE), TEXTS)
def test_an_update_that_is_repeated_counts_as_the_one_that_was_sent(sent: Change, name: str) -> None:
    again = replace(sent, fields=(*sent.fields, name), idempotency_key="run2-1")
    elsewhere = replace(again, fingerprint=canonical.fingerprint({"other": name}))

    assert digests_of([again], {sent.key: sent}) == digests_of([sent])
    assert digests_of([elsewhere], {sent.key: sent}) == digests_of([elsewhere])
