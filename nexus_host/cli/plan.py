"""`nexus plan`: what a run would do."""

from __future__ import annotations

from typing import Any

import click

from .app import State
from .run import WithStageFlags, plan_options, request_of, show_plan


@click.command("plan", cls=WithStageFlags)
@plan_options
@click.pass_obj
def command(state: State, /, *, as_json: bool, **given: Any) -> int:
    """Show what `nexus run` would do: what runs, what is cached and why the rest is not, and what it will take."""
    return show_plan(request_of(state, given), as_json=as_json)
