"""What people ask of a job's cursors, and what they set."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from daemon.clock import Clock
from daemon.errors import UsageError
from daemon.spec import Incremental, Job, job_revision
from daemon.store.cursors import Cursors
from daemon.store.leases import Leases, job_lease
from daemon.sync.cursor import Cursor, Values, WholeRead
from daemon.sync.moments import UnfitValueError
from daemon.values import Json

VERSION = 1
"""Of the exported form. One of a later version is refused."""

_END = re.compile(r"\bcursor(_|\W{1,3})end\b")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a job has read."""

    job: str
    cursors: tuple[Cursor, ...]
    total: int
    whole: WholeRead | None
    revision: str
    """The job's revision now; a cursor of another one is not gone on from."""
    now: datetime


@dataclass(frozen=True, slots=True)
class CursorDesk:
    """One job's cursors. Made by the composition root. What is set is set under the job's lease."""

    name: str
    job: Job
    kept: Cursors
    leases: Leases
    clock: Clock

    def show(self, limit: int | None = None) -> Standing:
        """Return the job's cursors, up to `limit` of them. Raises UsageError for a job without any."""
        self.rules()
        found = self.kept.list(self.name, limit=limit)
        return Standing(
            self.name,
            found,
            self.kept.count(self.name),
            self.kept.whole(self.name),
            job_revision(self.job),
            self.clock(),
        )

    def rules(self) -> Incremental:
        """Return the job's `incremental`. Raises UsageError where it has none."""
        rules = self.job.source.incremental
        if rules is None:
            raise UsageError(f"{self.name} reads everything each time; source.incremental gives it a cursor")
        return rules

    def value(self, text: str) -> Json:
        """Return a value that a person typed as the source would write it. Raises UsageError for one that is none."""
        rules = self.rules()
        value: Json = text
        if rules.is_measured and _NUMBER.fullmatch(text):
            value = Decimal(text) if "." in text else int(text)
        self._check(value)
        return value

    def span(self, begins: str, ends: str | None) -> tuple[Json, Json]:
        """Return the bounds of a stretch that a person typed. Raises UsageError for what are none."""
        if not self.rules().is_measured:
            raise UsageError(f"{self.name} has words of the API's for cursors, and nothing lies between two of them")
        start, end = self.value(begins), None if ends is None else self.value(ends)
        values = Values(self.rules())
        if end is not None and values.position(end) < values.position(start):
            raise UsageError(f"the stretch ends before it begins: --from {begins} --to {ends}")
        if end is not None and not _END.search(str(self.job.source.model_dump())):
            raise UsageError(
                f"the request of {self.name} asks for no upper bound, so --to would change nothing; leave it out, or "
                "write cursor.end into the request"
            )
        return start, end

    def set(self, value: Json, part: str) -> Cursor | None:
        """Set the cursor of a part, and return the one before it. Raises UsageError, LockedError."""
        self._check(value)
        self._check_part(part)
        before = self.kept.get(self.name, part)
        self._keep([Cursor(part, value, job_revision(self.job), base=value)])
        return before

    def reset(self, part: str | None) -> int:
        """Forget the cursor of a part, or all, and return how many; the next run reads from the start.

        Raises UsageError for a part without one.
        """
        self.rules()
        if part is not None and self.kept.get(self.name, part) is None:
            raise UsageError(f"{self.name} has no cursor of a part {part}; `crudsd state show {self.name}` lists them")
        lease = self.leases.acquire(job_lease(self.name))
        try:
            return self.kept.reset(self.name, part)
        finally:
            self.leases.release(lease)

    def exported(self) -> Mapping[str, Json]:
        """Return all cursors in the form that `imported` takes."""
        standing = self.show()
        return {
            "crudsd_state": VERSION,
            "job": self.name,
            "type": str(self.rules().type),
            "cursors": [
                {
                    "part": one.part,
                    "value": one.value,
                    "revision": one.revision,
                    "moved_at": one.moved_at and one.moved_at.isoformat(),
                }
                for one in standing.cursors
            ],
        }

    def imported(self, tree: Any) -> tuple[int, int]:
        """Set the cursors of an export; return how many, and how many of them the next run goes on from.

        The others were read under another revision of the job. Raises UsageError, and sets none, where one is wrong.
        """
        rules = self.rules()
        if (
            not isinstance(tree, dict)
            or tree.get("crudsd_state") != VERSION
            or not isinstance(tree.get("cursors"), list)
        ):
            raise UsageError(f"this is no export of cursors (form {VERSION}); `crudsd state export JOB` makes one")
        if tree.get("job") != self.name:
            raise UsageError(
                f"these are cursors of {tree.get('job')}: by them {self.name} would pass over what it never read. "
                f'If it is the same job under another name, write "job": "{self.name}" into the file'
            )
        if tree.get("type") != str(rules.type):
            raise UsageError(f"these are cursors of type {tree.get('type')}, and those of {self.name} are {rules.type}")
        now = job_revision(self.job)
        cursors = [self._imported(one, now) for one in tree["cursors"]]
        self._keep(cursors)
        return len(cursors), sum(one.revision == now for one in cursors)

    def _imported(self, one: Any, revision: str) -> Cursor:
        if not isinstance(one, dict) or not isinstance(one.get("part"), str):
            raise UsageError("a cursor in it names no part")
        self._check_part(one["part"])
        under = one.get("revision", revision)
        if not isinstance(under, str):
            raise UsageError("a cursor in it names no revision of its job")
        if under == revision:
            self._check(one.get("value"))
        return Cursor(one["part"], one.get("value"), under, base=one.get("value"))

    def _check_part(self, part: str) -> None:
        """Raise UsageError where a source in parts is spoken of as one, or the other way round."""
        if part and self.job.for_each is None:
            raise UsageError(f"the source of {self.name} is in one part, so there is no part {part}")
        if not part and self.job.for_each is not None:
            raise UsageError(
                f"{self.name} has a cursor for each part: name one by --part; `crudsd state show {self.name}` tells"
            )

    def _keep(self, cursors: Sequence[Cursor]) -> None:
        lease = self.leases.acquire(job_lease(self.name))
        try:
            self.kept.set(self.name, cursors)
        finally:
            self.leases.release(lease)

    def _check(self, value: Json) -> None:
        try:
            Values(self.rules()).check(value)
        except UnfitValueError as error:
            raise UsageError(f"{value!s} {error}") from error
