"""From the alerts of a configuration to what tells them, and to the one who decides when.

What tells one kind of destination is loaded for a configuration that has one.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .clock import Clock, utc_clock
from .endpoints.surroundings import Resolve
from .errors import ConfigError
from .logs import Logger
from .report.alert import sample
from .runtime.alert_channel import Sender
from .runtime.alert_lookout import AlertPlan, Lookout
from .runtime.alerter import Alerter
from .settings import Settings
from .spec import Alert, AlertEvent, CommandAlert, HeartbeatAlert, Loaded, Problem, SecretRef, Spec
from .store.alert_states import AlertStates
from .store.database import Database
from .store.job_states import JobStates
from .store.runs import RunStore
from .values import Secret


def senders(settings: Settings, spec: Spec, secret: Resolve) -> Mapping[str, Sender]:
    """Return what tells each destination. Nothing goes out, and no secret is read, before it is used."""
    return {name: _sender(name, alert, settings, secret) for name, alert in spec.alerts.items()}


def alert_plan(settings: Settings, spec: Spec, secret: Resolve, login_needed: Callable[[str], str]) -> AlertPlan:
    """Return what is told to whom by this configuration."""
    tells = {name: tells for name in spec.jobs if (tells := spec.tells(name)).recipients}
    schedules = {name: spec.jobs[name].schedule for name in tells}
    return AlertPlan(tells, schedules, senders(settings, spec, secret), login_needed)


def make_alerter(database: Database, runs: RunStore, job_states: JobStates, clock: Clock, log: Logger) -> Alerter:
    """Return the one who tells people what a service finds; nobody anything, before it has a plan."""
    states = AlertStates(database, clock)
    return Alerter(states, Lookout(states, runs, job_states, clock), clock=clock, log=log)


def check_alerts(settings: Settings, loaded: Loaded) -> tuple[Problem, ...]:
    """Return a problem for each destination whose templates would fail on the day they are needed."""
    checked = {name: alert for name, alert in loaded.spec.alerts.items() if not isinstance(alert, CommandAlert)}
    if not checked:
        return ()
    from .endpoints.alert_http import HeartbeatSender, WebhookSender, trial

    def example(event: AlertEvent) -> Mapping[str, Any]:
        return sample(event, job="people", at=utc_clock(), host="host", version="0")

    found = []
    for name, alert in checked.items():
        sender = _sender(name, alert, settings, _unread)
        trouble = trial(sender, example) if isinstance(sender, WebhookSender | HeartbeatSender) else None
        if trouble is not None:
            what = "path" if isinstance(sender, HeartbeatSender) else "body"
            cure = "docs/reference/alerts.md lists what there is (example: {{ alert.summary }})"
            found.append(
                loaded.problem(
                    ("alerts", name, what), trouble.removeprefix(f"alerts.{name}.{what}").lstrip(".: "), cure
                )
            )
    return tuple(found)


def _sender(name: str, alert: Alert, settings: Settings, secret: Resolve) -> Sender:
    if isinstance(alert, CommandAlert):
        from .runtime.alert_command import CommandSender

        return CommandSender(name, alert, settings.environment)
    from .endpoints.alert_http import HeartbeatSender, WebhookSender

    if isinstance(alert, HeartbeatAlert):
        return HeartbeatSender(name, alert, secret, settings.folder)
    return WebhookSender(name, alert, secret, settings.folder)


def _unread(ref: SecretRef) -> Secret:
    raise ConfigError(f"{ref} is not read to check a template")
