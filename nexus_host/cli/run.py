"""`nexus run`: distils the teachers of the registry into one student, and proves it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..discovery import OptionField, Plugins
from ..planning.resources import check_disk, workers
from ..registry import Override, Registry
from ..running.preparing import planned
from ..running.session import Request, Result, perform
from ..showing.plan_view import plan_facts, print_plan
from ..showing.results import print_results
from ..showing.tables import console
from ..store.lock import Busy, held, refusal
from .app import State
from .output import emit_json, json_option

_PREFIX, RUN = "stage_flag__", "nexus-run"


class WithStageFlags(click.Command):
    """A command with the switches that the installed stages bring (`--allow-below`)."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own options, and one for each flag."""
        own = super().get_params(ctx)
        state = ctx.find_object(State)
        flags = state.plugins.flags() if state else []
        return own + [_flag(stage, field) for stage, field in flags]


def _flag(stage: str, field: OptionField) -> click.Option:
    name = f"{_PREFIX}{stage}__{field.name}"
    help = f"{field.help} (stage {stage})"
    if field.type is bool:
        return click.Option([name, field.flag], is_flag=True, default=None, help=help)
    return click.Option([name, field.flag], default=None, help=help)


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What `run` and `plan` have in common."""
    for each in reversed(_OPTIONS):
        command = each(command)
    return command


_OPTIONS = (
    click.option(
        "--registry", "path", type=click.Path(path_type=Path), help="Registry file [default: ./registry.yaml]"
    ),
    click.option(
        "--run-dir",
        type=click.Path(path_type=Path),
        default=RUN,
        show_default=True,
        help="Where the run is kept",
    ),
    click.option("--models", multiple=True, help="Only these teachers: ids or aliases, by commas"),
    click.option("--datasets", multiple=True, help="Only teachers on these data: names, tags or 'all', by commas"),
    click.option("--stage", "target", default="", help="Stop after this stage"),
    click.option("--sample-size", type=click.IntRange(1), help="At most this many samples per teacher and part"),
    click.option("--skip-non-llm", is_flag=True, help="Only language models"),
    click.option("--set", "sets", multiple=True, metavar="KEY.PATH=VALUE", help="Changes a value of the registry"),
    json_option,
)


class Run(WithStageFlags):
    """`nexus run`, which asks whether the run directory is free before anything is looked for or read."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Raises Busy where another process has the run directory, unless it is to be taken over or only planned."""
        if not {"--help", "-h"} & set(args):
            _refuse_launcher()
        if not {"--take-over", "--dry-run", "--help", "-h"} & set(args):
            run = _run_dir(args).absolute()
            with suppress(OSError):
                if held(run):
                    raise Busy(refusal(run))
        return super().make_context(info_name, args, parent, **extra)


def _refuse_launcher() -> None:
    """Several copies of a run would be in each other's way: one has the run directory, the launcher ends it when the
    others are refused."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise click.UsageError(
            "torchrun started several copies of this run. Start it once: nexus run. It starts its own processes "
            "(run.workers, or an executor under run.components)."
        )


def _run_dir(args: list[str]) -> Path:
    """The run directory that a command line names, before it is parsed.

    >>> str(_run_dir([])), str(_run_dir(["--json", "--run-dir", "one"])), str(_run_dir(["--run-dir=two", "--run-dir"]))
    ('nexus-run', 'one', 'nexus-run')
    """
    found = RUN
    for at, word in enumerate(args):
        flag, _, value = word.partition("=")
        if flag == "--run-dir":
            found = value or next(iter(args[at + 1 :]), RUN)
    return Path(found)


@click.command("run", cls=Run)
@plan_options
@click.option("--dry-run", is_flag=True, help="Only show the plan, as `nexus plan` does")
@click.option("--reset", is_flag=True, help="First remove what earlier runs made in the run directory")
@click.option("--prune", is_flag=True, help="Once all is done, remove artefacts of earlier settings")
@click.option("--take-over", is_flag=True, help="End the process that uses the run directory")
@click.pass_obj
def command(
    state: State, /, *, dry_run: bool, reset: bool, prune: bool, take_over: bool, as_json: bool, **given: Any
) -> int:
    """Distil the teachers of the registry into one student, and prove it.

    A run that was interrupted goes on where it stopped. Exit codes: 0 done, 1 a unit failed, 2 wrong usage,
    3 the run directory is in use, 129, 130 and 143 interrupted.
    """
    if prune and given["sample_size"]:
        raise click.UsageError(
            "--prune would remove whole artefacts in favour of small ones that --sample-size makes. Leave one out."
        )
    request = replace(request_of(state, given, reset=reset, take_over=take_over), prune=prune)
    if dry_run:
        return show_plan(request, as_json=as_json)
    return report(perform(request), request, as_json=as_json)


def request_of(state: State, given: dict[str, Any], *, reset: bool = False, take_over: bool = False) -> Request:
    """The request behind the options of the command line."""
    overrides = [Override.parse(each) for each in given["sets"]] + _flags(given)
    registry = Registry.load(
        given["path"],
        state.plugins,
        overrides,
        models=given["models"],
        datasets=given["datasets"],
        language_only=given["skip_non_llm"],
        files=True,
    )
    return Request(
        registry=registry,
        plugins=state.plugins,
        run=given["run_dir"].absolute(),
        without=state.without,
        target=given["target"],
        samples=given["sample_size"] or 0,
        reset=reset,
        take_over=take_over,
    )


def _flags(given: dict[str, Any]) -> list[Override]:
    found = []
    for name, value in given.items():
        if name.startswith(_PREFIX) and value is not None:
            stage, _, option = name.removeprefix(_PREFIX).partition("__")
            path = ("run", "stages", stage, option)
            found.append(Override(path=path, value=value, flag=f"--{option.replace('_', '-')}"))
    return found


def show_plan(request: Request, *, as_json: bool) -> int:
    """Prints the plan."""
    plan = planned(
        request.registry,
        request.plugins,
        request.run,
        without=request.without,
        target=request.target,
        samples=request.samples,
    )
    count = workers(request.registry)
    if as_json:
        emit_json(plan_facts(plan, count))
    else:
        print_plan(plan, count, console())
    check_disk(plan, count)
    return 0


def preview(registry: Registry, plugins: Plugins, run_dir: Path) -> None:
    """Prints the plan of a registry as `nexus plan` does, in a process that has opened a checkpoint of it. Raises
    NexusError."""
    without = tuple(name for name, each in plugins.found.items() if each.state == "blocked")
    print_plan(planned(registry, plugins, run_dir, without=without, here=True), workers(registry), console())


def report(result: Result, request: Request, *, as_json: bool) -> int:
    """Prints what came of a run: its tables, or its status as JSON."""
    if as_json:
        emit_json(result.board.snapshot())
    else:
        print_results(result.board, request.target, console())
    return result.code
