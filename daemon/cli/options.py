"""The global options, which every verb takes and the command as a whole takes too."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

if TYPE_CHECKING:
    from daemon.settings import Settings


LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "text", "json", "journald")
"""Those of daemon.logs, which takes too long to import for a command that logs nothing."""


@dataclass(frozen=True, slots=True)
class Globals:
    """What the global options say."""

    config: Path | None = None
    """None: look in the usual places."""
    state: str | None = None
    """None: as the configuration says."""
    log_level: str | None = None
    """None: as the verb sees fit."""
    log_format: str | None = None
    """None: as it suits the stream."""
    no_color: bool = False


class GlobalOption(click.Option):
    """An option that is kept for all verbs. Given twice, the later one holds."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, expose_value=False, callback=_keep, **more)


def global_options() -> list[click.Parameter]:
    """Return the options, made anew: click ties an option to its command."""
    return [
        GlobalOption(
            ["--config"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Configuration. Default: $CRUDSD_CONFIG, ./crudsd.yaml, /etc/crudsd/crudsd.yaml.",
        ),
        GlobalOption(["--state"], metavar="URL", hidden=True, help="State database; wins over the configuration's."),
        GlobalOption(
            ["--log-level"],
            type=click.Choice(LEVELS),
            help="What goes to the log. Default: $CRUDSD_LOG_LEVEL, info for serve, warning for the others.",
        ),
        GlobalOption(
            ["--log-format"],
            type=click.Choice(FORMATS),
            help="text, json, or journald: fields of the journal. Default: $CRUDSD_LOG_FORMAT, auto: text on a "
            "terminal, json elsewhere.",
        ),
        GlobalOption(
            ["--no-color"], is_flag=True, default=None, help="No colours; NO_COLOR and TERM=dumb do the same."
        ),
    ]


def given(context: click.Context) -> Globals:
    """Return what the global options say, wherever they stood."""
    found = context.find_object(Globals)
    return found if found is not None else Globals()


def settings(context: click.Context) -> "Settings":
    """Return where this process finds its things. Raises ConfigError when there is no configuration."""
    from daemon.settings import Settings, find_config

    options = given(context)
    return Settings(config=find_config(options.config, os.environ), environment=os.environ, state=options.state)


def start_logs(context: click.Context, *, level: str = "warning") -> None:
    """Begin to log: as the operator asked on the command line, or else in the environment, or else from `level`.

    Raises UsageError for a word in the environment that is none of those it may be.
    """
    from daemon.logs import Format, configure

    asked = given(context)
    form = asked.log_format or _from_environment("CRUDSD_LOG_FORMAT", FORMATS) or "auto"
    configure(
        level=asked.log_level or _from_environment("CRUDSD_LOG_LEVEL", LEVELS) or level, format=cast("Format", form)
    )


def _from_environment(name: str, words: tuple[str, ...]) -> str | None:
    word = os.environ.get(name)
    if word and word not in words:
        raise click.UsageError(f"{name} is {word!r} in the environment; it may be one of {', '.join(words)}")
    return word


def say_version(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Print the version and end, if the option is there."""
    del parameter
    if value and not context.resilient_parsing:
        from daemon.report.identity import version

        click.echo(f"crudsd {version()}")
        context.exit()


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is None or parameter.name is None:
        return
    root = context.find_root()
    root.obj = replace(given(context), **{parameter.name: value})
    context.obj = root.obj
    if parameter.name == "no_color":
        root.color = context.color = False
        os.environ["NO_COLOR"] = "1"  # for the log and the progress line, which know no click
