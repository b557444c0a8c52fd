"""`crudsd rejects`: what could not be carried out, and why; and what a person says to it."""

from typing import TYPE_CHECKING

import click

from daemon.errors import Exit

from . import output
from .lazy import Verb, VerbGroup
from .options import settings, start_logs

if TYPE_CHECKING:
    from daemon.store.rejects import Wish

_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")


@click.group("rejects", cls=VerbGroup)
def command() -> None:
    """Look at what could not be carried out, and settle it."""


@command.command("list", cls=Verb)
@click.argument("job")
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", default=50, show_default=True, help="Rejects to show."
)
@click.option(
    "--retry", type=click.Choice(["each_run", "rarely", "person"]), help="Only those that are tried again like this."
)
@click.option("--status", type=int, metavar="N", help="Only those that were answered with this HTTP status.")
@click.option("--kind", type=click.Choice(["create", "update", "delete"]), help="Only changes of this kind.")
@click.option("--reason", metavar="TEXT", help="Only those whose reason or answer holds this text.")
@_JSON
@click.pass_context
def list_(
    context: click.Context,
    job: str,
    limit: int,
    retry: str | None,
    status: int | None,
    kind: str | None,
    reason: str | None,
    as_json: bool,
) -> int:
    """List the rejects of JOB with their reasons, the latest first."""
    from daemon.app import open_app
    from daemon.report import json, rejects

    start_logs(context)
    with open_app(settings(context)) as app:
        rows, total = app.rejects(job).list(limit, _wish(retry, status, kind, reason))
    output.emit([json.rejects(rows, total)] if as_json else rejects.listed(job, rows, total))
    return Exit.DONE


@command.command("show", cls=Verb)
@click.argument("job")
@click.argument("key")
@_JSON
@click.pass_context
def show(context: click.Context, job: str, key: str, as_json: bool) -> int:
    """Show all that is kept of the reject of KEY, what happens next, and what can be done."""
    from daemon.app import open_app
    from daemon.report import json, rejects

    start_logs(context)
    with open_app(settings(context)) as app:
        row = app.rejects(job).show(key)
    output.emit([json.kept_reject(row)] if as_json else rejects.whole(job, row))
    return Exit.DONE


@command.command("retry", cls=Verb)
@click.argument("job")
@click.argument("keys", nargs=-1, metavar="[KEY]...")
@click.option("--all", "every", is_flag=True, help="All rejects of the job but those that wait for a person.")
@click.option("--yes", is_flag=True, help="Also send a create again whose answer was lost. Look at the target first.")
@_JSON
@click.pass_context
def retry(context: click.Context, job: str, keys: tuple[str, ...], every: bool, yes: bool, as_json: bool) -> int:
    """Have the next run of JOB try the rejects of these KEYs, changed or not."""
    from daemon.app import open_app
    from daemon.report import json, rejects

    if every == bool(keys):
        raise click.UsageError("Name the keys, or say --all.")
    start_logs(context)
    with open_app(settings(context)) as app:
        desk = app.rejects(job)
        due, waiting = desk.retry_all() if every else (desk.retry(keys, sure=yes), 0)
    if as_json:
        output.emit([json.document({"job": job, "due": due, "waiting": waiting})])
    else:
        output.emit(rejects.made_due(job, due, waiting))
    return Exit.DONE


@command.command("drop", cls=Verb)
@click.argument("job")
@click.argument("key")
@_JSON
@click.pass_context
def drop(context: click.Context, job: str, key: str, as_json: bool) -> int:
    """Forget the reject of KEY: the next run of JOB decides about the record afresh.

    After a create whose answer was lost, look at the target first: with the reject gone the record may be created.
    """
    from daemon.app import open_app
    from daemon.report import json

    start_logs(context)
    with open_app(settings(context)) as app:
        app.rejects(job).drop(key)
    if as_json:
        output.emit([json.document({"job": job, "dropped": key})])
    else:
        output.emit([f"The reject of {key} is forgotten; the next run of {job} decides about it afresh."])
    return Exit.DONE


def _wish(retry: str | None, status: int | None, kind: str | None, reason: str | None) -> "Wish":
    from daemon.store.rejects import Wish
    from daemon.sync.change import Kind, Retry

    return Wish(
        retry=None if retry is None else Retry(retry),
        status=status,
        kind=None if kind is None else Kind(kind),
        reason=reason,
    )
