"""`nexus status`: how far a run is."""

from __future__ import annotations

from pathlib import Path

import click

from ..showing.status_view import print_status, status_of
from ..showing.tables import console
from .output import emit_json, json_option


@click.command("status")
@click.argument("run", type=click.Path(path_type=Path), default="nexus-run")
@click.option("--run-dir", type=click.Path(path_type=Path), help="The same as RUN")
@json_option
def command(run: Path, run_dir: Path | None, *, as_json: bool) -> int:
    """Show how far a run is, from its status.json (RUN: its directory)."""
    status = status_of((run_dir or run).absolute())
    if as_json:
        emit_json(status)
    else:
        print_status(status, console())
    return 0
