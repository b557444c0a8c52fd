"""What the service's work tells of, for whoever tells people."""

from typing import Protocol


class Alarm(Protocol):
    """What the service's work tells of. Neither waits nor fails."""

    def began(self, job: str, run: str) -> None:
        """Take note that a run begins."""

    def changed(self, job: str) -> None:
        """Take note that something of a job may be news: a run is over, a fire was skipped, or it was paused."""


class NoAlarm:
    """Tells nobody."""

    def began(self, job: str, run: str) -> None:
        """Do nothing."""

    def changed(self, job: str) -> None:
        """Do nothing."""
