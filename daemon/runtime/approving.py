"""A person approves what a run withheld: which run is meant, and whether there is anything to approve."""

from collections.abc import Mapping
from dataclasses import dataclass

from daemon.errors import UsageError
from daemon.spec import Job, job_revision
from daemon.store.approvals import Approvals
from daemon.store.run_row import RunRow
from daemon.store.runs import RunStore
from daemon.sync.judgement import SAVED_PLAN
from daemon.sync.outcome import Ending, Phase
from daemon.sync.pin import Digests


@dataclass(frozen=True, slots=True)
class Approved:
    """What was approved."""

    job: str
    run: str
    digests: Digests


def approve(asked: str, jobs: Mapping[str, Job], runs: RunStore, approvals: Approvals) -> Approved:
    """Approve what a held run withheld; `asked` is its id, or a job whose latest run is held. May be repeated.

    It only writes a row, so a service may be running. Raises UsageError, with what helps instead, when there is nothing
    that an approval can release.
    """
    row = _meant(asked, jobs, runs)
    if row.ending is not Ending.HELD:
        state = f"it ended {row.ending}" if row.phase is Phase.OVER else f"it is not over ({row.phase})"
        raise UsageError(f"run {row.id} of {row.job} is not held: {state}; `crudsd runs {row.job}` shows the others")
    if row.job not in jobs:
        raise UsageError(f"run {row.id} was of {row.job}, and there is no such job any more")
    if not row.digests:
        raise UsageError(f"run {row.id} of {row.job} withheld nothing that can be approved; {_instead(row)}")
    if row.revision != job_revision(jobs[row.job]):
        raise UsageError(
            f"{row.job} was edited after run {row.id}, which had another plan then; "
            f"`crudsd run {row.job}` makes a run that can be approved"
        )
    _check_newest(row, runs)
    approvals.give(row.job, row.id, row.digests)
    return Approved(row.job, row.id, row.digests)


def _meant(asked: str, jobs: Mapping[str, Job], runs: RunStore) -> RunRow:
    row = runs.get(asked)
    if row is not None:
        return row
    if asked not in jobs:
        raise UsageError(f"there is no run {asked}; `crudsd runs` shows them")
    latest = runs.recent(asked, 1)
    if not latest:
        raise UsageError(f"{asked} has no run yet, so nothing is held")
    return latest[0]


def _check_newest(row: RunRow, runs: RunStore) -> None:
    newest = runs.latest_settled(row.job)
    if newest is None or newest.id <= row.id or newest.digests == row.digests or _did_not_fit(newest):
        return
    if newest.ending is Ending.HELD:
        raise UsageError(
            f"run {newest.id} of {row.job} came after run {row.id} and is held with another plan; "
            f"look at `crudsd plan {row.job}`, then `crudsd approve {newest.id}`"
        )
    raise UsageError(
        f"run {newest.id} of {row.job} came after run {row.id} and ended {newest.ending}: nothing is held any more"
    )


def _instead(row: RunRow) -> str:
    """Return what helps where an approval does not."""
    if _did_not_fit(row):
        return f"its saved plan did not fit any more: save another with `crudsd plan {row.job} --out FILE`"
    proof = f" (it was {row.certificate})" if row.certificate is not None else ""
    return f"what helps is a read that arrives whole{proof}: absence that is not proven is never a reason to delete"


def _did_not_fit(row: RunRow) -> bool:
    """Say whether a run was held since its saved plan was not the plan of then: it tells nothing of the guards."""
    return any(verdict.guard == SAVED_PLAN and verdict.tripped for verdict in row.verdicts)
