"""The completeness certificate: proof that a read was complete, or the reasons why it was not.

No certificate, no delete by absence. A partial read never triggers a delete, whatever the cause.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class End:
    """How a list ended, as its pagination tells."""

    reason: str
    """The declared reason, in words: `no next cursor`, `empty page`, `total reached`…"""
    pages: int
    records: int
    total: int | None
    """The number of records that the API itself gave; None when it gives none."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Issued when `doubts` is empty."""

    end: End | None
    """None when the read did not reach an end."""
    doubts: tuple[str, ...] = ()
    """Why completeness is not proven; empty when it is."""

    @property
    def issued(self) -> bool:
        """Whether the read is proven complete."""
        return self.end is not None and not self.doubts

    def __str__(self) -> str:
        if self.end is None:
            return "not complete: " + "; ".join(self.doubts or ("the read did not reach its end",))
        if self.doubts:
            return "not complete: " + "; ".join(self.doubts)
        total = f" of {self.end.total}" if self.end.total is not None else ""
        pages = "1 page" if self.end.pages == 1 else f"{self.end.pages} pages"
        return f"complete: {self.end.records}{total} records on {pages}, ended by {self.end.reason}"


def certify(end: End | None, doubts: tuple[str, ...]) -> Certificate:
    """Issue a certificate for a read that ended with `end`, or say why not.

    `doubts` are what the reader noticed by itself: unreadable records, keys met twice, an interruption.
    """
    found = list(doubts)
    if end is not None and end.total is not None and end.total != end.records:
        found.append(f"the API counts {end.total} records, {end.records} arrived")
    return Certificate(end=end, doubts=tuple(found))
