"""`nexus inspect`: what a checkpoint is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
from nexus_specs import Blueprint, Budget, Estimate, NexusError, plain

from ..discovery import Plugins
from ..discovery.opening import is_here
from ..registry.naming import meant, teacher
from ..registry.trust import allow
from ..running.preparing import held_here
from ..showing.text import duration
from ..words import bytes_text, listed
from .app import State
from .output import emit_json, emit_table, json_option, say

LARGE = {"image": "pictures", "video": "films", "audio": "sounds"}
"""What takes as much memory as it is large, by its modality."""


@click.command("inspect")
@click.argument("source")
@json_option
@click.pass_obj
def command(state: State, *, source: str, as_json: bool) -> int:
    """Say what the checkpoint SOURCE (a folder, a file, a package: resource, a hub id, or a teacher of the registry by
    its name) is, and how it would be run on this machine, without reading its weights."""
    source = _named(source, state.plugins)
    blueprint = looked_at(source, state.plugins)
    loader = state.plugins.loader(source)
    held = held_here(source, blueprint, state.plugins, state.without)
    if as_json:
        more = {"stacks": described(blueprint), "runs": _runs(blueprint, *held) if held else None}
        emit_json({"source": source, "loader": loader} | plain(blueprint) | more)
    else:
        rows = [("runs here", _words(blueprint, _runs(blueprint, *held)))] if held else []
        emit_table(["", source], [("loader", loader), *facts(blueprint), *rows])
    return 0


def _named(source: str, plugins: Plugins) -> str:
    """The source of the teacher that the registry calls so; what is there under that name comes first."""
    if is_here(source):
        return source
    name, card = teacher(source, plugins)
    if card is None:
        return source
    say(f"'{source}' is the teacher '{name}' of the registry: {card.source}")
    if card.trust:
        allow([card])
    return card.source


def looked_at(source: str, plugins: Plugins) -> Blueprint:
    """What a checkpoint is. NexusError with the source of a teacher of the registry, where its name was typed."""
    try:
        return plugins.inspect(source)
    except NexusError as error:
        if said := meant(source, plugins):
            raise NexusError(f"{error} {said}") from error
        raise


def _runs(blueprint: Blueprint, budget: Budget, estimate: Estimate, sample: str) -> dict[str, Any]:
    """How it would be held here, as JSON: why, bytes of memory at most, for which samples, and seconds in which the
    disk gives its weights."""
    placed = {name: getattr(budget, name) for name in ("residency", "quantise", "precision", "micro_batch", "device")}
    reading = blueprint.bytes / budget.read_rate if budget.read_rate else None
    return placed | {"memory": estimate.memory, "sample": sample, "reading_seconds": reading, "how": estimate.how}


def _words(blueprint: Blueprint, runs: Mapping[str, Any]) -> str:
    reading = f", read in {duration(runs['reading_seconds'])}" if runs["reading_seconds"] is not None else ""
    memory = bytes_text(runs["memory"])
    large = [LARGE[each] for each in blueprint.takes if each in LARGE]
    batch = f"{runs['micro_batch']} short samples at a time"
    if runs["sample"]:
        batch = f"{runs['micro_batch']} samples at a time, each {runs['sample']}"
    elif large:
        batch += f" (a plan says what your {' and '.join(large)} take)"
    return f"{runs['how']}; {memory} of memory for {batch}{reading}"


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
        ("tokenizer", " ".join(filter(None, [blueprint.processors.get("tokenizer", ""), blueprint.tokenizer]))),
        *((kind.replace("_", " "), name) for kind, name in blueprint.processors.items() if kind != "tokenizer"),
        ("context", f"{blueprint.context:,} tokens" if blueprint.context else ""),
        ("classes", _classes(blueprint.labels)),
        ("still missing", listed(blueprint.missing) if blueprint.missing else ""),
    ]
    rows += [(f"layers of {each['path']}", _stack(each)) for each in described(blueprint)]
    return [row for row in rows if row[1] != ""]


def described(blueprint: Blueprint) -> list[dict[str, Any]]:
    """The stacks, with what all layers of each come to beside what each layer has."""
    return [
        {
            "path": stack.path,
            "count": stack.count,
            "class": stack.kind,
            "widths": list(stack.widths),
            "parameters": sum(stack.layer_parameters),
            "active_parameters": sum(stack.layer_active or stack.layer_parameters),
            "bytes": sum(stack.layer_bytes),
            "dtype": stack.dtype or blueprint.dtype,
            "layer_bytes": list(stack.layer_bytes),
            "layer_parameters": list(stack.layer_parameters),
        }
        for stack in blueprint.stacks
    ]


def _stack(each: Mapping[str, Any]) -> str:
    """One stack in a line: count, class, width, bytes of a layer, dtype."""
    sizes = sorted({size for size in each["layer_bytes"] if size})
    size = "" if not sizes else bytes_text(sizes[-1]) if len(sizes) == 1 else "to ".join(
        f"{bytes_text(end)} " for end in (sizes[0], sizes[-1])
    ).strip()  # fmt: skip
    parts = [str(each["count"]), each["class"], f"width {_widths(each['widths'])}", f"{size} a layer" if size else ""]
    return ", ".join(part for part in [*parts, each["dtype"]] if part)


def _classes(labels: tuple[str, ...]) -> str:
    return f"{len(labels)}: {listed(labels[:8])}{', ...' if len(labels) > 8 else ''}" if labels else ""


def _widths(widths: Sequence[int]) -> str:
    known = sorted({width for width in widths if width > 0})
    return listed(known) if known else "varies"
