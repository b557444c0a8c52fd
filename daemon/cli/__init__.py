"""The command line: one verb a file, loaded when it is asked for.

This is also the one place that catches everything: whatever goes wrong becomes a message for a person and one of the
documented exit codes.
"""

import sys
from collections.abc import Sequence

import click

from daemon.errors import CrudsdError, Exit
from daemon.redaction import KNOWN

from . import output
from .crash import write_report
from .lazy import LazyGroup
from .options import global_options, say_version

VERBS = {
    "validate": "validate",
    "plan": "plan",
    "run": "run",
    "backfill": "backfill",
    "apply": "apply",
    "approve": "approve",
    "serve": "serve",
    "schedule": "schedule",
    "trigger": "trigger",
    "cancel": "cancel",
    "pause": "pause",
    "resume": "resume",
    "runs": "runs",
    "rejects": "rejects",
    "state": "state",
    "explain": "explain",
    "alerts": "alerts",
    "auth": "auth",
    "schema": "schema",
    "db": "db",
    "key": "key",
    "secret": "secret",
    "demo": "demo",
    "version": "version",
}
"""Each verb and its module, in the order in which a newcomer meets them."""

EPILOG = """\b
Exit codes:
  0    done                         5    a guard withheld changes
  1    error                        6    a system is unavailable; try again later
  2    wrong usage                  7    another process runs this job
  3    some records were rejected   78   bad configuration
  4    changes are pending (plan)   130  interrupted; the next run finishes the work

\b
Start with:  crudsd demo             two small APIs and a job, all on this machine
             crudsd validate         check ./crudsd.yaml, every problem at once
             crudsd plan JOB         what a run would do; writes nothing
"""


@click.group(
    cls=LazyGroup,
    verbs=VERBS,
    epilog=EPILOG,
    subcommand_metavar="COMMAND …",
    params=[
        *global_options(),
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=say_version,
            help="Say the version and exit.",
        ),
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
def crudsd() -> None:
    """Keep the records of one system in step with another, over their REST APIs, unattended."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command and return its exit code. Without arguments: those of the process."""
    output.prepare()
    try:
        answer = crudsd.main(args=arguments, prog_name="crudsd", standalone_mode=False)
        return int(answer or Exit.DONE)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        output.message("interrupted")
        return Exit.INTERRUPTED
    except CrudsdError as error:
        return _told(error)
    except Exception as error:  # noqa: BLE001 - the last line of defence, and the only one
        return _crashed(error, sys.argv[1:] if arguments is None else arguments)


def _told(error: CrudsdError) -> int:
    """Say what is wrong in the error's own words; problems of job files come as they were rendered."""
    if getattr(error, "problems", ()):
        click.echo(KNOWN.blot(str(error)), err=True)
        output.message("the configuration is not usable; nothing was started")
    else:
        output.message(str(error))
    return error.exit


def _crashed(error: Exception, arguments: Sequence[str]) -> int:
    """Keep the traceback for whoever mends this; the message holds none of its text, which may be anything."""
    place = write_report(error, verb=next((word for word in arguments if word in VERBS), "none"))
    output.message(f"unexpected {type(error).__name__}; this is a defect of crudsd, and nothing you did")
    if place is not None:
        output.message(f"please report it with {place} (read it first: it may show data)")
    output.message("running the command again is safe: finished work is not repeated")
    return Exit.ERROR
