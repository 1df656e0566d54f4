"""The group `nexus`: its own commands by name and summary, those that plugins bring, and what they share.

No command's module is imported before it is called, so that `nexus --help` is quick and free of heavy libraries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import click
from nexus_specs import resolve

from .. import __version__
from ..discovery import Plugins
from ..words import did_you_mean

COMMANDS: Mapping[str, tuple[str, str]] = {
    "run": ("run:command", "Distil the teachers of the registry into one student, and prove it"),
    "plan": ("plan:command", "Show what a run would do, what is cached, and why the rest is not"),
    "status": ("status:command", "Show how far a run is"),
    "show": ("show:command", "Show an artefact or a run in words and tables"),
    "add": ("add:command", "Write a teacher's card into the registry, from its checkpoint"),
    "list": ("lists:command", "List plugins, components, teachers, datasets or architectures"),
    "inspect": ("inspecting:command", "Say what a checkpoint is, without reading its weights"),
    "profile": ("units:profile", "Profile one teacher"),
    "extract": ("units:extract", "Record what one teacher gives, as shards"),
    "score": ("units:score", "Score one teacher on held-out data"),
    "new-plugin": ("new_plugin:command", "Write a plugin package that works and passes its tests"),
    "schema": ("schema:command", "Print the JSON schema of registry.yaml, for editors"),
    "doctor": ("doctor:command", "Check this installation and this machine"),
}
EPILOG = """\b
Exit codes:
  0    done
  1    failed, or a contract was not kept
  2    wrong usage, or a mistake in the registry
  3    the run directory is in use by another process
  129  its terminal was closed; the same command goes on from there
  130  interrupted (Ctrl-C); the same command goes on from there
  141  nobody reads its output any more (a pipe into head)
  143  terminated; the same command goes on from there

Results are on stdout, everything else on stderr. NEXUS_TRACEBACK=1 shows where an error arose,
NEXUS_WITHOUT=NAME,NAME switches plugins off."""


@dataclass
class State:
    """What all commands share; `@click.pass_obj` hands it over."""

    without: tuple[str, ...] = ()

    @cached_property
    def plugins(self) -> Plugins:
        """The plugins, discovered on first use."""
        return Plugins.discover(self.without)


class NexusGroup(click.Group):
    """Commands of the host, then commands of plugins."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The host's in the order of use, the plugins' by name."""
        return [*COMMANDS, *(name for name in _state(ctx).plugins.components("command") if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None for an unknown one."""
        if cmd_name in COMMANDS:
            found: click.Command = resolve(f"nexus_host.cli.{COMMANDS[cmd_name][0]}")
            return found
        plugins = _state(ctx).plugins
        if cmd_name in plugins.components("command") or cmd_name in plugins.doubles("command"):
            from .plugin_commands import build

            return build(plugins, cmd_name)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a question for an unknown name."""
        if not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = self.list_commands(ctx)
            ctx.fail(f"No command is named '{args[0]}'.{did_you_mean(args[0], known)} See `nexus --help`.")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and summaries, without importing a command."""
        plugins = _state(ctx).plugins.components("command")
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])
        if more := [(name, found.summary) for name, found in plugins.items() if name not in COMMANDS]:
            with formatter.section("Commands of plugins"):
                formatter.write_dl(more)


def _state(ctx: click.Context) -> State:
    return ctx.ensure_object(State)


def _without(ctx: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(name.strip() for each in value for name in each.split(",") if name.strip())
    ctx.obj = State(names)
    return names


def _show_version(ctx: click.Context, _: click.Parameter, value: Any) -> None:
    if value:
        click.echo(f"nexus {__version__}")
        ctx.exit()


@click.group(
    cls=NexusGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--without",
    multiple=True,
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=_without,
    help="Do as if this plugin were not installed (may be repeated)",
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version"
)
def nexus() -> None:
    """Nexus distils many teachers into one small modular student that needs no teacher at run time, and proves for
    every capability how much of its teacher it kept."""
