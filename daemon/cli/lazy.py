"""Verbs that are imported when they are asked for, and take the global options wherever they stand."""

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from .options import GlobalOption, global_options


class Verb(click.Command):
    """A verb. It takes the global options too, so that they may stand before or after it."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.params.extend(global_options())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verb's own options first, the global ones under a heading of their own."""
        for title, are_global in (("Options", False), ("Global options", True)):
            options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
            chosen = [one for one in options if isinstance(one, GlobalOption) is are_global]
            records = [record for one in chosen if (record := one.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class VerbGroup(click.Group):
    """A verb with verbs of its own, which suggests the nearest one for a slip of the finger."""

    command_class = Verb

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb. Raises UsageError with a suggestion for one that does not exist."""
        name = args[0]
        names = self.list_commands(ctx)
        if name not in names and not name.startswith("-"):
            near = get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."
            raise click.UsageError(f"There is no command {name!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)


class LazyGroup(VerbGroup):
    """The outermost group: `verbs` names the module of each verb, in which a command of the verb's name stands."""

    def __init__(self, *arguments: Any, verbs: Mapping[str, str], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in their table's order."""
        del ctx
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command; None for a verb that does not exist."""
        del ctx
        if cmd_name not in self._verbs:
            return None
        module = import_module(f"{__package__}.{self._verbs[cmd_name]}")
        command: click.Command = module.command
        return command
