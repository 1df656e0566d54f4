"""What stands where in a folder of shards, and in which dtype: the table of this package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor

SCHEMA, INDEX, STATE = "nexus.shards/1", "index.json", "state:"


def pair(folder: Path, number: int) -> tuple[Path, Path]:
    """A shard's tensors, and its keys."""
    return folder / f"shard-{number:05d}.safetensors", folder / f"shard-{number:05d}.json"


def stored(name: str, value: Tensor, vocabulary: int) -> dict[str, Tensor]:
    """A record as it is stored, by name; ids of a small `vocabulary` (0: unknown) in 16 bits."""
    if name.startswith(STATE):
        return quantise(value, name)
    if name == "ids":
        return {name: value.to(torch.int16 if 0 < vocabulary < 2**15 else torch.int32)}
    kind = {"tokens": torch.int32, "spans": torch.int32, "probabilities": torch.float16}
    return {name: value.to(kind.get(name, torch.float32))}


def quantise(state: Tensor, name: str = "state") -> dict[str, Tensor]:
    """States [T, R] as int8 with one scale a token: {name, name.scale}; largest error half a step, scale / 2."""
    scale = (state.float().abs().amax(-1) / 127).clamp(min=6e-5, max=65504).half()
    steps = (state.float() / scale.float()[:, None]).round().clamp(-127, 127)
    return {name: steps.to(torch.int8), f"{name}.scale": scale}


def read_index(folder: Path) -> dict[str, Any]:
    """The index. NexusError where it cannot be read, or is of another version."""
    path = folder / INDEX
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NexusError(f"'{path}' is not a readable index of shards. Run `nexus run --stage extract`.") from error
    if index.get("schema") != SCHEMA:
        raise NexusError(f"'{path}' has the schema {index.get('schema')!r}; this version reads '{SCHEMA}'.")
    return index
