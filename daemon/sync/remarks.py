"""What a run finds worth telling beside its plan; it changes no decision."""

from .contest import Contests
from .key_change import KeyChanges
from .mapping import JobMapping


class Remarks:
    """The remarks of one run, on its thread."""

    def __init__(self, mapping: JobMapping) -> None:
        self.contests = Contests()
        self.key_changes = KeyChanges(mapping)
