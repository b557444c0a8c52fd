"""Carry out several changes in one request, and see to each of them by itself.

What a batch says of a change is what a request of its own would have said. So a change goes on as if it had been sent
alone: refused, adopted, read again, looked up. Only what needs no further request is settled with the batch.
Called from the pool's threads; touches nothing but the target.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from daemon.errors import ConflictError, EndpointError, PutOffError, StaleError, UnknownError

from .change import Change, Fate, Kind, Outcome
from .halving import in_parts
from .passing import PassingTarget
from .permits import Permits
from .ports import Accepted, Answer, Target, Written
from .write import RunStopError, carry_out


@dataclass(frozen=True, slots=True)
class Told:
    """What one request, or what followed it, came to."""

    outcomes: tuple[Outcome, ...] = ()
    unsettled: tuple[tuple[Change, EndpointError], ...] = ()
    """Changes whose answer asks for a further request, each with that answer."""
    stopped_by: EndpointError | None = None
    """Why the target can take no change at all now; None when it can."""


def carry_out_alone(change: Change, target: Target, permits: Permits) -> Told:
    """Make one change."""
    try:
        return Told((carry_out(change, target, permits),))
    except RunStopError as stop:
        return Told((stop.outcome,), stopped_by=stop.cause)


def carry_out_rest(change: Change, answer: EndpointError, target: Target, permits: Permits) -> Told:
    """Go on with a change of a batch after its answer."""
    if isinstance(answer, PutOffError):
        return carry_out_alone(change, target, permits)
    return carry_out_alone(change, _Answered(target, answer), permits)


def carry_out_together(changes: Sequence[Change], target: Target, permits: Permits) -> Told:
    """Make several changes of one kind in one request."""
    if len(changes) == 1:
        return carry_out_alone(changes[0], target, permits)
    told: list[Told] = []
    unsettled: list[tuple[Change, EndpointError]] = []
    sent = [replace(one, body=permits.updatable(one.document)) if one.kind is Kind.UPDATE else one for one in changes]
    for change, answer in zip(changes, answers(sent, target), strict=True):
        if isinstance(answer, EndpointError) and _asks_for_more(change, answer):
            unsettled.append((change, answer))
        else:
            told.append(carry_out_alone(change, _Answered(target, answer), permits))
    return Told(
        tuple(outcome for one in told for outcome in one.outcomes),
        tuple(unsettled),
        next((one.stopped_by for one in told if one.stopped_by is not None), None),
    )


def given_up(unsettled: Iterable[tuple[Change, EndpointError]]) -> tuple[Outcome, ...]:
    """Return what becomes of changes that are not gone on with, since the target takes nothing more.

    What was refused only for the record that is there was not carried out, so the next run plans it anew.
    """
    return tuple(
        Outcome(
            change,
            Fate.UNKNOWN if isinstance(answer, UnknownError) else Fate.DROPPED,
            reason=str(answer),
            status=answer.status,
            excerpt=answer.excerpt,
        )
        for change, answer in unsettled
    )


def answers(changes: Sequence[Change], target: Target) -> list[Answer]:
    """Send changes of one kind, together or in parts, and return what the target says of each, in order."""

    def send(part: Sequence[Change]) -> Sequence[Answer]:
        if len(part) == 1:
            return [_sent_alone(part[0], target)]
        said = target.write(part)
        if len(said) != len(part):
            raise UnknownError(f"{len(part)} changes were sent and {len(said)} answered, so nothing is known of any")
        return said

    return in_parts(changes, send)


def _sent_alone(change: Change, target: Target) -> Answer:
    if change.kind is Kind.CREATE:
        return target.create(change)
    return target.update(change) if change.kind is Kind.UPDATE else target.delete(change)


def _asks_for_more(change: Change, answer: EndpointError) -> bool:
    is_lost = isinstance(answer, UnknownError) and change.kind is Kind.CREATE
    return is_lost or isinstance(answer, (ConflictError, StaleError, PutOffError))


class _Answered(PassingTarget):
    """A target whose answer to the first write of a change is known. What comes after it goes there."""

    def __init__(self, target: Target, answer: Answer) -> None:
        super().__init__(target)
        self._answers: list[Answer] = [answer]

    def create(self, change: Change) -> Written:
        """Return what the batch said, once."""
        return _written(self._answers.pop()) if self._answers else super().create(change)

    def update(self, change: Change) -> Written:
        """Return what the batch said, once."""
        return _written(self._answers.pop()) if self._answers else super().update(change)

    def delete(self, change: Change) -> Accepted | None:
        """Return what the batch said, once."""
        if not self._answers:
            return super().delete(change)
        answer = self._answers.pop()
        if isinstance(answer, EndpointError):
            raise answer
        return answer if isinstance(answer, Accepted) else None


def _written(answer: Answer) -> Written:
    if isinstance(answer, EndpointError):
        raise answer
    if isinstance(answer, Written):
        return answer
    raise UnknownError("the target did not say what became of this change")
