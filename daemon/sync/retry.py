"""When a reject is tried again: in each run, rarely, or only when a person says so.

A record that the target refuses for its content would be refused in every run. So after a few tries it rests, until
the document or the job is another one, or for a day. What rests is rejected still: seen, kept, not deleted by absence.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from .change import Fate, Kind, Outcome, Retry
from .ports import Links, Target

TRIES = 3
"""Runs that try the same content before it rests: what it refers to may come with one of the next runs. Inside a run it
may be tried in several rounds."""

REST = timedelta(days=1)
"""How long it rests unchanged: the target's own rules may have changed meanwhile."""

WAKES = 20
"""How many of those that rested long enough one run tries. They are due together when they were refused together, and
a run shall not be spent on what was refused all along."""

PASSING = frozenset({404, 408, 409, 410, 412, 423, 424, 425, 428, 429})
"""Refusals (4xx) that speak of a state which may be another one in the next run, and not of the content."""


def classed(outcome: Outcome, target: Target, revision: str) -> Outcome:
    """Return the outcome with its class; `revision` is the job's."""
    if outcome.fate not in {Fate.FAILED, Fate.UNKNOWN}:
        return outcome
    if outcome.fate is Fate.UNKNOWN:
        is_clear = target.can_lookup or target.can_list or target.has_idempotency
        for_nobody = outcome.change.kind is Kind.CREATE and not is_clear
        return replace(outcome, retry=Retry.PERSON if for_nobody else Retry.EACH_RUN)
    if outcome.status is None or outcome.status in PASSING or not _speaks_of_content(outcome.status):
        return replace(outcome, retry=Retry.EACH_RUN)
    # A delete carries the fingerprint of what it removes, but it was refused whatever that is.
    content = b"" if outcome.change.kind is Kind.DELETE else outcome.change.fingerprint
    return replace(outcome, retry=Retry.RARELY, refused=mark(content, revision))


def _speaks_of_content(status: int) -> bool:
    """Say whether the target refused what it was sent. With 2xx it did so where a rule of the job file says so."""
    return 200 <= status < 300 or 400 <= status < 500


def mark(fingerprint: bytes, revision: str) -> bytes:
    """Return what content is known by while it rests: a document (none for a delete) under one revision of the job."""
    return hashlib.blake2b(fingerprint + revision.encode(), digest_size=16).digest()


class Rests:
    """Which rejects of earlier runs one run leaves alone. On the run's thread."""

    def __init__(self, links: Links, revision: str) -> None:
        self._links = links
        self.revision = revision
        self.woken: set[str] = set()
        """Keys that rested for long and are tried once more by this run."""
        self.blocked: frozenset[str] = frozenset()
        """Keys whose create nobody could clear up; they must not be created again."""
        self._unsettled: dict[str, str] = {}
        """Keys of changes that the next run has to meet, with the parts of their records."""
        self.retried = 0
        """How many keys this run tries although an earlier one rejected them."""

    def note(self, outcome: Outcome, *, is_young: bool = False) -> None:
        """Take in what became of a change: of one whose answer was lost the next runs need the record.

        Of one that stays unknown they need it no longer after a few: no cursor waits for it for ever. `is_young`: it is
        unknown only because the target may not show it yet.
        """
        key = outcome.change.key
        kept = self._links.kept([key]).get(key) if outcome.fate is Fate.UNKNOWN else None
        if outcome.fate is not Fate.UNKNOWN or outcome.retry is not Retry.EACH_RUN:
            self._unsettled.pop(key, None)
        elif is_young or kept is None or kept.attempts + 1 < TRIES:
            self._unsettled[key] = outcome.change.part

    @property
    def waiting(self) -> frozenset[str]:
        """The parts whose cursor may not pass what was read of them."""
        return frozenset(self._unsettled.values())

    def among(self, fingerprints: Mapping[str, bytes]) -> list[str]:
        """Return which of these keys rest, given the fingerprint of what would be sent for each."""
        resting = []
        kept = self._links.kept(list(fingerprints)) if fingerprints else {}
        for key, one in kept.items():
            rests = one.rests_for == mark(fingerprints[key], self.revision)
            if rests and one.is_rested and len(self.woken) < WAKES:
                self.woken.add(key)
                rests = False
            if rests:
                resting.append(key)
            else:
                self.retried += 1
        return resting
