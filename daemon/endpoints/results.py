"""The results in the answer to a batch: which is whose, and what it says.

No word is no success: a change whose result is missing, doubled or unclear is unknown, never done.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from daemon.errors import MalformedError, UnknownError
from daemon.spec import Batch
from daemon.sync.canonical import decode, key_text, readable
from daemon.sync.change import Change
from daemon.values import MISSING, Json

from .envelope import Body, Path
from .surroundings import Warn

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Result:
    """What an answer says of one change."""

    value: Json
    """The result as it stands in the answer."""
    body: Json
    """What the answer to a single request would hold."""
    status: int
    """The status. Where there is no number: 200 for a success, 422 where there is an error, and 500, as whoever cannot
    say what became of it, where the result says neither."""
    said: str
    """The status as it was said; empty where there is none."""
    error: Json
    """The error; None where there is none."""
    is_ok: bool
    """Whether the job file calls it a success; else its status decides."""

    @property
    def words(self) -> str:
        """What the system says of it, in its own words; empty where it says nothing."""
        return ": ".join(filter(None, (self.said, "" if self.error is None else str(self.error))))


class Results:
    """Finds results and opens them. Threads may share it."""

    def __init__(self, batch: Batch) -> None:
        self._by = batch.matching
        self._list = Path(batch.results) if batch.results else None
        self._key = Path(batch.item_key) if batch.item_key else None
        self._status = Path(batch.item_status) if batch.item_status else None
        self._error = Path(batch.item_error) if batch.item_error else None
        self._body = Path(batch.item_body) if batch.item_body else None
        self._ok = frozenset(map(str, batch.ok))
        self._id = batch.item_id

    def of(self, body: Body, changes: Sequence[Change], *, id_path: str, warn: Warn) -> list[Json | UnknownError]:
        """Return the result of each change, in order of the changes; UnknownError where the answer has not just one.

        Raises MalformedError when there is no list of results.
        """
        found = [_opened(raw) for raw in body.records(self._list).records]
        if self._by == "order":
            if len(found) == len(changes):
                return found
            said = f"{len(changes)} changes were sent and {len(found)} results came back, so none is known to be whose"
            return [UnknownError(said)] * len(changes)
        path = self._key if self._by == "key" and self._key is not None else Path(self._id or id_path)
        return self._found(found, path, changes, warn)

    def _found(
        self, found: Sequence[Json], path: Path, changes: Sequence[Change], warn: Warn
    ) -> list[Json | UnknownError]:
        strange: list[str] = []
        names = [change.key if self._by == "key" else change.target_id or "" for change in changes]
        results: dict[str, list[Json]] = {name: [] for name in names}
        for result in found:
            name = _name(path.search(result))
            if name is not None and name in results:
                results[name].append(result)
            else:
                strange.append("no name" if name is None else readable(name))
        if strange:
            warn(f"{len(strange)} results are of no change in the batch: {', '.join(strange[:_SHOWN])}")
        times = Counter(names)
        return [_only(results[name], path.text, is_named_twice=times[name] > 1) for name in names]

    def open(self, result: Json) -> Result:
        """Return what a result says."""
        status = _given(self._status.search(result)) if self._status is not None else None
        error = _given(self._error.search(result)) if self._error is not None else None
        body = _given(self._body.search(result)) if self._body is not None else result
        text = "" if status is None else str(status).strip()
        number = int(text) if text.isascii() and text.isdigit() else None
        is_ok = text in self._ok if self._status is not None else not error
        is_ok = is_ok or (number is not None and HTTPStatus.OK <= number < HTTPStatus.MULTIPLE_CHOICES)
        if number is None:
            refused = HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.INTERNAL_SERVER_ERROR
            number = HTTPStatus.OK if is_ok else refused
        return Result(
            value=result,
            body=result if body is None else body,
            status=int(number),
            said=text,
            error=error or None,
            is_ok=is_ok,
        )

    def named(self, failures: Json) -> Mapping[int, Json]:
        """Return the results by their place in the batch, from an object that has the places as names."""
        if not isinstance(failures, Mapping):
            return {}
        return {int(place): result for place, result in failures.items() if place.isascii() and place.isdigit()}


def _opened(raw: bytes) -> Json:
    try:
        return decode(raw)
    except ValueError as error:
        raise MalformedError(f"a result in the answer to the batch is unreadable: {error}") from error


def _name(value: Json) -> str | None:
    try:
        return key_text(value)
    except ValueError:
        return None


def _only(results: Sequence[Json], path: str, *, is_named_twice: bool) -> Json | UnknownError:
    if len(results) == 1 and not is_named_twice:
        return results[0]
    if is_named_twice:
        return UnknownError(f"several changes of the batch have the same {path}, so none is known to be whose")
    number = f"{len(results)} results" if results else "no result"
    return UnknownError(f"the answer to the batch has {number} for it at {path}; no word is no success")


def _given(value: Json) -> Json:
    return None if value is MISSING else value
