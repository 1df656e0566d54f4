"""`nexus doctor`: is this installation whole, and is this machine fit?"""

from __future__ import annotations

from pathlib import Path

import click

from ..examining import examine
from .app import COMMANDS, State
from .output import emit_json, emit_table, json_option


@click.command("doctor")
@click.option("--run-dir", type=click.Path(path_type=Path), default="nexus-run", show_default=True)
@json_option
@click.pass_obj
def command(state: State, /, *, run_dir: Path, as_json: bool) -> int:
    """Check Python, packages, plugins, processor, memory, disk, GPU, locks and folders.

    Exit code 1 where something stands in the way of a run.
    """
    found = examine(state.plugins, run_dir.absolute(), COMMANDS)
    if as_json:
        emit_json(found)
    else:
        emit_table(
            ["check", "", "found", "what to do"], [(each.check, each.mark, each.found, each.hint) for each in found]
        )
    return int(any(each.mark == "fail" for each in found))
