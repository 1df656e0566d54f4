"""`nexus schema`."""

from __future__ import annotations

import click

from .app import State
from .output import emit_json


@click.command("schema")
@click.pass_obj
def command(state: State) -> int:
    """Print the JSON schema of registry.yaml, with the components that are installed and their options.

    \b
    In an editor with YAML support, write it beside the registry and name it in its first line:
      nexus schema > registry.schema.json
      # yaml-language-server: $schema=registry.schema.json
    """
    from ..registry.json_schema import json_schema

    emit_json(json_schema(state.plugins))
    return 0
