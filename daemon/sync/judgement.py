"""The guards' verdicts on a run so far, and the withholding of what they do not let pass."""

from daemon.spec import Job

from .change import Fate, Kind
from .counts import Counts
from .events import Judged
from .guards import Allowance, Facts, judge, withheld_kinds
from .outcome import Verdict
from .ports import Ports


class Judgement:
    """What the guards say of one run, on its thread. A later verdict of a guard takes the place of its earlier one."""

    def __init__(self, job: Job, ports: Ports, allowance: Allowance) -> None:
        self._job = job
        self._ports = ports
        self._allowance = allowance
        self._verdicts: dict[str, Verdict] = {}

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts so far, in the order in which the guards first spoke."""
        return tuple(self._verdicts.values())

    @property
    def tripped(self) -> bool:
        """Whether any guard withheld anything."""
        return any(verdict.tripped for verdict in self.verdicts)

    def judge(self, facts: Facts, counts: Counts) -> Counts:
        """Let the guards speak, withhold what they do not let pass, and return the counts after that."""
        for verdict in judge(self._job.guards, self._job.mode, facts, self._allowance):
            self.note(verdict)
        for kind, reason in withheld_kinds(self.verdicts).items():
            counts = self._withhold(kind, reason, counts)
        return counts

    def note(self, verdict: Verdict) -> None:
        """Take in a verdict, and tell of it if it is news."""
        if self._verdicts.get(verdict.guard) != verdict:
            self._verdicts[verdict.guard] = verdict
            self._ports.observe(Judged(verdict))

    def _withhold(self, kind: Kind, reason: str, counts: Counts) -> Counts:
        number = self._ports.journal.tally().get((kind, Fate.PLANNED), 0)
        if number == 0:
            return counts
        if kind is Kind.DELETE:
            counts = counts.plus(deletes_pending=-number, deletes_withheld=number)
        else:
            counts = counts.plus(pending=-number, withheld=number)
        self._ports.journal.withhold([kind], reason, counts)
        return counts
