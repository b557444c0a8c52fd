"""A plan as a file: what a person looks at, keeps, and lets carry out later.

JSON Lines: a header, one line for each change as `plan --json` has it, and a last line that proves the file whole.
"""

import hashlib
import json as plain_json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from daemon.clock import Clock
from daemon.errors import UsageError
from daemon.report import json
from daemon.report.subjects import Plan
from daemon.spec import Job, job_revision
from daemon.store.marks import Marked, compare
from daemon.store.run_id import new_run_id
from daemon.sync.canonical import readable
from daemon.sync.change import Change, Fate, Reject
from daemon.sync.cursor import Reach
from daemon.sync.pin import Difference, Digests, as_text, from_text, intended_of, mark

VERSION = 1
"""Of the file's form. A file of a later one is refused; what is added to a line is not a new form."""

INTENDED = {Fate.PLANNED, Fate.WITHHELD}
NOT_WHOLE = "is cut short, or was changed after it was saved; save the plan anew"
_FIRST = b'{"crudsd_plan":'


@dataclass(frozen=True, slots=True)
class SavedPlan:
    """A saved plan that was found whole."""

    path: Path
    id: str
    """Its own name, so that what was carried out of it is told apart from what was carried out of its like."""
    job: str
    revision: str
    """The job's revision when it was made."""
    digests: Digests
    is_whole: bool = False
    """Whether it came of a read of everything, by a job that reads what changed."""

    def difference(self, planned: Iterable[Change]) -> Difference:
        """Say how the plan of now differs from this one, in bounded memory."""
        now = ((readable(one.key), f"{one.kind} {readable(one.key)}", mark(one)) for one in planned)
        return compare(saved=self._marked(), now=now)

    def _marked(self) -> Iterator[Marked]:
        with _opened(self.path) as file:
            for line in file:
                change = msgspec.json.decode(line)
                if change.get("mark"):
                    yield change["key"], f"{change['kind']} {change['key']}", bytes.fromhex(change["mark"])


def check_place(path: Path) -> None:
    """Raise UsageError when no plan can be saved here: no such folder, or a file that is something else."""
    if not path.parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.parent}")
    if not path.exists():
        return
    if path.is_file():
        with _opened(path) as file:
            if file.read(len(_FIRST)) == _FIRST:
                return
    raise UsageError(f"{path}: is there already and is no saved plan; it was left alone, name another file")


def save_plan(path: Path, plan: Plan, rejects: Sequence[Reject], *, revision: str, clock: Clock) -> None:
    """Write a plan, readable by its owner only; whole or not at all, in place of an earlier plan."""
    check_place(path)
    now = clock()
    head = {
        "crudsd_plan": VERSION,
        "id": new_run_id(now),
        "revision": revision,
        "saved_at": now,
        "digests": as_text(intended_of(plan.changes)),
        **json.plan_head(plan, rejects),
    }
    try:
        _write_aside(path, _lines(head, plan.changes))
    except OSError as error:
        raise UsageError(f"{path}: the plan cannot be written there: {error.strerror}") from error


def open_plan(path: Path, jobs: Mapping[str, Job]) -> SavedPlan:
    """Read a saved plan that may be carried out for one of these jobs.

    Raises UsageError when it is none, not whole, of a later version than this program, or when its job is gone or was
    edited since.
    """
    saved = _read(path)
    if saved.job not in jobs:
        raise UsageError(f"{path}: was saved for {saved.job}, and there is no such job any more")
    if saved.revision != job_revision(jobs[saved.job]):
        raise UsageError(
            f"{path}: {saved.job} was edited after the plan was saved; look at `crudsd plan {saved.job}`, save it anew"
        )
    return saved


def _read(path: Path) -> SavedPlan:
    with _opened(path) as file:
        first = file.readline()
        head = _object(first)
        if not head and first.startswith(_FIRST):
            raise UsageError(f"{path}: {NOT_WHOLE}")
        version = head.get("crudsd_plan")
        if not isinstance(version, int):
            raise UsageError(f"{path}: is no saved plan; `crudsd plan JOB --out FILE` makes one")
        if version > VERSION:
            raise UsageError(f"{path}: was saved by a later crudsd (form {version}, this one knows {VERSION})")
        _check_whole(path, first, file)
    try:
        digests, is_whole = from_text(head["digests"]), head.get("reach") == Reach.WHOLE
        return SavedPlan(path, head["id"], head["job"], head["revision"], digests, is_whole)
    except (KeyError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: its first line is not that of a saved plan; save the plan anew") from error


def _check_whole(path: Path, first: bytes, lines: Iterable[bytes]) -> None:
    whole = hashlib.sha256()
    before, number = first, 0
    for line in lines:
        whole.update(before)
        before, number = line, number + 1
    last = _object(before)
    if last.get("end") != number - 1 or last.get("sha256") != whole.hexdigest():
        raise UsageError(f"{path}: {NOT_WHOLE}")


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _lines(head: dict[str, Any], changes: Iterable[Change]) -> Iterator[bytes]:
    whole = hashlib.sha256()
    number = -1  # the first line is no change
    for line in _body(head, changes):
        number += 1
        whole.update(line)
        yield line
    yield plain_json.dumps({"end": number, "sha256": whole.hexdigest()}).encode() + b"\n"


def _body(head: dict[str, Any], changes: Iterable[Change]) -> Iterator[bytes]:
    yield json.line(head)
    for change in changes:
        sealed = mark(change).hex() if change.fate in INTENDED else None
        yield json.line({**json.change(change), "mark": sealed})


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error


def _write_aside(path: Path, lines: Iterable[bytes]) -> None:
    descriptor, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # only its owner may read it
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(aside).unlink()
        raise
