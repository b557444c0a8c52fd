"""What people may ask of alerts: whom they tell of what, and to tell them now."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import urlsplit

from daemon.clock import Clock
from daemon.errors import UsageError
from daemon.report.alert import sample
from daemon.report.identity import version
from daemon.spec import Alert, AlertEvent, CommandAlert, HeartbeatAlert, SecretRef, Spec

from .alert_channel import Sender

JOB = "example"
"""The job of an alert that is sent to try a destination."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One destination, as far as it may be shown."""

    name: str
    type: str
    where: str
    """The program; or scheme and host of an address, since the rest of it may be a secret; or where that lies."""
    told_by: Mapping[str, tuple[str, ...]]
    """The jobs that tell it something, by what they tell."""


class AlertDesk:
    """Answers people. Asks nobody but where it says so."""

    def __init__(self, spec: Spec, senders: Mapping[str, Sender], clock: Clock) -> None:
        self._spec, self._senders, self._clock = spec, senders, clock

    def list(self) -> tuple[Destination, ...]:
        """Return the destinations in the file's order."""
        return tuple(
            Destination(name, alert.type, _where(alert), self._told_by(name))
            for name, alert in self._spec.alerts.items()
        )

    def test(self, name: str, event: str | None) -> AlertEvent:
        """Send an alert that says it is a test, once, and return its event; by default the first that fits.

        Raises UsageError for what is not there, and what the destination's sender raises.
        """
        if name not in self._senders:
            near = get_close_matches(name, self._senders, n=1)
            known = ", ".join(self._senders) or "none"
            raise UsageError(
                f"there is no alert {name}; " + (f"did you mean {near[0]}?" if near else f"known: {known}")
            )
        sender = self._senders[name]
        fitting = [one for one in AlertEvent if one in sender.events]
        chosen = _first(fitting) if event is None else AlertEvent(event)
        if chosen not in fitting:
            raise UsageError(f"alert {name} is not told of {chosen}; it takes {', '.join(fitting)}")
        try:
            sender.send(
                chosen,
                sample(chosen, job=JOB, at=self._clock(), host=socket.gethostname(), version=version()),
            )
        finally:
            sender.close()
        return chosen

    def _told_by(self, name: str) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for job in self._spec.jobs:
            tells = self._spec.tells(job)
            lists = {
                "on_failure": tells.on_failure.to if tells.on_failure else (),
                "on_recovery": tells.on_recovery or (),
                "on_hold": tells.on_hold or (),
                "on_late": tells.on_late.to if tells.on_late else (),
                "heartbeat": tells.heartbeat or (),
            }
            for event, names in lists.items():
                if name in names:
                    found[event] = (*found.get(event, ()), job)
        return found


def _first(fitting: list[AlertEvent]) -> AlertEvent:
    return AlertEvent.GOOD if AlertEvent.GOOD in fitting else fitting[0]


def _where(alert: Alert) -> str:
    if isinstance(alert, CommandAlert):
        return alert.command[0]
    if isinstance(alert.url, SecretRef):
        lies = next((f"{kind}: {place}" for kind, place in alert.url if place is not None), "")
        return f"{{{lies}}}" + (f" {alert.path}" if isinstance(alert, HeartbeatAlert) and alert.path else "")
    parts = urlsplit(alert.url)
    return f"{parts.scheme}://{parts.netloc}"
