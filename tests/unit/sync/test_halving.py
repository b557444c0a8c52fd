"""A whole that is refused is taken apart until those at fault stand alone."""

from collections.abc import Sequence
from math import ceil, log2

from hypothesis import given
from hypothesis import strategies as st

from daemon.errors import (
    ConflictError,
    EndpointError,
    RefusedError,
    StoppedError,
    UnavailableError,
    UnknownError,
)
from daemon.sync.halving import in_parts
from daemon.sync.ports import WholeRefusedError

SETS = st.integers(1, 60).flatmap(
    lambda size: st.tuples(st.just(size), st.sets(st.integers(0, size - 1), max_size=size), st.booleans())
)


class AllOrNothing:
    """Takes a part if nothing in it is bad, and may name the first that is."""

    def __init__(self, bad: set[int], *, names: bool = False) -> None:
        self.bad, self.names = bad, names
        self.requests: list[list[int]] = []
        self.done: list[int] = []

    def send(self, part: Sequence[int]) -> Sequence[str]:
        self.requests.append(list(part))
        at_fault = next((place for place, one in enumerate(part) if one in self.bad), None)
        if at_fault is not None:
            error = RefusedError(f"{part[at_fault]} is bad", status=400)
            raise WholeRefusedError(error, named={at_fault: error} if self.names else None)
        self.done += part
        return [f"{one} done" for one in part]


@given(SETS)
def test_each_good_one_is_done_once_and_each_bad_one_refused_by_itself(case: tuple[int, set[int], bool]) -> None:
    size, bad, names = case
    target = AllOrNothing(bad, names=names)

    answers = in_parts(range(size), target.send)

    good = [one for one in range(size) if one not in bad]
    assert sorted(target.done) == good
    assert [one for one, answer in enumerate(answers) if answer == f"{one} done"] == good
    refused = {one: str(answer) for one, answer in enumerate(answers) if isinstance(answer, RefusedError)}
    assert refused == {one: f"{one} is bad" for one in bad}


@given(SETS)
def test_a_bad_one_costs_at_most_two_requests_for_each_halving(case: tuple[int, set[int], bool]) -> None:
    size, bad, names = case
    target = AllOrNothing(bad, names=names)

    in_parts(range(size), target.send)

    most = len(bad) if names else 2 * len(bad) * ceil(log2(size)) if size > 1 else 0
    assert len(target.requests) <= 1 + most


def test_what_comes_before_the_end_of_the_system_keeps_its_answer() -> None:
    """It goes away while the second half is sent: the first half is done, and the second surely not."""
    requests: list[Sequence[int]] = []

    def send(part: Sequence[int]) -> Sequence[str]:
        requests.append(part)
        if len(requests) == 1:
            raise WholeRefusedError(RefusedError("one of them", status=413))
        if len(requests) == 3:
            raise UnavailableError("connection refused")
        return ["done" for _ in part]

    answers = in_parts(range(4), send)

    assert answers[:2] == ["done", "done"]
    assert all(isinstance(one, UnavailableError) and not one.may_be_done for one in answers[2:])


def test_what_was_to_follow_a_lost_answer_was_surely_not_sent() -> None:
    requests: list[Sequence[int]] = []

    def send(part: Sequence[int]) -> Sequence[str]:
        requests.append(part)
        if len(requests) == 1:
            raise WholeRefusedError(RefusedError("one of them", status=413))
        raise UnavailableError("answered 503", status=503, may_be_done=True)

    answers = in_parts(range(4), send)

    assert [isinstance(one, UnavailableError) and one.may_be_done for one in answers] == [True, True, False, False]


def test_what_an_earlier_request_may_have_done_stays_in_doubt_when_no_other_can_be_made() -> None:
    requests: list[Sequence[int]] = []

    def send(part: Sequence[int]) -> Sequence[str]:
        requests.append(part)
        if len(requests) == 1:
            raise WholeRefusedError(RefusedError("answered 500", status=500), may_be_done=True)
        raise StoppedError("asked to stop")

    answers = in_parts(range(2), send)

    assert [type(one) for one in answers] == [UnknownError, UnknownError]


def test_what_is_in_the_way_after_a_doubtful_request_may_be_our_own() -> None:
    requests: list[Sequence[int]] = []

    def send(part: Sequence[int]) -> Sequence[EndpointError]:
        requests.append(part)
        if len(requests) == 1:
            raise WholeRefusedError(RefusedError("answered 500", status=500), may_be_done=True)
        raise ConflictError("it exists", status=409)

    answers = in_parts(range(2), send)

    assert [type(one) for one in answers] == [UnknownError, UnknownError]


def test_a_place_that_is_not_in_the_part_names_nobody() -> None:
    sent: list[int] = []

    def send(part: Sequence[int]) -> Sequence[str]:
        if len(part) > 1:
            raise WholeRefusedError(RefusedError("bad"), named={9: RefusedError("the tenth")})
        sent.extend(part)
        return ["done"]

    assert in_parts(range(3), send) == ["done"] * 3
    assert sent == [0, 1, 2]
