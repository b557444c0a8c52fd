"""Where a read stands, so that a run which was cut off is gone on with and is one read all the same.

A mark is saved when everything before it is applied or rejected, and committed. The run that takes it up asks only for
the pages after it; its counts, guards, doubts and certificate are those of the whole read. What changed before the
mark since then is for the next run to find, as in any read that takes long.
"""

from dataclasses import dataclass, field

from .counts import Counts
from .cursor import Progress
from .parts import PartsDone


@dataclass(frozen=True, slots=True)
class Mark:
    """What a run must know to go on with the read of another."""

    revision: str
    """The job's revision; under another one other records would have been asked for, or mapped otherwise."""
    resume: str | None
    """The source's own word for the page after the mark; None where the part was read to its end."""
    counts: Counts
    """Of the whole read so far; nothing is pending."""
    creates: int
    updates: int
    """Planned so far, for the guards."""
    known: int
    """Records that were known of the target when the read began, for the guards."""
    listed: bool
    """Whether the target's own list was read, so that the rest is matched with it too."""
    doubts: tuple[str, ...]
    adopted: tuple[str, ...]
    """Ids of target records that were found by a key of the read: they are not gone, see `Remarks`."""
    seen: bytes
    """The bits of `Seen`."""
    judged: int
    part: str = ""
    """The part of the source in which the mark stands."""
    done: PartsDone = field(default_factory=PartsDone)
    """The parts before that one."""
    progress: Progress | None = None
    """How far the cursor's part is; None for a job without one."""
    is_whole: bool = True
    """Whether all parts so far were read as a whole."""
    tombstones: int = 0
    """Deletes that the source told of, for the guards."""
