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
    by_number: bool = False
    """Whether there were several pages, and nothing but numbers led from one to the next, as far as can be told."""
    totals_differ: bool = False
    """Whether the API gave another total on another page."""
    unchanged: bool = False
    """Whether the source gave nothing, and said that nothing has changed since the last read."""
    is_shifting: bool = False
    """Whether a record may move meanwhile from a part that is not read yet to one that was."""
    doubts: tuple[str, ...] = ()
    """Why the reader of the list, or the source itself, cannot promise that this was all."""
    drift: tuple[str, ...] = ()
    """The same, for what shows no more than that the list changed while it was read."""


TWICE = "a record came on two pages, so the source changed while it was read"


@dataclass(frozen=True, slots=True)
class Certificate:
    """Issued when `doubts` is empty."""

    end: End | None
    """None when the read did not reach an end."""
    doubts: tuple[str, ...] = ()
    """Why completeness is not proven; empty when it is."""
    drifted: bool = False
    """Whether nothing but a change of the source during the read is in doubt: another reading may show more."""
    readings: int = 1
    """How often the source was read for it; it tells of the last time."""
    parts: int = 0
    """How many parts the source had; 0 for one that is no list of parts."""
    parts_apart: int = 0
    """How many of them it does not cover: nothing is concluded from what is absent there."""
    apart: tuple[str, ...] = ()
    """Some of these, each with why."""

    @property
    def issued(self) -> bool:
        """Whether the read is proven complete, but for the parts that it names."""
        return self.end is not None and not self.doubts

    @property
    def is_of_all(self) -> bool:
        """Whether the read is proven complete in all its parts."""
        return self.issued and not self.parts_apart

    def __str__(self) -> str:
        at = f" at the {_ORDINALS.get(self.readings, f'{self.readings}th')} reading" if self.readings > 1 else ""
        if self.end is None:
            return f"not complete{at}: " + "; ".join(self.doubts or ("the read did not reach its end",))
        if self.doubts:
            return f"not complete{at}: " + "; ".join(dict.fromkeys((*self.doubts, *self.apart)))
        total = f" of {self.end.total}" if self.end.total is not None else ""
        pages = "1 page" if self.end.pages == 1 else f"{self.end.pages} pages"
        said = f"{self.end.records}{total} records on {pages}, ended by {self.end.reason}"
        if not self.parts_apart:
            return f"complete{at}: {said}"
        rest = self.parts_apart - len(self.apart)
        apart = "; ".join([*self.apart, *([f"and {rest} more"] if rest > 0 else [])])
        return f"complete{at} but for {self.parts_apart} of {self.parts} parts: {said}; {apart}"


_ORDINALS = {2: "2nd", 3: "3rd"}


def certify(end: End | None, doubts: tuple[str, ...], drift: tuple[str, ...] = ()) -> Certificate:
    """Issue a certificate for a read that ended with `end`, or say why not.

    `doubts` are what the reader noticed by itself: unreadable records, keys met twice, an interruption. `drift` is what
    it noticed of changes that were made meanwhile.
    """
    moved = list(drift)
    if end is not None:
        doubts, moved = (*doubts, *end.doubts), [*moved, *end.drift]
    if end is not None and end.total is not None and end.total != end.records:
        moved.append(f"the API counts {end.total} records, {end.records} arrived")
    elif end is not None and end.by_number and end.totals_differ:
        # By tokens of the API's own a new record comes last, and may; by numbers any change may hide a record.
        moved.append("the API's total changed while the pages were read by their numbers")
    drifted = end is not None and bool(moved) and not doubts
    return Certificate(end=end, doubts=(*doubts, *moved), drifted=drifted)
