"""Decide what must happen to one record, from three facts: what is wanted, what is remembered, what is there.

Deciding is pure; doing is apply's. Every branch says what happened in the world.
"""

from dataclasses import replace
from enum import StrEnum

from daemon.spec import Mode
from daemon.values import Document

from .canonical import agrees
from .change import Link
from .contest import weigh
from .facts import Fact, fact
from .ports import TargetRecord
from .trees import FieldPath, pruned


class Verb(StrEnum):
    """What a decision asks for."""

    CREATE = "create"
    UPDATE = "update"
    LINK = "link"
    """The target already holds the document; only our memory of it changes."""
    NOTHING = "nothing"
    SKIP = "skip"
    """Not this mode's business."""
    REJECT = "reject"


@fact
class Wanted(Fact, frozen=True):
    """A record that takes part, mapped."""

    key: str
    document: Document
    fingerprint: bytes
    raw: bytes
    """The raw fingerprint."""


@fact
class Known(Fact, frozen=True):
    """What we know of the target's record for a key."""

    link: Link | None
    """None when nothing is remembered."""
    remembered: Document | None
    """The last document sent; None when it is not remembered."""
    found: tuple[TargetRecord, ...]
    """What the target's list or look-up shows for the key; several are ambiguous."""
    looked: bool
    """Whether the target was asked: only then does an empty `found` mean that there is no such record."""
    missed: bool = False
    """Whether the target's list alone says that the linked record is gone; a list may lag behind."""


@fact
class Decision(Fact, frozen=True):
    """What to do about one record."""

    verb: Verb
    target_id: str | None = None
    version: str | None = None
    before: Document | None = None
    fields: tuple[str, ...] = ()
    """For an update: the fields that differ, sorted."""
    owned: bool = True
    adopted: bool = False
    """True when the target's record was there before us and is linked by this decision."""
    reason: str = ""
    contested: tuple[str, ...] = ()
    """The fields that differ and are left alone, since the target sets them back; sorted."""
    contest: str | None = None
    """What the link is to remember of them."""


def decide(mode: Mode, wanted: Wanted, known: Known, *, set_once: frozenset[FieldPath] = frozenset()) -> Decision:
    """Return the decision for one record."""
    if len(known.found) > 1:
        # The target holds several records for one key: choosing the first would be a guess about people's data.
        ids = ", ".join(record.id for record in known.found[:5])
        return Decision(
            Verb.REJECT, reason=f"ambiguous: the target has {len(known.found)} records for this key ({ids})"
        )
    if known.link is not None and known.missed:
        return _decide_missed(mode, wanted, known.link, set_once)
    if known.link is not None and not (known.looked and not known.found):
        # We wrote or adopted it before, and nothing says it is gone.
        return _decide_linked(mode, wanted, known, known.link, set_once)
    if known.found:
        # It was there before us: adopt it rather than double it.
        return _decide_adopted(mode, wanted, known.found[0], set_once)
    # Neither remembered nor found (a remembered one that is gone from the target counts as not there).
    if mode is Mode.UPDATE_ONLY:
        return Decision(Verb.SKIP, reason="the target has no such record")
    return Decision(Verb.CREATE, fields=tuple(sorted(wanted.document)))


def _decide_linked(mode: Mode, wanted: Wanted, known: Known, link: Link, set_once: frozenset[FieldPath]) -> Decision:
    found = known.found[0] if known.found else None
    # Found by its key in place of the one that is gone: we did not make it.
    is_another = found is not None and found.id != link.target_id
    linked = Decision(
        Verb.LINK,
        target_id=found.id if found else link.target_id,
        version=found.version if found else link.version,
        owned=link.owned and not is_another,
        adopted=is_another,
        contest=link.contest,
    )
    if mode in {Mode.CREATE_ONLY, Mode.APPEND}:
        return replace(linked, verb=Verb.SKIP, reason="created before")
    if found is None and wanted.fingerprint == link.fingerprint:
        # Other bytes, same document: an unmapped field changed.
        return linked
    # An empty fingerprint says that the target may hold anything, so what was last sent tells nothing.
    remembered = known.remembered if link.fingerprint else None
    before = found.document if found is not None else remembered
    fields = differing(wanted.document, before, without=set_once)
    decision = replace(linked, verb=Verb.UPDATE if fields else Verb.LINK, before=before, fields=fields)
    return decision if found is None else _weighed(decision, wanted, found, set_once)


def _decide_missed(mode: Mode, wanted: Wanted, link: Link, set_once: frozenset[FieldPath]) -> Decision:
    """Ask by writing: under its id the record is there, and set right, or it is not, and is made again after that."""
    decision = Decision(Verb.UPDATE, target_id=link.target_id, version=link.version, owned=link.owned)
    if mode in {Mode.CREATE_ONLY, Mode.APPEND}:
        return replace(decision, verb=Verb.SKIP, reason="created before; the target's list does not show it")
    return replace(decision, fields=differing(wanted.document, None, without=set_once))


def _decide_adopted(mode: Mode, wanted: Wanted, found: TargetRecord, set_once: frozenset[FieldPath]) -> Decision:
    untouched = mode in {Mode.CREATE_ONLY, Mode.APPEND}
    fields = () if untouched else differing(wanted.document, found.document, without=set_once)
    decision = Decision(
        Verb.UPDATE if fields else Verb.LINK,
        target_id=found.id,
        version=found.version,
        before=found.document,
        fields=fields,
        owned=False,
        adopted=True,
    )
    return _weighed(decision, wanted, found, set_once)


def _weighed(decision: Decision, wanted: Wanted, found: TargetRecord, set_once: frozenset[FieldPath]) -> Decision:
    """Leave out the fields that the target sets back each time; they alone are no reason for a write."""
    weighed = weigh(decision.contest, pruned(wanted.document, set_once), found.document, decision.fields)
    return replace(
        decision,
        verb=Verb.UPDATE if weighed.fields else Verb.LINK,
        fields=weighed.fields,
        contested=weighed.contested,
        contest=weighed.contest,
    )


def differing(
    wanted: Document, before: Document | None, *, without: frozenset[FieldPath] = frozenset()
) -> tuple[str, ...]:
    """Return the top-level fields of `wanted` that `before` does not hold, sorted; all of them if it is None.

    A nested object is sent whole when any part of it differs, since many servers replace nested objects; but for the
    fields that are left out.
    """
    wanted = pruned(wanted, without)
    if before is None:
        return tuple(sorted(wanted))
    return tuple(sorted(name for name in wanted if name not in before or not agrees(wanted[name], before[name])))
