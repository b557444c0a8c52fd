"""What a look at the state database found, as lines or JSON."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from . import shown
from .json import document

_MARKS = {"ok": "✓", "warn": "!", "fail": "✗"}


class Finding(Protocol):
    """One thing that was looked at."""

    @property
    def what(self) -> str:
        """What was looked at."""

    @property
    def verdict(self) -> str:
        """ok, warn or fail."""

    @property
    def message(self) -> str:
        """What was found, and what to do."""


def is_sound(findings: Sequence[Finding]) -> bool:
    """Whether nothing was found that forbids the use of the state."""
    return all(finding.verdict != "fail" for finding in findings)


def lines(location: str, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a line for each finding."""
    yield shown.plain(location)
    for finding in findings:
        yield f"{_MARKS[str(finding.verdict)]} {finding.what}: {shown.plain(finding.message)}"


def as_json(location: str, findings: Sequence[Finding]) -> bytes:
    """Return the findings as one JSON object."""
    rows = [{"what": one.what, "verdict": str(one.verdict), "message": one.message} for one in findings]
    return document({"state": location, "sound": is_sound(findings), "findings": rows})
