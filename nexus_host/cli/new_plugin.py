"""`nexus new-plugin`: a package that works, to change into one's own."""

from __future__ import annotations

from pathlib import Path

import click

from ..scaffolding import KINDS, PackageNameError, create
from .app import State
from .output import say


@click.command("new-plugin")
@click.argument("kind")
@click.argument("name")
@click.option("--dir", "parent", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True)
@click.pass_obj
def command(state: State, kind: str, name: str, parent: Path) -> int:
    """Write the plugin package NAME with one component of KIND: tower, architecture, metric, profiler, loss, stage
    or reader.

    It is a whole package: pyproject.toml, a small component that really works, and tests that use the conformance
    kit and pass. Change it into yours, and keep them passing.
    """
    if kind in KINDS and name in state.plugins.components(kind):
        raise PackageNameError(f"A {kind} '{name}' is here already; of two neither is used. Choose another name.")
    for path in create(kind, name, parent):
        print(path)
    say(f'Type: pip install -e "{parent / name}[testing]" && pytest {parent / name}')
    return 0
