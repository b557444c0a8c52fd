"""What people ask of one job's rejects, and what they say to them, in keys as they are shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.errors import UsageError
from daemon.store.rejects import RejectRow, Rejects, Wish
from daemon.sync.canonical import readable
from daemon.sync.change import Retry


@dataclass(frozen=True, slots=True)
class RejectDesk:
    """One job's rejects. Made by the composition root; threads may share it."""

    job: str
    kept: Rejects

    def list(self, limit: int, wish: Wish) -> tuple[tuple[RejectRow, ...], int]:
        """Return the latest rejects that are asked for, and how many of these there are in all."""
        return self.kept.list(self.job, limit, wish), self.kept.count(self.job, wish)

    def show(self, key: str) -> RejectRow:
        """Return one reject. Raises UsageError, with the nearest keys, when there is none."""
        job = self.job
        found = self.kept.named(job, key)
        if len(found) > 1:
            raise UsageError(f"{job} has {len(found)} rejects that are shown as {key}; they cannot be told apart here")
        if not found:
            near = ", ".join(self.kept.near(job, key))
            listed = f"`crudsd rejects list {job}` shows them"
            raise UsageError(f"{job} has no reject of {key}; " + (f"near it: {near}" if near else listed))
        return found[0]

    def retry(self, keys: Sequence[str], *, sure: bool) -> int:
        """Make rejects due, so that the next run tries them, and return how many.

        Raises UsageError, and changes nothing, for a key without one; and for one that waits for a person unless the
        person is `sure`, since its record may exist already.
        """
        rows = {row.reject.key: row for row in map(self.show, keys)}
        waits = next((key for key, row in rows.items() if row.reject.retry is Retry.PERSON), None)
        if waits is not None and not sure:
            key = readable(waits)
            raise UsageError(
                f"{key}: a create was sent and its answer was lost, so the target may hold the record already; "
                f"retry sends it again. Look at the target first (crudsd rejects show {self.job} {key}), then add --yes"
            )
        self.kept.retry(self.job, list(rows))
        return len(rows)

    def retry_all(self) -> tuple[int, int]:
        """Make all rejects due, and return how many, and how many go on waiting for a person."""
        return self.kept.retry_all(self.job), self.kept.count(self.job, Wish(retry=Retry.PERSON))

    def drop(self, key: str) -> None:
        """Forget one reject. Raises UsageError when there is none."""
        self.kept.drop(self.job, self.show(key).reject.key)
