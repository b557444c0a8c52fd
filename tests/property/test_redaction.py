"""What the process knows to be secret comes out of no log, wherever it was put in."""

import base64
import html
import io
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import structlog
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from daemon.logs import Format, configure, get_logger
from daemon.redaction import BLOT, KNOWN, redact_text, redact_value
from tests.fakes.journal import journal

FORMATS: tuple[Format, ...] = ("json", "text", "journald")
STAND_IN = "zq7Stand+In/for=it"

secrets = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=4, max_size=40),
    st.text("abcXYZ019+/=_-.%&\"'\\<> \n", min_size=4, max_size=60),
    st.sampled_from(["hunter2!", "pa55 word&more", "Bearer", "1234567", "a'b\"c", "ünïcode-schlüssel", "\x1b[31mred"]),
)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    KNOWN.forget()


class Unprintable:
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __str__(self) -> str:
        raise ValueError(self._secret)

    __repr__ = __str__


class Talkative:
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __repr__(self) -> str:
        return f"<it has {self._secret!r}>"


def failed(secret: str) -> None:
    try:
        try:
            raise ValueError(secret)
        except ValueError as error:
            raise RuntimeError(f"because of {secret!r}") from error
    except RuntimeError:
        logging.getLogger("apscheduler").exception("job failed")
        get_logger().error("run.crashed", exc_info=True)


PLACES: Mapping[str, Callable[[str], Any]] = {
    "the event": lambda s: get_logger().info(f"it is {s}, look"),
    "a value": lambda s: get_logger().info("x", said=s),
    "twice in a value": lambda s: get_logger().info("x", said=f"<{s}|{s}>"),
    "bytes": lambda s: get_logger().info("x", said=f"x {s}".encode()),
    "a nested name": lambda s: get_logger().info("x", said={"a": [{s: 1}]}),
    "a name": lambda s: get_logger().info("x", **{f"a{s}": 1}),
    "nested": lambda s: get_logger().info("x", said={"a": [{"b": (1, {"c": s}), "d": {s}}]}),
    "very deep": lambda s: get_logger().info("x", said=[[[[[[[[[[[[{"a": s}]]]]]]]]]]]]),
    "an exception": lambda s: get_logger().info("x", said=ValueError(s, f"no {s}")),
    "an object": lambda s: get_logger().info("x", said=[Talkative(s)]),
    "what cannot be printed": lambda s: get_logger().info("x", said={"a": Unprintable(s)}),
    "a traceback": failed,
    "an argument": lambda s: logging.getLogger("urllib3.connectionpool").warning("%s: %r", "x", s),
    "arguments that do not fit": lambda s: logging.getLogger("urllib3").warning("%s %s", s),  # noqa: PLE1206 - that is it
    "arguments by name": lambda s: logging.getLogger("asyncio").warning("%(a)s", {"a": s}),
    "JSON": lambda s: get_logger().info("x", said=json.dumps({"a": s})),
    "an address": lambda s: get_logger().info("x", said=f"http://h/{quote(s, safe='')}/x"),
    "a form": lambda s: logging.getLogger("x").warning("a=%s&b=1", quote_plus(s)),
    "HTML": lambda s: get_logger().info("x", said=f"<p>{html.escape(s)}</p>"),
    "Base64": lambda s: get_logger().info("x", said=f"<{base64.b64encode(s.encode()).decode()}>"),
}


def told(form: Format, put: Callable[[str], Any], secret: str) -> str:
    KNOWN.forget()
    KNOWN.learn(secret)
    out = io.StringIO()
    with journal() as journald:
        configure(format=form, level="debug", stream=out)
        put(secret)
        if form == "journald":
            return "\n".join(json.dumps(entry) for entry in journald.entries())
    # The time of day is another each time, and may hold four digits by chance.
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "then", out.getvalue())


def texts(value: Any) -> Iterator[str]:
    """Give every name and text of a line."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield name
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif value is not None:
        yield str(value)


def said(form: Format, line: str) -> Iterator[str]:
    yield line
    if form != "text":
        for one in line.splitlines():
            yield from texts(json.loads(one[one.index("{") :]))


def shapes(secret: str) -> set[str]:
    encoded = {quote(secret, safe=""), quote_plus(secret), html.escape(secret), json.dumps(secret)[1:-1]}
    return {secret, repr(secret)[1:-1], base64.b64encode(secret.encode()).decode().rstrip("="), *encoded}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("place", PLACES)
@given(secret=secrets)
@settings(max_examples=40)
def test_a_known_secret_comes_out_of_no_place_in_no_form(form: Format, place: str, secret: str) -> None:
    # Words of the lines themselves, and of the mark, cannot be hidden.
    around = "\n".join(said(form, told(form, PLACES[place], STAND_IN)))
    assume(secret not in around)
    assume(secret not in BLOT)

    line = told(form, PLACES[place], secret)

    assert line
    for seen in said(form, line):
        for shape in shapes(secret):
            assert shape not in seen or shape in around


@given(secret=st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=20, max_size=60), length=st.integers(16, 60))
def test_a_secret_that_was_cut_off_does_not_come_out_either(secret: str, length: int) -> None:
    KNOWN.forget()
    KNOWN.learn(secret)

    assert redact_text(f"begins: {secret[:length]}") == f"begins: {BLOT}"


@given(
    user=st.text(st.characters(codec="ascii", categories=["L", "N"]), max_size=12),
    secret=st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=8, max_size=40),
    after=st.text(st.characters(codec="ascii", categories=["L"]), max_size=5),
)
def test_a_secret_inside_of_other_base64_does_not_come_out(user: str, secret: str, after: str) -> None:
    KNOWN.forget()
    KNOWN.learn(secret)
    encoded = base64.b64encode(f"{user}:{secret}{after}".encode()).decode()

    left = redact_text(f"sent {encoded}").partition("sent ")[2]

    assert BLOT in left
    kept = left.replace(BLOT, "")
    # Of a secret that repeats itself, the first group of four may stay.
    assert len(kept) <= len(encoded) - len(secret) * 8 // 6 + 4


pieces = st.sampled_from(
    [
        "token", "password", "=", ": ", '"', "'", "\\", "Bearer ", "basic ", "eyJhbGciOi.eyJzdWIi.sig", "://u:p@h/",
        "?", "a=b&c", "[redacted]", "redacted", "…", "]", "[", "hunter2!", " ", "\n", "-----BEGIN PRIVATE KEY-----",
        "Cookie: ", "/x", "-----END PRIVATE KEY-----", "abcdef123", ",", "&", ";",
    ]
)  # fmt: skip
joined = st.lists(pieces, max_size=12).map("".join)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=8) | joined | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(joined, inner, max_size=3),
    max_leaves=8,
)


@given(value=values, known=st.lists(pieces | secrets, max_size=3))
def test_done_twice_is_as_done_once(value: Any, known: list[str]) -> None:
    KNOWN.forget()
    for secret in known:
        KNOWN.learn(secret)

    once = redact_value(value)

    assert repr(redact_value(once)) == repr(once)
    json.dumps(once)


@given(value=values)
def test_what_is_called_a_secret_is_gone_whatever_it_is(value: Any) -> None:
    told = redact_value({"client_secret": value, "Set-Cookie": value, "n": [("X-Api-Key", value)]})

    for one in (told["client_secret"], told["Set-Cookie"], told["n"][0][1]):
        assert one == BLOT or one is None or isinstance(one, bool) or abs(one) < 10_000


def test_what_refers_to_itself_has_an_end() -> None:
    endless: dict[str, Any] = {}
    endless["more"] = [endless]

    assert "more" in str(redact_value(endless))


def test_memory_is_bounded_and_what_an_operator_gave_outlives_tokens() -> None:
    KNOWN.learn("of-the-job-file")
    for number in range(500):
        KNOWN.learn_token(f"issued-number-{number:06}")

    assert redact_text("of-the-job-file issued-number-000499") == f"{BLOT} {BLOT}"
    assert redact_text("here is number-000001") == "here is number-000001"
    assert len(KNOWN._tokens) < 200


def test_the_secret_that_has_a_name_now_outlives_a_thousand_rotations_of_another() -> None:
    KNOWN.learn_as("steady", "steady-secret")
    for number in range(1500):
        KNOWN.learn_as("rotated", f"rotated-number-{number:06}")

    assert redact_text("steady-secret rotated-number-001499 rotated-number-001490") == f"{BLOT} {BLOT} {BLOT}"
    assert len(KNOWN._lasting) < 1100
