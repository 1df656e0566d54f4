"""`nexus new-plugin`: a package that works, to change into one's own."""

from __future__ import annotations

from pathlib import Path

import click

from ..scaffolding import create
from .output import say


@click.command("new-plugin")
@click.argument("kind")
@click.argument("name")
@click.option("--dir", "parent", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True)
def command(kind: str, name: str, parent: Path) -> int:
    """Write the plugin package NAME with one component of KIND: tower, architecture, metric, profiler, loss, stage
    or reader.

    It is a whole package: pyproject.toml, a small component that really works, and tests that use the conformance
    kit and pass. Change it into yours, and keep them passing.
    """
    for path in create(kind, name, parent):
        print(path)
    say(f'Type: pip install -e "{parent / name}[testing]" && pytest {parent / name}')
    return 0
