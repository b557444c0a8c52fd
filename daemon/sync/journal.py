"""The journal as the core needs it: the plan of a run, written before anything is sent, and the marks of its read.

A port like those of `ports`, which names it among them; the store keeps it.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from daemon.values import Document

from .change import Change, Fate, Kind, Link, Outcome, Reject
from .counts import Counts
from .cursor import Cursor
from .mark import Mark


class Marks(Protocol):
    """Where the read of this job stands. Kept with the journal, and under its laws."""

    def last_mark(self, revision: str) -> Mark | None:
        """Return the mark that this run may take up, None when there is none.

        It was saved under this revision of the job, not long ago, by a run that was cut off or could not go on
        (`TAKEN_UP`).
        """

    def behind_mark(self, keys: Sequence[str]) -> Sequence[str]:
        """Return those of these keys whose record was rejected before the mark, and still is."""

    def mark(self, mark: Mark) -> None:
        """Save a mark in place of the one before it. It covers the rejects that this run has kept so far."""

    def take_up(self) -> None:
        """Make the mark this run's own, and the rejects before it: they count as met by this run."""

    def unmark(self) -> None:
        """Forget the mark, if there is one: the read is over."""


class Journal(Marks, Protocol):
    """The plan of this run, written before anything is sent. Every method is one transaction, durable on return.

    Every method raises LeaseLostError, and commits nothing, when this run no longer holds its lease; StateError
    when the database cannot be written.
    """

    def plan(
        self,
        changes: Sequence[Change],
        *,
        links: Sequence[tuple[Link, Document | None]],
        rejects: Sequence[Reject],
        counts: Counts,
        forgotten: Sequence[str] = (),
        rests: Sequence[str] = (),
    ) -> None:
        """Write one page's changes as planned, store `links` with their documents, keep `rejects`, set the counts.

        A link replaces the one of the same key (its own id is not looked at); a document of None leaves the
        remembered one as it is. A reject replaces the one of the same key; its attempts count on, once a run, while
        class and fingerprint stay; one that waits for a person stays as it is. Those of the keys in `rests` are only
        noted as met. The links of the `forgotten` keys are removed.
        """

    def known(self, keys: Sequence[str]) -> Mapping[str, Fate | None]:
        """Return which of these keys already have a change (its fate) or a reject (None) in this run."""

    def part_of(self, key: str) -> str:
        """Return the part in which this run met the record of its latest change of this key; empty where none did."""

    def spoil(self, key: str, reject: Reject | None, counts: Counts) -> None:
        """Make the planned change of `key` failed, with this reject as its reason; without one, dropped."""

    def planned(self, kinds: Iterable[Kind]) -> Iterator[Change]:
        """Yield the planned changes of these kinds in order of seq, each once, whatever is committed meanwhile."""

    def commit(self, *, sent: Sequence[Change], outcomes: Sequence[Outcome], counts: Counts) -> None:
        """Mark `sent` as sent and record `outcomes`, with their links, documents, rejects and counts.

        A done create or update stores its link and document; a done delete removes them, a doubtful one leaves its
        link with an empty fingerprint; a failed or unknown change is kept as a reject; success, or a skip, removes the
        key's reject. StateError for a move that `MOVES` does not allow.
        """

    def failed(self, kind: Kind, statuses: Collection[int], *, after: int, limit: int) -> Sequence[Change]:
        """Return up to `limit` of this run's failed changes of a kind and these statuses, in order of seq > `after`."""

    def mend(self, changes: Sequence[Change], counts: Counts) -> None:
        """Change failed or sent changes of this run to what is given now; what failed is planned again.

        What is new may be the kind, the target's record and whose it is, the fields and the idempotency key. What was
        sent stays so: it is about to go out as it is given. Rejects stay until the change succeeds. StateError when one
        of them neither failed nor is sent.
        """

    def again(self, statuses: Mapping[Kind, Collection[int]], *, after: int, attempt: int, counts: Counts) -> Counts:
        """Put all failed changes of these kinds and statuses with seq > `after` back to planned; return the counts.

        Each gets a new idempotency key, `<run>-<seq>.<attempt>`: the refused attempt was surely not carried out, and
        some servers repeat a refusal under the same key. Only changes whose reject is still the one of that refusal
        are moved; it stays until they succeed.
        """

    def withhold(self, kinds: Iterable[Kind], reason: str, counts: Counts) -> None:
        """Make all planned changes of these kinds withheld."""

    def move(self, cursors: Sequence[Cursor], *, whole: bool) -> None:
        """Set these cursors, each in place of the one of its part; forget those without a value.

        `whole`: this run has read the source as a whole, and settled all of it. To be called when everything up to
        there is carried out, or kept as a reject; no cursor is set before.
        """

    def tally(self) -> Mapping[tuple[Kind, Fate], int]:
        """Count this run's changes by kind and fate."""

    def unresolved(self) -> Sequence[Change]:
        """Return the changes of earlier runs of this job whose fate is sent or unknown, oldest first."""

    def resolve(self, outcomes: Sequence[Outcome]) -> None:
        """Record what became of unresolved changes, as `commit` does, outside this run's counts.

        A change may stay unknown, any number of times, and grows younger only if it was sent again. The link of a
        dropped one counts as written now.
        """
