"""Parts of which nothing is concluded: what is remembered of them counts as met, so that no absence there is believed.

What stands in no part was linked before the job had parts, and may be of any of them.
"""

from collections.abc import Callable, Iterator

from daemon.errors import GoneError

from .certificate import Certificate, End
from .intake import Intake
from .parts import PART_ERRORS, Part, Together, failure_of
from .ports import Links, Opened, Page
from .seen import Seen


def take_in(
    part: Part, certificate: Certificate, together: Together, links: Links, seen: Seen, *, failure: str = ""
) -> None:
    """Add one part that is over to the others; `failure` says why it could not be read."""
    if together.add(part, certificate, failure=failure) or not part.name:
        return
    if together.done.apart == 1:
        keep(Part(), links, seen)
    keep(part, links, seen)


def sweep(
    opened: Opened,
    intake: Intake,
    together: Together,
    links: Links,
    seen: Seen,
    read: Callable[[Iterator[Page | End]], End | None],
) -> str:
    """Read one part with `read`, which returns how it ended, and add it to the others; return why that failed."""
    part, pages = opened
    intake.within(part)
    failure, end = part.trouble, None
    try:
        end = None if failure else read(pages)
    except PART_ERRORS as error:
        if not part.name:
            raise
        if isinstance(error, GoneError):
            intake.certify(None)
            together.gone(part)
            return ""
        failure = failure_of(error)
    take_in(part, intake.certify(end), together, links, seen, failure=failure)
    return failure


def keep(part: Part, links: Links, seen: Seen) -> None:
    """Count what is remembered of a part as met."""
    for link_id in links.in_part(part.name, within=part.is_outer):
        seen.add(link_id)


def holds(part: Part, name: str) -> bool:
    """Say whether a part, or one that stands for others, is the one of this name."""
    return name == part.name or (part.is_outer and name.startswith(f"{part.name}/"))
