"""What the log says, in which form, and what it never says."""

import io
import json
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from daemon.app import open_app
from daemon.clock import utc_clock
from daemon.logs import BLOT, LogObserver, bound, configure, get_logger, redact
from daemon.runtime.stop_request import StopRequest
from daemon.runtime.work import Fire
from daemon.serving import ServedProgram
from daemon.store import schema
from daemon.store.database import open_database
from daemon.sync.contest import Contested
from daemon.sync.events import FieldContested, PartFailed
from daemon.values import Secret
from tests.fakes.misbehaving import Fault, MisbehavingServer
from tests.integration.harness import Desk
from tests.integration.test_bad_input import Scene, person


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    before = structlog.get_config()
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


# ---- forms ----


def test_a_line_of_json_has_event_level_time_and_what_is_bound(out: io.StringIO) -> None:
    configure(format="json", stream=out)

    with bound(job="people", run="r1"):
        get_logger().info("run.began", records=3)
    get_logger().info("service.ready")

    first, second = lines(out)
    assert first["timestamp"].endswith("Z")
    assert {**first, "timestamp": ""} == {
        "event": "run.began",
        "level": "info",
        "job": "people",
        "run": "r1",
        "records": 3,
        "timestamp": "",
    }
    assert "job" not in second


def test_a_pipe_gets_json_and_no_colours(out: io.StringIO) -> None:
    configure(stream=out)
    get_logger().warning("guard.tripped", message="zwölf\nZeilen\x1b[31m")

    assert lines(out)[0]["message"] == "zwölf\nZeilen\x1b[31m"
    assert len(out.getvalue().splitlines()) == 1
    assert "\x1b" not in out.getvalue()


def test_the_text_form_is_for_people(out: io.StringIO) -> None:
    configure(format="text", stream=out)
    get_logger().info("run.began", job="people")

    assert "run.began" in out.getvalue()
    assert "job=people" in out.getvalue()
    assert "\x1b" not in out.getvalue()


def test_the_journal_gets_priorities(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w+", encoding="utf-8") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        configure(stream=stream, level="debug")
        log = get_logger()
        for tell in (log.debug, log.info, log.warning, log.error):
            tell("an.event", text="two\nlines")
        logging.getLogger("apscheduler").error("from the standard library")
        stream.seek(0)
        told = stream.read().splitlines()

    assert [line[:3] for line in told] == ["<7>", "<6>", "<4>", "<3>", "<3>"]
    assert [json.loads(line[3:])["level"] for line in told] == ["debug", "info", "warning", "error", "error"]


def test_another_stream_than_the_journals_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:2")
    with (tmp_path / "file").open("w+", encoding="utf-8") as stream:
        configure(stream=stream)
        get_logger().info("an.event")
        stream.seek(0)
        assert stream.read().startswith("{")


@pytest.mark.parametrize(("level", "told"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_a_level_leaves_out_what_is_below_it(out: io.StringIO, level: str, told: int) -> None:
    configure(format="json", level=level, stream=out)
    log = get_logger()

    for tell in (log.debug, log.info, log.warning, log.error):
        tell("an.event")

    assert len(lines(out)) == told


def test_other_libraries_talk_at_info_only_when_developers_ask(out: io.StringIO) -> None:
    other = logging.getLogger("some.library")
    configure(format="json", level="info", stream=out)
    other.info("chatter")
    other.warning("look at %s", "this")
    configure(format="json", level="debug", stream=out)
    other.debug("chatter")

    assert [line["event"] for line in lines(out)] == ["look at this", "chatter"]


def test_an_exception_of_another_library_keeps_its_traceback_and_loses_its_secrets(out: io.StringIO) -> None:
    configure(format="json", stream=out)
    try:
        raise ValueError("refused: Bearer abcdef123456 at /x?key=canary")
    except ValueError:
        logging.getLogger("apscheduler").exception("Error submitting job")
        get_logger().error("run.crashed", exc_info=True)

    for line in lines(out):
        assert "Traceback" in line["exception"]
        assert "abcdef123456" not in line["exception"]
        assert "canary" not in line["exception"]


def test_lines_of_many_threads_do_not_mix(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+", encoding="utf-8") as stream:
        configure(format="json", stream=stream)
        barrier = threading.Barrier(8, timeout=20)

        def talk(number: int) -> None:
            barrier.wait()
            for _ in range(100):
                if number % 2:
                    get_logger().warning("an.event", text="x" * 200)
                else:
                    logging.getLogger("other").warning("x" * 200)

        threads = [threading.Thread(target=talk, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stream.seek(0)
        told = stream.read().splitlines()

    assert len([json.loads(line) for line in told]) == 800


def test_a_field_that_does_not_converge_is_a_warning_without_its_values(out: io.StringIO) -> None:
    configure(format="json", stream=out)

    LogObserver(get_logger())(FieldContested(Contested("email", 12, "E17", "Canary@x", "canary@x")))

    (line,) = lines(out)
    assert (line["event"], line["level"], line["field"], line["records"]) == ("field.contested", "warning", "email", 12)
    assert "does not converge" in line["message"]
    assert "canary" not in out.getvalue().lower()


def test_failing_parts_are_warnings_until_there_are_many(out: io.StringIO) -> None:
    configure(format="json", stream=out)
    observe = LogObserver(get_logger())

    for number in range(9):
        observe(PartFailed(f"p{number}", "it could not be read: 404"))

    assert [(line["event"], line["level"], line["part"]) for line in lines(out)] == [
        ("part.failed", "warning", f"p{number}") for number in range(3)
    ]


# ---- what is never said ----


@pytest.mark.parametrize(
    "name",
    ["authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "client_secret", "password", "db_passwd",
     "access_token", "X-Auth-Token", "api_key", "API-Key", "apikey", "credentials"],
)  # fmt: skip
@pytest.mark.parametrize("value", ["canary", b"canary", ["canary"], {"a": "canary"}, ("x", "canary")])
def test_what_is_secret_by_its_name_is_blotted_out(name: str, value: object) -> None:
    assert redact(None, "info", {"event": "x", name: value}) == {"event": "x", name: BLOT}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("sent Authorization: Bearer abc.def-123 to it", f"sent Authorization: Bearer {BLOT} to it"),
        ("basic dXNlcjpwYXNz!", f"basic {BLOT}!"),
        ("grant_type=x&client_secret=abc&n=1", f"grant_type=x&client_secret={BLOT}&n=1"),
        ("refresh_token=abc", f"refresh_token={BLOT}"),
        ('"GET /users?external_id=E7&page=2 HTTP/1.1" 200', '"GET /users?external_id=…&page=… HTTP/1.1" 200'),
        ("/users?E7", "/users?=…"),
        ("/users?a=1#b=2", "/users?a=…#b=…"),
        ("https://x/y%20?q=a+b%26c, then", "https://x/y%20?q=… then"),
        ("the answer is HTML; is the address right?", "the answer is HTML; is the address right?"),
        ("really? yes", "really? yes"),
        ("items[?active]", "items[?active]"),
        ("basic idea", "basic idea"),
    ],
)  # fmt: skip
def test_what_looks_secret_in_a_text_is_blotted_out(text: str, left: str) -> None:
    assert redact(None, "info", {"event": text})["event"] == left
    assert redact(None, "info", {"event": "x", "facts": [text]})["facts"] == [left]


def test_numbers_stay_numbers() -> None:
    facts = {"event": "x", "tokens": 3, "took_s": 1.5, "ok": True, "none": None}

    assert redact(None, "info", dict(facts)) == facts


def test_debug_lines_of_the_http_library_show_no_query(out: io.StringIO) -> None:
    configure(format="json", level="debug", stream=out)
    logging.getLogger("urllib3.connectionpool").debug(
        '%s://%s:%s "%s %s %s" %s %s', "http", "h", 80, "GET", "/users?email=canary@x&page=2", "HTTP/1.1", 200, 5
    )

    assert "canary" not in out.getvalue()
    assert "/users?email=…&page=…" in lines(out)[0]["event"]


# ---- a run ----


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with MisbehavingServer(seed=1) as one:
        yield one


@pytest.fixture
def scene(server: MisbehavingServer, tmp_path: Path) -> Scene:
    return Scene(server, tmp_path)


def carried_out(desk: Desk) -> None:
    with open_app(desk.settings) as app:
        work = ServedProgram(app).work()
        run = work.fire(Fire("people", utc_clock()))
        assert run is not None
        work.carry_out("people", run, StopRequest())


def test_a_run_tells_its_story_in_under_ten_lines(scene: Scene, out: io.StringIO) -> None:
    configure(format="json", stream=out)

    carried_out(scene.desk)
    scene.people.put([person(1, name="Other"), person(900)])
    carried_out(scene.desk)

    told = lines(out)
    runs = [[line for line in told if line["run"] == run] for run in dict.fromkeys(line["run"] for line in told)]
    assert [len(run) < 10 for run in runs] == [True, True]
    for run in runs:
        assert (run[0]["event"], run[-1]["event"]) == ("run.began", "run.ended")
        assert {line["job"] for line in run} == {"people"}
    assert (runs[0][-1]["created"], runs[1][-1]["created"], runs[1][-1]["updated"]) == (350, 1, 1)


def test_the_run_after_a_crash_stays_brief_too(scene: Scene, server: MisbehavingServer, out: io.StringIO) -> None:
    server.fault(Fault.close_after(), method="POST", path="^/users")
    server.fault(Fault.answer(500), method="GET", path="^/users", nth=351)
    scene.desk.run()
    server.behave()
    configure(format="json", stream=out)

    carried_out(scene.desk)

    assert len(lines(out)) < 10


def test_a_run_told_to_developers_holds_no_record_and_no_query(scene: Scene, out: io.StringIO) -> None:
    configure(format="json", level="debug", stream=out)

    carried_out(scene.desk)

    told = out.getvalue()
    assert "example.test" not in told
    assert "external_id=E" not in told
    assert "Bearer" not in told
    assert {line["event"] for line in lines(out)} >= {"request.attempted", "page.done", "change.settled"}


# ---- other libraries ----


@pytest.mark.filterwarnings("default")
def test_a_warning_goes_to_the_log_and_loses_its_secrets(out: io.StringIO) -> None:
    Secret("of-no-special-form").reveal()
    configure(format="json", stream=out)

    warnings.warn("it said of-no-special-form", UserWarning, stacklevel=1)

    (line,) = lines(out)
    assert line["level"] == "warning"
    assert f"UserWarning: it said {BLOT}" in line["event"]


def test_a_traceback_shows_no_local_variables(out: io.StringIO) -> None:
    configure(format="text", stream=out)
    try:
        local = "of-a-local-variable".upper()
        raise ValueError(len(local))
    except ValueError:
        get_logger().error("run.crashed", exc_info=True)

    assert "Traceback" in out.getvalue()
    assert "OF-A-LOCAL-VARIABLE" not in out.getvalue()


def test_the_statements_of_the_database_library_show_no_secret(out: io.StringIO, tmp_path: Path) -> None:
    Secret("of-no-special-form").reveal()
    configure(format="json", level="debug", stream=out)

    with open_database(str(tmp_path / "crudsd.db")) as database:
        schema.upgrade(database)
        database.put_fact("of-no-special-form", b"of-no-special-form")
    for name in (
        "sqlalchemy.engine.Engine",
        "alembic.runtime.migration",
        "urllib3.util.retry",
        "apscheduler.scheduler",
        "asyncio",
    ):
        logging.getLogger(name).warning("[generated in 0.1s] %r", (b"of-no-special-form", {"a": "of-no-special-form"}))

    told = lines(out)
    assert len([line for line in told if BLOT in line["event"]]) >= 5
    assert "of-no-special-form" not in out.getvalue()
