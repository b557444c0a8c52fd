"""Put planned changes together for targets that take several in one request."""

from collections.abc import Iterator

from .asking import can_ask
from .change import Change, Kind
from .permits import Permits
from .ports import Target


class Batches:
    """Planned changes, handed out by one thread as what is sent together: of one kind, in order of seq."""

    def __init__(self, planned: Iterator[Change], target: Target, permits: Permits) -> None:
        self._planned = planned
        self._target = target
        self._permits = permits
        self._gathered: dict[Kind, list[Change]] = {kind: [] for kind in Kind}
        """What waits for others of its kind; never more than one batch of each."""

    def take(self, number: int) -> list[tuple[Change, ...]]:
        """Return up to `number` batches; none only when nothing is left, or none was asked for."""
        taken: list[tuple[Change, ...]] = []
        while len(taken) < number:
            change = next(self._planned, None)
            if change is None:
                return taken + self._left(number - len(taken))
            size = 1 if self._goes_alone(change) else self._target.batch_size(change.kind)
            if size <= 1:
                taken.append((change,))
                continue
            self._gathered[change.kind].append(change)
            if len(self._gathered[change.kind]) >= size:
                taken.append(self._cut(change.kind))
        return taken

    def _left(self, number: int) -> list[tuple[Change, ...]]:
        taken: list[tuple[Change, ...]] = []
        while len(taken) < number and (waiting := [one for one in self._gathered.values() if one]):
            taken.append(self._cut(min(waiting, key=lambda one: one[0].seq)[0].kind))
        return taken

    def _cut(self, kind: Kind) -> tuple[Change, ...]:
        """Take a batch off what is gathered. The size may have become smaller meanwhile."""
        size = max(1, self._target.batch_size(kind))
        gathered = self._gathered[kind]
        self._gathered[kind] = gathered[size:]
        return tuple(gathered[:size])

    def _goes_alone(self, change: Change) -> bool:
        """Say whether the record has to be looked at before the change is sent."""
        if change.kind is Kind.UPDATE:
            return self._target.replaces
        is_in_doubt = change.kind is Kind.DELETE and not change.fingerprint and change.key not in self._permits.young
        return is_in_doubt and can_ask(self._target)
