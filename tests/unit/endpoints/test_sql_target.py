"""A table as a target: what fits is kept, what does not is told by its column, and nobody's row is lost or doubled."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from daemon.endpoints.sql.link import SqlLink
from daemon.errors import ConfigError, ConflictError, EndpointError, FatalError, GoneError, RefusedError, StaleError
from daemon.sync.certificate import End
from daemon.sync.change import Change, Kind
from daemon.sync.ports import TargetRecord, Written
from tests.unit.endpoints.databases import Place, linked
from tests.unit.endpoints.rig import change
from tests.unit.endpoints.sql_rig import Kept, sent, table

PEOPLE = "CREATE TABLE people (external_id VARCHAR(20) PRIMARY KEY, name VARCHAR(8) NOT NULL, email VARCHAR(40) UNIQUE)"


@pytest.fixture
def db(place: Place) -> Iterator[SqlLink]:
    place.run(PEOPLE)
    with linked(place) as one:
        yield one


def person(number: int, **fields: Any) -> Change:
    document = {"external_id": f"E{number}", "name": f"N{number}", **fields}
    return change(key=f"E{number}", document=document)


def names(place: Place) -> dict[str, str]:
    return {row[0]: row[1] for row in place.run("SELECT external_id, name FROM people")}


def told(answers: Any) -> list[str]:
    return [type(answer).__name__ for answer in answers]


# ---- batches -----------------------------------------------------------------------------------------------------


@pytest.mark.edge(37)
def test_one_bad_row_does_not_lose_the_others(place: Place, db: SqlLink) -> None:
    place.run("INSERT INTO people VALUES ('X', 'other', 'taken@example.test')")
    batch = [person(number) for number in range(20)]
    batch[7] = person(7, name="much too long a name")
    batch[13] = person(13, email="taken@example.test")

    answers = sent(table(db), batch)

    assert [place_ for place_, one in enumerate(answers) if not isinstance(one, Written)] == [7, 13]
    assert told([answers[7], answers[13]]) == ["RefusedError", "TwiceError"]
    assert "people.name: it takes text of at most 8 characters, and what came is 20 characters" in str(answers[7])
    refused = answers[13]
    assert isinstance(refused, EndpointError)
    assert (refused.status, "email" in str(refused), "taken@" in str(refused)) == (409, True, False)
    assert len(names(place)) == 19


def test_a_row_whose_key_is_there_is_a_conflict_and_the_others_go_in(place: Place, db: SqlLink) -> None:
    place.run("INSERT INTO people VALUES ('E1', 'by hand', NULL)")

    answers = sent(table(db), [person(0), person(1), person(2)])

    assert told(answers) == ["Written", "ConflictError", "Written"]
    assert names(place) == {"E0": "N0", "E1": "by hand", "E2": "N2"}


def test_a_batch_of_updates_tells_the_rows_that_are_gone(place: Place, db: SqlLink) -> None:
    target = table(db)
    sent(target, [person(number) for number in range(3)])
    place.run("DELETE FROM people WHERE external_id = 'E1'")
    update = [
        change(Kind.UPDATE, key=f"E{n}", target_id=f"E{n}", document={"name": f"new {n}"}, fields=("name",))
        for n in range(3)
    ]

    answers = sent(target, update)

    assert told(answers) == ["Written", "GoneError", "Written"]
    assert names(place) == {"E0": "new 0", "E2": "new 2"}


def test_updates_of_other_columns_go_in_one_batch(place: Place, db: SqlLink) -> None:
    target = table(db)
    sent(target, [person(number) for number in range(2)])

    sent(
        target,
        [
            change(Kind.UPDATE, key="E0", target_id="E0", document={"name": "new", "email": "e0"}, fields=("name",)),
            change(Kind.UPDATE, key="E1", target_id="E1", document={"name": "new", "email": "e1"}, fields=("email",)),
        ],
    )

    assert sorted(place.run("SELECT external_id, name, email FROM people")) == [
        ("E0", "new", None),
        ("E1", "N1", "e1"),
    ]


def test_a_batch_of_deletes_removes_what_is_there(place: Place, db: SqlLink) -> None:
    target = table(db)
    sent(target, [person(number) for number in range(3)])

    answers = sent(target, [change(Kind.DELETE, key=f"E{n}", target_id=f"E{n}") for n in (0, 2, 9)])

    assert list(answers) == [None, None, None]
    assert list(names(place)) == ["E1"]


def test_rows_that_need_each_other_are_told_apart(place: Place, db: SqlLink) -> None:
    place.run("CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES staff (id))")
    staff = [change(key=str(n), document={"id": n, "boss": boss}) for n, boss in ((1, None), (2, 1), (3, 99), (4, 2))]

    answers = sent(table(db, "staff"), staff)

    assert told(answers) == ["Written", "Written", "RefusedError", "Written"]
    refused = answers[2]
    assert isinstance(refused, RefusedError)
    assert refused.status == 409  # so that it is sent again after what may have to come first


# ---- what a column takes ----------------------------------------------------------------------------------------

TYPED = (
    "CREATE TABLE typed (id TEXT PRIMARY KEY, small SMALLINT, whole BIGINT, price NUMERIC(8,2), flag BOOLEAN, "
    "at {moment}, day DATE, raw {bytes}, tree {json}, needed TEXT NOT NULL DEFAULT 'x')"
)
WORDS = {
    "sqlite": {"moment": "TIMESTAMP", "bytes": "BLOB", "json": "JSON"},
    "postgresql": {"moment": "TIMESTAMPTZ", "bytes": "BYTEA", "json": "JSONB"},
}


@pytest.fixture
def typed(place: Place) -> Iterator[SqlLink]:
    place.run(TYPED.format(**WORDS[place.dialect]))
    with linked(place) as one:
        yield one


GOOD: dict[str, list[Any]] = {
    "small": [-32768, 32767],
    "whole": [2**63 - 1, -(2**63), Decimal("5.0")],
    "price": [Decimal("19.90"), Decimal("-999999.99"), 7, Decimal("1E+2")],
    "flag": [True, False],
    "at": ["2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00.123456Z"],
    "day": ["2026-02-28"],
    "raw": ["AAEC/w==", ""],
    "tree": [{"a": [1, None, Decimal("19.90"), 2**70]}, [], "text", True, 5],
    "needed": ["Zoë \u0301", "'; DROP TABLE typed; --"],
}


@pytest.mark.parametrize("column", GOOD)
def test_a_value_that_fits_comes_back_as_an_equal_one(typed: SqlLink, column: str) -> None:
    from daemon.sync.canonical import agrees

    target = table(typed, "typed")
    changes = [change(key=f"K{n}", document={"id": f"K{n}", column: one}) for n, one in enumerate(GOOD[column])]

    answers = sent(target, changes)

    assert told(answers) == ["Written"] * len(changes), [str(one) for one in answers]
    for one in changes:
        found = target.get(one.key, one.key, {})
        assert found is not None
        assert one.document is not None
        assert agrees(one.document, found.document), (one.document, found.document)
        assert [record.id for record in target.lookup(one.key, {})] == [one.key]


BAD: list[tuple[str, Any, str]] = [
    ("small", 32768, "what came is 32768, which is out of its range"),
    ("small", "7", "what came is the text '7'; write `| int`"),
    ("whole", 2**63, "out of its range"),
    ("whole", Decimal("1.5"), "the number 1.5"),
    ("whole", True, "what came is true"),
    ("price", Decimal("19.999"), "which it would round; write `| round(2)`"),
    ("price", Decimal("1000000.00"), "out of its range"),
    ("price", Decimal("NaN"), "no number"),
    ("flag", "yes", "true or false"),
    ("flag", 1, "true or false"),
    ("at", "yesterday", "the text 'yesterday'"),
    ("day", "31.12.2026", "dates such as 2026-01-31"),
    ("raw", "???", "base64"),
    ("needed", None, "null came, and it takes none"),
    ("needed", 5, "write `| string` in the map"),
    ("nothing", 5, "there is no such column; it has id, small"),
]


@pytest.mark.edge(37)
@pytest.mark.parametrize("place", ["sqlite"], indirect=True)  # it is checked before the database is asked
@pytest.mark.parametrize(("column", "value", "words"), BAD, ids=[f"{c} {w[:20]}" for c, _, w in BAD])
def test_a_value_that_does_not_fit_is_refused_by_its_column(
    place: Place, typed: SqlLink, column: str, value: Any, words: str
) -> None:
    with pytest.raises(RefusedError) as caught:
        table(typed, "typed").create(change(key="K", document={"id": "K", column: value}))

    assert f"typed.{column}: " in str(caught.value)
    assert words in str(caught.value)
    assert caught.value.status == 422
    assert place.run("SELECT count(*) FROM typed") == [(0,)]


@pytest.mark.servers
@pytest.mark.parametrize("place", ["postgres"], indirect=True)
@pytest.mark.parametrize(("column", "value"), [("needed", "a\0b"), ("tree", {"deep": ["a\0b"]})])
def test_a_nul_character_is_refused_where_the_database_cannot_keep_it(typed: SqlLink, column: str, value: Any) -> None:
    with pytest.raises(RefusedError, match=f"typed.{column}: .* NUL character"):
        table(typed, "typed").create(change(key="K", document={"id": "K", column: value}))


def test_a_time_without_an_offset_needs_to_be_told_its_zone(place: Place) -> None:
    zoned = "TIMESTAMP WITH TIME ZONE" if place.dialect == "postgresql" else "TIMESTAMP"
    place.run(f"CREATE TABLE events (id TEXT PRIMARY KEY, aware {zoned}, naive TIMESTAMP)")
    document = {"id": "K", "aware": "2026-07-01T12:00:00", "naive": "2026-07-01T10:00:00Z"}
    with linked(place) as db:
        if place.dialect == "postgresql":
            with pytest.raises(RefusedError, match=r"aware: .* no offset; say target.timezone"):
                table(db, "events").create(change(key="K", document=document))

        target = table(db, "events", timezone="Europe/Berlin")
        target.create(change(key="K", document=document))

        found = target.get("K", "K", {})
    assert found is not None
    if place.dialect == "postgresql":
        assert found.document["aware"] == "2026-07-01T10:00:00+00:00"
        assert found.document["naive"] == "2026-07-01T12:00:00+02:00"


# ---- keys --------------------------------------------------------------------------------------------------------


def test_a_row_of_several_match_columns_is_found_by_a_key_of_several_parts(place: Place) -> None:
    place.run("CREATE TABLE tickets (project TEXT, id BIGINT, title TEXT, PRIMARY KEY (project, id))")
    with linked(place) as db:
        target = table(db, "tickets")
        for project, number in (("a", 1), ("a", 2), ("b/c", 1)):
            key = f"{project}\x1f{number}"
            target.create(change(key=key, document={"project": project, "id": number, "title": "T"}))

        (found,) = target.lookup("a\x1f2", {})
        target.update(
            change(Kind.UPDATE, key="a\x1f2", target_id=found.id, document={"title": "new"}, fields=("title",))
        )
        sent(target, [change(Kind.DELETE, key="a\x1f1", target_id="a\x1f1")])

    assert sorted(place.run("SELECT project, id, title FROM tickets")) == [("a", 2, "new"), ("b/c", 1, "T")]


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("key", ["01", "1.0", " 1", "+1", "one", "1\x1f2", "9223372036854775808"])
def test_a_key_that_only_looks_like_a_number_finds_no_row(place: Place, key: str) -> None:
    place.run("CREATE TABLE numbered (id BIGINT PRIMARY KEY)", "INSERT INTO numbered VALUES (1)")
    with linked(place) as db:
        assert table(db, "numbered").lookup(key, {}) == ()
        assert table(db, "numbered").get(key, key, {}) is None
        with pytest.raises(GoneError):
            table(db, "numbered").update(change(Kind.UPDATE, key=key, target_id=key, document={}, fields=()))


def test_a_row_whose_key_would_not_find_it_again_is_refused(db: SqlLink) -> None:
    with pytest.raises(RefusedError, match="external_id would be E2, and the record's key is E1"):
        table(db).create(change(key="E1", document={"external_id": "E2", "name": "Ada"}))


def test_a_key_is_found_however_its_letters_are_composed(place: Place, db: SqlLink) -> None:
    decomposed = "Zoe\u0308"
    target = table(db)

    made = target.create(change(key="Zoë", document={"external_id": decomposed, "name": "Zoe"}))

    assert [record.id for record in target.lookup("Zoë", {})] == [made.id]
    target.delete(change(Kind.DELETE, key="Zoë", target_id=made.id))
    assert names(place) == {}


def test_an_update_may_give_a_row_another_key(place: Place, db: SqlLink) -> None:
    target = table(db)
    target.create(person(1))

    written = target.update(
        change(Kind.UPDATE, key="E2", target_id="E1", document={"external_id": "E2"}, fields=("external_id",))
    )

    assert written.id == "E2"
    assert list(names(place)) == ["E2"]


@pytest.mark.servers
@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_a_uuid_is_one_key_in_large_letters_and_small(place: Place) -> None:
    place.run("CREATE TABLE things (id UUID PRIMARY KEY, name TEXT)")
    key = "6F9619FF-8B86-D011-B42D-00CF4FC964FF"
    with linked(place) as db:
        target = table(db, "things")
        written = target.create(change(key=key, document={"id": key, "name": "T"}))
        with pytest.raises(ConflictError):
            target.create(change(key=key.lower(), document={"id": key.lower(), "name": "T"}))

        (found,) = target.lookup(key, {})

    assert (found.id, found.match) == (written.id, key) == (key.lower(), key)


# ---- versions ----------------------------------------------------------------------------------------------------


def test_an_update_of_a_row_that_moved_on_is_stale(place: Place) -> None:
    place.run("CREATE TABLE docs (id TEXT PRIMARY KEY, body TEXT, rev INTEGER NOT NULL DEFAULT 1)")
    with linked(place) as db:
        target = table(db, "docs", version="rev")
        made = target.create(change(key="K", document={"id": "K", "body": "a"}))
        assert made.version == "1"
        place.run("UPDATE docs SET body = 'by hand', rev = 2")
        update = {"target_id": "K", "document": {"body": "b"}, "fields": ("body",)}

        with pytest.raises(StaleError) as caught:
            target.update(change(Kind.UPDATE, key="K", version="1", **update))
        with pytest.raises(StaleError):
            target.delete(change(Kind.DELETE, key="K", target_id="K", version="1"))

        found = target.get("K", "K", {})
        assert found is not None
        assert (caught.value.status, found.version) == (412, "2")
        assert target.update(change(Kind.UPDATE, key="K", version="2", **update)) == Written("K", "2")
        assert place.run("SELECT body FROM docs") == [("b",)]


# ---- does the table fit -----------------------------------------------------------------------------------------

MAP = {"external_id": "record.external_id", "name": "record.name"}


def refusal(db: SqlLink, name: str = "people", **said: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        table(db, name, **{"map": MAP, **said}).prepare(False)
    return str(caught.value)


def test_a_table_that_fits_is_let_pass(db: SqlLink) -> None:
    table(db, map=MAP).prepare(True)


def test_a_column_that_is_not_there_is_told_before_the_run(db: SqlLink) -> None:
    said = refusal(db, map={**MAP, "mail": "record.mail", "address.city": "record.city"})

    assert "the map names column mail, and there is none; did you mean email?" in said
    assert "column address, and there is none; it has external_id, name, email" in said


def test_what_a_new_row_would_lack_is_told_before_the_run(db: SqlLink) -> None:
    assert "column name (VARCHAR(8)) takes no null and has no default" in refusal(db, map={"external_id": "record.x"})
    table(db, map={"external_id": "record.x"}, mode="update_only").prepare(False)


def test_match_columns_must_be_unique(place: Place, db: SqlLink) -> None:
    assert "no unique index on (name), so a key could come twice; run `CREATE UNIQUE INDEX" in refusal(db, match="name")
    place.run("CREATE UNIQUE INDEX by_name ON people (name, external_id)")
    table(db, map=MAP, match=["external_id", "name"]).prepare(False)
    place.run("CREATE TABLE loose (a TEXT, b TEXT)")
    assert "no primary key; name the columns" in refusal(db, "loose", map={"a": "record.a"})
    assert "key cannot be matched with b" not in refusal(db, "loose", map={"a": "record.a"}, match="b")


def test_a_partial_index_makes_nothing_unique(place: Place) -> None:
    place.run("CREATE TABLE part (id TEXT, gone INTEGER)", "CREATE UNIQUE INDEX live ON part (id) WHERE gone IS NULL")
    with linked(place) as db:
        assert "no unique index on (id)" in refusal(db, "part", match="id", map={"id": "record.id"})


def test_a_table_that_is_not_there_is_told(db: SqlLink) -> None:
    assert "there is no table persons that this user may see; make it, or say create_table: true" in refusal(
        db, "persons"
    )


@pytest.mark.edge(37)
def test_a_table_that_was_altered_between_runs_is_told(place: Place, db: SqlLink) -> None:
    kept = Kept()
    table(db, map={**MAP, "email": "record.email"}, kept=kept).prepare(True)
    place.run("ALTER TABLE people DROP COLUMN name", "ALTER TABLE people ADD COLUMN age INTEGER NOT NULL DEFAULT 1")

    with pytest.raises(
        ConfigError, match=r"column name \(VARCHAR\(8\)\), which the map names, was there at the last run"
    ):
        table(db, map=MAP, kept=kept).prepare(True)


def test_a_column_of_another_type_is_told_and_the_run_goes_on(place: Place) -> None:
    place.run("CREATE TABLE things (id TEXT PRIMARY KEY, size INTEGER)")
    kept = Kept()
    heard: list[str] = []
    said: dict[str, Any] = {"map": {"id": "record.id", "size": "record.size"}, "kept": kept}
    with linked(place, warn=lambda name, message: heard.append(message)) as db:
        table(db, "things", **said).prepare(True)
        place.run("DROP TABLE things", "CREATE TABLE things (id TEXT PRIMARY KEY, size TEXT)")

        table(db, "things", **said).prepare(True)
        table(db, "things", **said).prepare(True)

    assert heard == ["table things: column size is TEXT now; at the last run it was INTEGER"]


@pytest.mark.edge(37)
def test_a_table_that_is_altered_in_mid_run_ends_it(place: Place, db: SqlLink) -> None:
    target = table(db)
    target.create(person(1))
    place.run("ALTER TABLE people RENAME COLUMN name TO full_name")

    with pytest.raises(FatalError, match="the table is not what the job says"):
        target.create(person(2))


def test_a_plan_remembers_nothing_of_a_table(db: SqlLink) -> None:
    kept = Kept()
    table(db, map=MAP, kept=kept).prepare(False)
    assert kept.fact is None


# ---- a table that is made ----------------------------------------------------------------------------------------

COLUMNS = {"id": "integer", "project": "text(40)", "title": "text", "price": "decimal(12,2)", "at": "datetime"}
MADE: dict[str, Any] = {
    "create_table": True,
    "match": ["project", "id"],
    "columns": {**COLUMNS, "open": "boolean", "more": "json", "day": "date", "ref": "uuid", "size": "float"},
}


def test_a_table_is_made_of_what_the_job_says(place: Place) -> None:
    document = {
        "id": 9007199254740993,
        "project": "a",
        "title": "T",
        "price": Decimal("19.90"),
        "at": "2026-01-01T00:00:00+00:00",
        "open": True,
        "more": {"a": 1},
        "day": "2026-01-01",
        "ref": "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
        "size": Decimal("1.5"),
    }
    with linked(place) as db:
        table(db, "tickets", **MADE).prepare(False)
        assert list(table(db, "tickets", **MADE).list()) == [End("the last row", 1, 0, None)]
        target = table(db, "tickets", **MADE)
        target.prepare(True)
        table(db, "tickets", **MADE).prepare(True)

        target.create(change(key="a\x1f9007199254740993", document=document))

        (page, end) = target.list()
    assert isinstance(page, tuple)
    (record,) = page
    assert isinstance(record, TargetRecord)
    assert json.loads(json.dumps(record.document, default=float)) == json.loads(json.dumps(document, default=float))
    assert isinstance(end, End)


def test_a_table_that_is_there_is_never_altered(place: Place) -> None:
    place.run("CREATE TABLE tickets (project TEXT, id BIGINT, PRIMARY KEY (project, id))")
    with linked(place) as db, pytest.raises(ConfigError, match="names column title, and there is none"):
        table(db, "tickets", map=dict.fromkeys(("project", "id", "title"), "record"), **MADE).prepare(True)
