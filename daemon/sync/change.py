"""A change: one intended write, from plan to fate."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from daemon.values import Document

from .facts import Fact, fact


class Kind(StrEnum):
    """What a change does to the target. The stored word is the value."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


class Fate(StrEnum):
    """Where a change stands. The plan is the journal: a change is a row before it is a request."""

    PLANNED = "planned"
    """Intended; nothing has left this machine."""
    SENT = "sent"
    """Committed as sent before the first byte leaves. Found after a crash, it is unknown."""
    DONE = "done"
    """The target confirmed it."""
    SKIPPED = "skipped"
    """The target's answer was one that the job says to leave the record out for."""
    FAILED = "failed"
    """The target refused it; kept as a reject."""
    UNKNOWN = "unknown"
    """The answer was lost. Resolved by looking, never by repeating blindly."""
    WITHHELD = "withheld"
    """A guard did not let it pass."""
    DROPPED = "dropped"
    """Never sent, and its run is over: the next run plans it anew."""


class Retry(StrEnum):
    """When what was rejected is tried again. The stored word is the value."""

    EACH_RUN = "each_run"
    """The cause may pass by itself, or finding out costs no request."""
    RARELY = "rarely"
    """The target refused the content: after a few tries it rests until the document or the job changes, or for long."""
    PERSON = "person"
    """Never by itself: a create whose answer was lost, and nothing that the job declares can clear it up."""


MOVES: dict[Fate, frozenset[Fate]] = {
    Fate.PLANNED: frozenset({Fate.SENT, Fate.FAILED, Fate.WITHHELD, Fate.DROPPED}),
    Fate.SENT: frozenset({Fate.DONE, Fate.SKIPPED, Fate.FAILED, Fate.UNKNOWN, Fate.DROPPED}),
    Fate.UNKNOWN: frozenset({Fate.DONE, Fate.SKIPPED, Fate.FAILED, Fate.DROPPED}),
    Fate.WITHHELD: frozenset({Fate.DROPPED}),
    Fate.DONE: frozenset(),
    Fate.SKIPPED: frozenset(),
    Fate.FAILED: frozenset({Fate.PLANNED}),
    Fate.DROPPED: frozenset(),
}
"""The lawful moves. SENT to DROPPED: asked for, and proven never to have reached the target. FAILED to PLANNED: refused
for what another change of the same run may have mended."""

AGAIN: dict[Kind, frozenset[int]] = {
    Kind.CREATE: frozenset({400, 404, 409, 412, 422, 424}),
    Kind.UPDATE: frozenset({400, 404, 409, 412, 422, 424}),
    Kind.DELETE: frozenset({400, 409, 422}),
}
"""The statuses by which a target may refuse a change of each kind only because another one has to come before it: the
manager before the report, the old holder of a value before the new one, the child's delete before the parent's."""

GONE = frozenset({404, 410})
"""The statuses by which a target says that the record of a link is not there. Whatever it was told by, an update that
failed for it has one of these."""


@fact
class Change(Fact, frozen=True):
    """One intended write, addressed by key."""

    seq: int
    """Order inside the run, from 1. With the run it is the change's identity and idempotency key."""
    kind: Kind
    key: str
    target_id: str | None
    """The target's own id; None for a create."""
    version: str | None
    """The version (ETag) we know of the target's record; None where there is none."""
    document: Document | None
    """What the target should hold; None for a delete."""
    before: Document | None
    """What we last knew of the fields in `document`; None for a create, or where nothing is remembered."""
    fields: tuple[str, ...]
    """The document's fields that differ, sorted; empty for a delete, all of them for a create."""
    fingerprint: bytes
    """Of the canonical document; for a delete, of the one the target was last known to hold, empty when it may be gone
    already."""
    raw: bytes
    """Of the record's raw bytes under the job's revision; empty for a delete."""
    owned: bool
    """True when the record at the target is, or will be, this job's own creation."""
    idempotency_key: str
    """One for each change, stable over retries and restarts."""
    fate: Fate = Fate.PLANNED
    reason: str = ""
    """Why it failed or was withheld, in words for the operator."""
    contest: str | None = None
    """What its link remembers of contested fields once it is done; None for nothing."""
    part: str = ""
    """The part of the source in which its record was met; for a delete, was met last."""
    body: Document | None = None
    """What a request sends in place of the document: without what is set once, or merged into the whole record. Made
    when it is sent, and not journalled."""

    @property
    def again(self) -> "Change":
        """The change for a further request of another content, under an idempotency key of its own.

        A server that saw the first key with another body would refuse it, or replay the first answer.
        """
        return replace(self, idempotency_key=f"{self.idempotency_key}-again")

    @property
    def sent(self) -> Document:
        """What a request's body is made of."""
        return (self.document or {}) if self.body is None else self.body

    @property
    def run(self) -> str:
        """The run that planned it."""
        return self.idempotency_key.partition("-")[0]

    @property
    def changed(self) -> Document:
        """The part of what is sent that differs."""
        sent = self.sent
        return {name: sent[name] for name in self.fields if name in sent}


@fact
class Outcome(Fact, frozen=True):
    """What became of one change that was sent."""

    change: Change
    fate: Fate
    """DONE, SKIPPED, FAILED, UNKNOWN, or DROPPED when it surely never reached the target. SENT: it is not over, and
    goes on as `change`, a create in place of an update that met no record; the journal is to know of it first."""
    target_id: str | None = None
    version: str | None = None
    owned: bool = True
    reason: str = ""
    status: int | None = None
    """The HTTP status that decided it, None where there was no answer."""
    excerpt: str = ""
    """The beginning of the answer's body, cut and redacted; empty when there is nothing to show."""
    sent_again: bool = False
    """For a create that stays unknown: it went out once more, so the target may have taken it only now."""
    is_doubtful: bool = False
    """For a delete that is done: the target only said that it will. The link stays, with an empty fingerprint, and the
    next run that misses the record looks whether it is gone."""
    retry: Retry = Retry.EACH_RUN
    """When a failed or unknown change is tried again."""
    refused: bytes | None = None
    """For a change that is tried again rarely: the mark of the content that was refused."""

    @property
    def stays(self) -> bool:
        """Whether nothing has happened to it: it was unknown and is."""
        return self.fate is self.change.fate is Fate.UNKNOWN and not self.sent_again


@fact
class Link(Fact, frozen=True):
    """A remembered pair: the key of a source record and the id of its target record."""

    id: int
    """Row number in order of arrival; 0 before it is stored."""
    key: str
    target_id: str
    fingerprint: bytes
    """Of the document the target was last known to hold; empty when that is not known, or a delete is under way."""
    raw: bytes
    """Of the raw record it came from; empty when not known. Equal means unchanged without further work."""
    version: str | None
    owned: bool
    """True when this job created the target record, False when it adopted one that was there."""
    contest: str | None = None
    """What is remembered of fields that the target sets back; None for nothing."""
    part: str = ""
    """The part of the source in which its record was met last."""


@fact
class Reject(Fact, frozen=True):
    """A record or change that could not be carried out, with its reason."""

    key: str
    """The record's key; for a record without one, `#` and the fingerprint of its raw bytes."""
    reason: str
    status: int | None = None
    excerpt: str = ""
    kind: Kind | None = None
    """The change that failed; None when the record never became one."""
    retry: Retry = Retry.EACH_RUN
    fingerprint: bytes | None = None
    """The mark of the content that was refused (see `retry.mark`), for one that is tried again rarely."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A reject of an earlier run, as far as a later one asks for it."""

    rests_for: bytes | None
    """The mark of the content for which it rests; None for one that is to be tried."""
    is_rested: bool = False
    """Whether it rested so long that it may be tried once more, unchanged as it is."""
    attempts: int = field(default=0, compare=False)
    """How many runs tried it in vain."""
