"""`nexus inspect`: what a checkpoint is."""

from __future__ import annotations

from typing import Any

import click
from nexus_specs import Blueprint, plain

from ..words import bytes_text, listed
from .app import State
from .output import emit_json, emit_table, json_option


@click.command("inspect")
@click.argument("source")
@json_option
@click.pass_obj
def command(state: State, *, source: str, as_json: bool) -> int:
    """Say what the checkpoint SOURCE (a folder, a package: resource, a hub id) is, without reading its weights."""
    loader = state.plugins.loader(source)
    blueprint = state.plugins.inspect(source)
    if as_json:
        emit_json({"source": source, "loader": loader} | plain(blueprint))
    else:
        emit_table(["", source], [("loader", loader), *facts(blueprint)])
    return 0


def facts(blueprint: Blueprint) -> list[tuple[str, Any]]:
    """What a person wants to know of a blueprint, as rows."""
    rows: list[tuple[str, Any]] = [
        ("model", f"{blueprint.head} ({blueprint.family})"),
        ("takes", listed(blueprint.takes)),
        ("gives", listed(blueprint.gives)),
        ("parameters", f"{blueprint.parameters:,}"),
        ("active parameters", f"{blueprint.active_parameters:,}"),
        ("weights", f"{bytes_text(blueprint.bytes)}, {blueprint.dtype}"),
        ("quantised", blueprint.quantisation),
        ("vocabulary", f"{blueprint.vocabulary:,}" if blueprint.vocabulary else ""),
        ("tokenizer", blueprint.tokenizer),
        ("context", f"{blueprint.context:,} tokens" if blueprint.context else ""),
        ("classes", _classes(blueprint.labels)),
        ("still missing", listed(blueprint.missing) if blueprint.missing else ""),
    ]
    rows += [(f"layers of {each.path}", f"{each.count}, width {_widths(each.widths)}") for each in blueprint.stacks]
    return [row for row in rows if row[1] != ""]


def _classes(labels: tuple[str, ...]) -> str:
    return f"{len(labels)}: {listed(labels[:8])}{', ...' if len(labels) > 8 else ''}" if labels else ""


def _widths(widths: tuple[int, ...]) -> str:
    known = sorted({width for width in widths if width > 0})
    return listed(known) if known else "varies"
