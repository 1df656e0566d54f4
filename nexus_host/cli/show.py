"""`nexus show`: an artefact or a run, in words and tables."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click
from nexus_specs import NexusError

from ..showing.artefact_view import print_shown, shown
from ..showing.tables import console
from .output import emit_json, json_option


@click.command("show")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default="nexus-run")
@json_option
def command(folder: Path, *, as_json: bool) -> int:
    """Show an artefact or a run directory in words and tables."""
    try:
        with suppress(FileNotFoundError, PermissionError):
            folder.stat()
    except OSError as error:                                # longer than a name can be
        raise NexusError(f"No folder can be called '{str(folder)[:40]}'. Name an artefact or a run.") from error
    facts = shown(folder.absolute())
    if as_json:
        emit_json(facts)
    else:
        print_shown(facts, console())
    return 0
