"""A target behind another, for what stands between the engine and a system and changes a part of the port."""

from collections.abc import Iterator, Sequence

from daemon.values import Document

from .certificate import End
from .change import Change, Kind
from .ports import Accepted, Answer, Target, TargetRecord, Written


class PassingTarget:
    """The port `Target`, passed on whole to the target behind it. Threads may share it as they may share that one."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def can_list(self) -> bool:
        """As the target."""
        return self._target.can_list

    @property
    def can_lookup(self) -> bool:
        """As the target."""
        return self._target.can_lookup

    @property
    def can_get(self) -> bool:
        """As the target."""
        return self._target.can_get

    @property
    def replaces(self) -> bool:
        """As the target."""
        return self._target.replaces

    @property
    def has_idempotency(self) -> bool:
        """As the target."""
        return self._target.has_idempotency

    def list(self) -> Iterator[tuple[TargetRecord, ...] | End]:
        """As the target."""
        return self._target.list()

    def lookup(self, key: str, document: Document) -> tuple[TargetRecord, ...]:
        """As the target."""
        return self._target.lookup(key, document)

    def get(self, target_id: str, key: str, document: Document) -> TargetRecord | None:
        """As the target."""
        return self._target.get(target_id, key, document)

    def batch_size(self, kind: Kind) -> int:
        """As the target."""
        return self._target.batch_size(kind)

    def write(self, changes: Sequence[Change]) -> Sequence[Answer]:
        """As the target."""
        return self._target.write(changes)

    def create(self, change: Change) -> Written:
        """As the target."""
        return self._target.create(change)

    def update(self, change: Change) -> Written:
        """As the target."""
        return self._target.update(change)

    def delete(self, change: Change) -> Accepted | None:
        """As the target."""
        return self._target.delete(change)
