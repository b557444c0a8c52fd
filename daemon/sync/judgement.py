"""The guards' verdicts on a run so far, and the withholding of what they do not let pass.

A pin is a person's word for one exact plan. It lifts a trip only where the plan of now is that plan.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from daemon.spec import Job

from .change import Change, Fate, Kind
from .counts import Counts
from .events import Judged
from .guards import Allowance, Facts, guarded_kind, judge, withheld_kinds
from .outcome import Verdict
from .pin import NONE, Digest, Digests, Pin, digests_of, taken_of, without
from .ports import Ports

SAVED_PLAN = "saved_plan"
"""The guard that speaks when a saved plan is not the plan of now."""


class Judgement:
    """What the guards say of one run, on its thread. A later verdict of a guard takes the place of its earlier one."""

    def __init__(self, job: Job, ports: Ports, allowance: Allowance, pin: Pin | None = None) -> None:
        self._job = job
        self._ports = ports
        self._allowance = allowance
        self._pin = pin
        self._verdicts: dict[str, Verdict] = {}
        self._repeated: dict[str, Change] = {}
        self._withheld: dict[Kind, Digest] = {}
        self.is_void = False
        """Whether the pin was found not to be the plan of now."""

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts so far, in the order in which the guards first spoke."""
        return tuple(self._verdicts.values())

    @property
    def tripped(self) -> bool:
        """Whether any guard withheld anything."""
        return any(verdict.tripped for verdict in self.verdicts)

    @property
    def withheld(self) -> Digests:
        """What a person may approve of this run: nothing, where it is a saved plan that did not fit."""
        return {} if SAVED_PLAN in self._verdicts else dict(self._withheld)

    def may_begin(self, unresolved: Sequence[Change]) -> bool:
        """Take note of the changes that are to be cleared up first, and say whether the run may do that.

        A saved plan does not show what clearing up will come to. So it waits for a run, unless these changes are its
        own, of an attempt that was cut off.
        """
        pin = self._pin
        self._repeated = {one.key: one for one in unresolved if pin is not None and one.run in pin.runs}
        others = len(unresolved) - len(self._repeated)
        if pin is None or pin.saved is None or not others:
            return True
        have = "change of other runs has" if others == 1 else "changes of other runs have"
        self._refuse(f"nothing was written: {others} {have} no known outcome, and a run clears that up")
        return False

    def judge(self, facts: Facts, counts: Counts) -> Counts:
        """Let the guards speak, withhold what they do not let pass, and return the counts after that."""
        verdicts = judge(self._job.guards, self._job.mode, facts, self._allowance)
        if self._pin is not None:
            verdicts = self._pinned(self._pin, verdicts)
        for verdict in verdicts:
            self.note(verdict)
        kinds = withheld_kinds(self.verdicts)
        if SAVED_PLAN in self._verdicts:
            kinds = dict.fromkeys(Kind, self._verdicts[SAVED_PLAN].message)
        for kind, reason in kinds.items():
            counts = self._withhold(kind, reason, counts)
        return counts

    def note(self, verdict: Verdict) -> None:
        """Take in a verdict, and tell of it if it is news."""
        if self._verdicts.get(verdict.guard) != verdict:
            self._verdicts[verdict.guard] = verdict
            self._ports.observe(Judged(verdict))

    # ---- the pin -------------------------------------------------------------------------------------------------

    def _pinned(self, pin: Pin, verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
        """Return the verdicts as the pin leaves them."""
        pinned = [
            one for one in verdicts if one.tripped and (pin.saved is not None or guarded_kind(one) in pin.digests)
        ]
        if pin.saved is None and not pinned:
            return verdicts
        planned, settled = self._planned()
        agreed = without(pin.digests, taken_of(pin.earlier(), settled))
        if pin.saved is not None and any(agreed.get(kind, NONE) != planned.get(kind, NONE) for kind in Kind):
            difference = str(pin.saved.difference(self._ports.journal.planned(Kind)))
            again = "its changes were carried out before, and are planned again"
            self._refuse(f"nothing was written, the plan is not the saved one any more: {difference or again}")
            return verdicts
        return tuple(self._released(one, pin, agreed, planned) if one in pinned else one for one in verdicts)

    def _released(self, verdict: Verdict, pin: Pin, agreed: Digests, planned: Digests) -> Verdict:
        kind = guarded_kind(verdict)
        left, now = agreed.get(kind, NONE), planned.get(kind, NONE)
        if not pin.void and left == now:
            return replace(verdict, tripped=False, message=f"{verdict.message}; allowed by {pin.name}")
        self.is_void = True
        since = pin.void or (
            f"the source or the target has changed since (approved: {left.number}, planned now: {now.number})"
        )
        return replace(verdict, message=f"{verdict.message}; {pin.name} is void: {since}")

    def _refuse(self, message: str) -> None:
        self.is_void = True
        self.note(Verdict(SAVED_PLAN, tripped=True, message=message))

    def _planned(self) -> tuple[Digests, frozenset[str]]:
        """Return what is planned now, and which of the repeated changes are not planned again.

        The target holds these already: they were carried out, and only their answers were lost.
        """
        settled = {key: one.idempotency_key for key, one in self._repeated.items()}

        def walk() -> Iterator[Change]:
            for change in self._ports.journal.planned(Kind):
                settled.pop(change.key, None)
                yield change

        return digests_of(walk(), self._repeated), frozenset(settled.values())

    # ---- withholding ---------------------------------------------------------------------------------------------

    def _withhold(self, kind: Kind, reason: str, counts: Counts) -> Counts:
        number = self._ports.journal.tally().get((kind, Fate.PLANNED), 0)
        if number == 0:
            return counts
        digest = digests_of(self._ports.journal.planned([kind])).get(kind, NONE)
        self._withheld[kind] = self._withheld.get(kind, NONE).plus(digest)
        if kind is Kind.DELETE:
            counts = counts.plus(deletes_pending=-number, deletes_withheld=number)
        else:
            counts = counts.plus(pending=-number, withheld=number)
        self._ports.journal.withhold([kind], reason, counts)
        return counts
