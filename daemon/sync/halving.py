"""Take a request for several changes apart when the target refuses the whole for one of them.

Whether a refused whole may be sent again in parts is the target's knowledge. Each part is a write of its own, so that
whatever stands before the target (the lease, above all) is asked again before it leaves.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from daemon.errors import ConflictError, EndpointError, UnavailableError, UnknownError

from .asking import STOPPERS
from .ports import WholeRefusedError

T = TypeVar("T")
A = TypeVar("A")


def in_parts(changes: Sequence[T], send: Callable[[Sequence[T]], Sequence[A]]) -> list[A | EndpointError]:
    """Send all changes together, or in parts until those at fault stand alone; return what is said of each, in order.

    What the answer names is put aside and the rest sent again; where it names none, the part is halved. So each bad
    change costs one request more where it is named, and at most twice the logarithm of their number where it is not.
    An error that ends the run is the answer to all that was not answered before it; what was surely not sent says so.
    """
    answers: dict[int, A | EndpointError] = {}
    parts: list[tuple[Sequence[int], bool]] = [(range(len(changes)), False)]
    while parts:
        places, in_doubt = parts.pop()
        try:
            given = send([changes[place] for place in places])
            answers.update(zip(places, (_perhaps_ours(one) if in_doubt else one for one in given), strict=True))
        except WholeRefusedError as whole:
            named = {at: said for at, said in whole.named.items() if 0 <= at < len(places)}
            answers.update((places[at], said) for at, said in named.items())
            rest = [place for at, place in enumerate(places) if at not in named]
            if len(rest) == 1 and not named:
                answers[rest[0]] = _perhaps_ours(whole.cause) if in_doubt else whole.cause
            else:
                middle = 0 if named else len(rest) // 2
                in_doubt = in_doubt or whole.may_be_done
                parts += [(part, in_doubt) for part in (rest[middle:], rest[:middle]) if part]
        except STOPPERS as error:
            answers.update(dict.fromkeys(places, _doubted(error) if in_doubt else error))
            for others, are_in_doubt in parts:
                answers.update(dict.fromkeys(others, _doubted(error) if are_in_doubt else _unsent(error)))
            break
        except EndpointError as error:
            # Of one it is the answer; of several it says that nothing is known of any.
            said = _perhaps_ours(error) if in_doubt else error
            answers.update(dict.fromkeys(places, said if len(places) == 1 else _unknown(error)))
    return [answers[place] for place in range(len(changes))]


def _perhaps_ours(answer: A | EndpointError) -> A | EndpointError:
    """Return an answer after a request that may have made the record: what is in its way may be that one."""
    if not isinstance(answer, ConflictError):
        return answer
    said = f"{answer}; what is in the way may be what a request before that has made"
    return UnknownError(said, status=answer.status, excerpt=answer.excerpt)


def _unknown(error: EndpointError) -> UnknownError:
    return UnknownError(str(error), status=error.status, excerpt=error.excerpt)


def _doubted(error: EndpointError) -> EndpointError:
    """Return what is said of changes that an earlier request may have carried out, now that no other can be made."""
    said = f"{error}; a request before it may have carried this out"
    if isinstance(error, UnavailableError):
        wait_s = error.retry_after_s
        return UnavailableError(
            said, status=error.status, excerpt=error.excerpt, retry_after_s=wait_s, may_be_done=True
        )
    return UnknownError(said, status=error.status, excerpt=error.excerpt)


def _unsent(error: EndpointError) -> EndpointError:
    """Return the error for changes that were to go out after the request that it answers."""
    if not isinstance(error, UnavailableError) or not error.may_be_done:
        return error
    return UnavailableError(
        f"not sent: {error}", status=error.status, excerpt=error.excerpt, retry_after_s=error.retry_after_s
    )
