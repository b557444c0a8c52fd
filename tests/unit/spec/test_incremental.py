"""What a job file may say of its cursor, and what is told of the rest."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from daemon.spec import Reconcile, SpecError, job_revision, load
from tests.unit.sync.harness import job

YAML = """
version: 1
connections: {{a: {{host: "https://a.example.test"}}}}
jobs:
  tickets:
    mode: {mode}
    source: {{connection: a, read: tickets{source}}}
    key: record.id
    target: {{connection: a, create: t, update: t, delete: t}}
{more}
"""
ASKS = ', params: {since: "{{ cursor.start }}"}'


def problems(tmp_path: Path, source: str, *, more: str = "", mode: str = "upsert") -> list[str]:
    (tmp_path / "crudsd.yaml").write_text(YAML.format(source=source, more=more, mode=mode), encoding="utf-8")
    try:
        load(tmp_path)
    except SpecError as error:
        return [f"{one.message}; {one.cure}" for one in error.problems]
    return []


@pytest.mark.parametrize(
    "said",
    [
        "{field: updated_at}",
        "{field: meta.updated-at, lookback: 5m, settle: 30s, order: ascending, timezone: Europe/Berlin}",
        "{field: record.updated_at | default(record.created_at)}",
        "{field: seq, type: number, lookback: 100, start: 0}",
        '{next: "header:ETag"}',
        "{next: last_seq, next_on: last}",
    ],
)
def test_cursors_of_all_kinds_are_taken(tmp_path: Path, said: str) -> None:
    assert problems(tmp_path, f"{ASKS}, incremental: {said}") == []


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{}", "say which field"),
        ("{field: updated_at, lookback: 100}", "lookback is a length of time"),
        ("{field: seq, type: number, lookback: 5m}", "numbers have no clock"),
        ("{type: etag, field: at}", "an etag has no other settings"),
        ("{type: token}", "say where, with next"),
        ("{next: last_seq, field: seq}", "a token has no field"),
        ("{field: seq, type: number, next: seq}", "next is for tokens"),
        ("{field: updated_at, timezone: Europe/Berln}", "did you mean 'Europe/Berlin'"),
        ("{field: rekord.updated_at | trim}", "unknown name 'rekord'"),
        ("{next: 'a b'}", "not a JMESPath"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_cure(tmp_path: Path, said: str, message: str) -> None:
    (told,) = problems(tmp_path, f"{ASKS}, incremental: {said}")

    assert message in told


def test_a_request_that_asks_for_nothing_is_told(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, ", incremental: {field: updated_at}")

    assert "nothing in the request asks for what changed" in told


def test_a_request_that_asks_by_a_cursor_that_is_not_there_is_told(tmp_path: Path) -> None:
    (told,) = problems(tmp_path, ASKS)

    assert "only an incremental job has a cursor" in told


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("    reconcile: {every: 24h}", "reconcile is for incremental jobs"),
        ("    reconcile: {every: 24h, between: 2-4}", "two times of the day"),
        ("    reconcile: {between: '02:00-04:00'}", "exactly one of every and cron"),
        ("    reconcile: {cron: 'x', timezone: Europe/Berln}", "did you mean"),
    ],
)
def test_a_reconcile_that_makes_no_sense_is_told(tmp_path: Path, more: str, message: str) -> None:
    assert any(message in told for told in problems(tmp_path, "", more=more))


def test_tombstones_need_a_mode_and_a_request_that_delete(tmp_path: Path) -> None:
    assert "deletes nothing" in problems(tmp_path, ", tombstone: record.gone", mode="append")[0]
    assert problems(tmp_path, ", tombstone: record.gone") == []


def test_an_ignored_field_can_be_no_cursor(tmp_path: Path) -> None:
    told = problems(tmp_path, f"{ASKS}, incremental: {{field: at}}", more="    ignore: [at]")

    assert any("'at' is ignored" in one for one in told)


def test_how_carefully_to_read_is_not_part_of_the_revision() -> None:
    def revision(**rules: Any) -> str:
        read = {"uri": "x", "params": {"since": "{{ cursor.start }}"}}
        return job_revision(job(source={"connection": "hr", "read": read, "incremental": {"field": "at", **rules}}))

    assert revision() == revision(lookback="5m", settle="30s", order="ascending")
    assert revision() != revision(timezone="Europe/Berlin")
    assert revision() != revision(start="2026-01-01")


NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "last", "now", "is_due"),
    [
        ({"every": "24h"}, None, NOON, True),
        ({"every": "24h"}, NOON - timedelta(hours=23), NOON, False),
        ({"every": "24h"}, NOON - timedelta(hours=24), NOON, True),
        ({"every": "24h", "between": "02:00-04:00"}, None, NOON, False),
        ({"every": "24h", "between": "02:00-04:00"}, datetime(2026, 3, 1, 2, 50, tzinfo=UTC), NOON, False),
        (
            {"every": "24h", "between": "02:00-04:00"},
            datetime(2026, 3, 1, 3, 50, tzinfo=UTC),
            datetime(2026, 3, 2, 2, 5, tzinfo=UTC),
            True,
        ),
        ({"every": "24h", "between": "22:00-02:00"}, None, datetime(2026, 3, 2, 1, 0, tzinfo=UTC), True),
        ({"every": "1h", "between": "11:00-14:00", "timezone": "Asia/Tokyo"}, None, NOON, False),
        ({"cron": "0 2 * * sun"}, datetime(2026, 3, 1, 2, 5, tzinfo=UTC), NOON, False),
        ({"cron": "0 2 * * sun"}, datetime(2026, 2, 22, 2, 5, tzinfo=UTC), NOON, True),
    ],
)
def test_a_full_read_is_due(said: dict[str, Any], last: datetime | None, now: datetime, is_due: bool) -> None:
    assert Reconcile.model_validate(said).is_due(last, now) is is_due
