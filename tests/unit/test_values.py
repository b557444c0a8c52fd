"""A secret is held, compared and revealed, and shows itself nowhere else."""

import copy
import dataclasses
import json
import logging
import pickle
from typing import Any

import msgspec
import pytest

from daemon.values import Secret

SECRET = Secret("hunter2-canary")


@pytest.mark.parametrize(
    "shown",
    [
        str(SECRET),
        repr(SECRET),
        f"{SECRET}",
        f"{SECRET!r:>40}",
        f"{SECRET:>40}",
        f"{[SECRET]} { ({'a': SECRET}) }",
        "%s %r" % (SECRET, SECRET),  # noqa: UP031 - each way of formatting
        "{0} {0!r}".format(SECRET),  # noqa: UP032
        repr(ValueError(SECRET)),
        logging.LogRecord("n", 10, "p", 1, "%s", (SECRET,), None).getMessage(),
        json.dumps({"a": SECRET}, default=str),
    ],
)
def test_no_way_of_printing_shows_it(shown: str) -> None:
    assert "hunter2" not in shown
    assert "Secret(" in shown


@pytest.mark.parametrize(
    "write",
    [
        pickle.dumps,
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        msgspec.to_builtins,
        dataclasses.asdict,
        vars,
        dict,
        list,
        len,
        bytes,
    ],
)
def test_nothing_that_walks_over_values_gets_into_it(write: Any) -> None:
    with pytest.raises(TypeError) as caught:
        write(SECRET)
    assert "hunter2" not in str(caught.value)


def test_a_value_that_holds_one_does_not_give_it_away() -> None:
    @dataclasses.dataclass
    class Holder:
        token: Secret

    assert dataclasses.asdict(Holder(SECRET)) == {"token": SECRET}
    with pytest.raises(TypeError):
        msgspec.json.encode(Holder(SECRET))


def test_it_is_revealed_where_it_is_sent() -> None:
    assert SECRET.reveal() == "hunter2-canary"


@pytest.mark.parametrize("text", ["hunter2-canarY", "", "hunter2-canary\n", "hunter2-canaré", "\ud800"])
def test_it_equals_only_one_of_the_same_text(text: str) -> None:
    assert Secret(text) == Secret(text)
    assert hash(Secret(text)) == hash(Secret(text))
    assert Secret(text) != SECRET
    assert Secret(text) != text


def test_it_does_not_change() -> None:
    with pytest.raises(AttributeError):
        SECRET._text = "other"
    with pytest.raises(AttributeError):
        del SECRET._text
    with pytest.raises(AttributeError):
        SECRET.note = "more"
    assert copy.copy(SECRET) is copy.deepcopy(SECRET) is SECRET
