"""`nexus show`: an artefact or a run, in words and tables."""

from __future__ import annotations

from pathlib import Path

import click

from ..showing.artefact_view import print_shown, shown
from ..showing.tables import console
from .output import emit_json, json_option


@click.command("show")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="nexus-run")
@json_option
def command(folder: Path, *, as_json: bool) -> int:
    """Show an artefact or a run directory in words and tables."""
    facts = shown(folder.absolute())
    if as_json:
        emit_json(facts)
    else:
        print_shown(facts, console())
    return 0
