"""`python writing.py KIND FOLDER`: a checkpoint of random weights, in the names that its publishers use; a
part of it in memory at a time, and in a process of its own, so that what writing takes is gone."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from nexus_torch.precise import keeps_float32
from safetensors.torch import save_file
from torch import Tensor
from transformers.core_model_loading import revert_weight_conversion

from zoo import kinds

SHARD, DRAWN = 100_000_000, 1 << 20
ONES = ("running_var", "cluster_usage", "A_log", "dt_bias")


def main(name: str, home: Path) -> None:
    """Weights, configuration, and what makes tensors."""
    kind = kinds()[name]
    with torch.device("meta"):
        model, *processors = kind.make()
    _narrow(model, getattr(torch, kind.dtype))
    home.mkdir(parents=True)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = kind.dtype
    model.config.save_pretrained(home)
    if model.can_generate():
        model.generation_config.save_pretrained(home)
    index: dict[str, str] = {}
    for number, group in enumerate(_groups(model)):
        file = f"model-{number:05d}.safetensors"
        stored = _published(model, {name: _drawn(name, like) for name, like in group.items()})
        save_file(stored, home / file, metadata={"format": "pt"})
        index |= dict.fromkeys(stored, file)
    (home / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    for each in processors:
        if isinstance(each, Mapping):
            (home / "processor_config.json").write_text(json.dumps(each))
        else:
            each.save_pretrained(home)


def _narrow(model: Any, dtype: torch.dtype) -> None:
    """To a dtype, but for what its class keeps in float32 (a codec), as its publisher's `save_pretrained` has it."""
    model.to(dtype)
    wide = keeps_float32(model)
    for name, each in (*model.named_parameters(), *model.named_buffers()):
        if each.is_floating_point() and wide(name):
            each.data = each.data.float()


def _groups(model: Any) -> Iterator[dict[str, Tensor]]:
    """What is stored, some layers at a time: whole layers, for the names of their parts may be made of several."""
    once = {name for name, _ in (*model.named_parameters(), *model.named_buffers())}  # tied weights once
    layers: dict[str, dict[str, Tensor]] = {}
    for name, each in ((name, each) for name, each in model.state_dict().items() if name in once):
        pieces = name.split(".")
        first = next((at for at, piece in enumerate(pieces) if piece.isdigit()), None)
        layers.setdefault("" if first is None else ".".join(pieces[: first + 1]), {})[name] = each
    group: dict[str, Tensor] = {}
    for layer in layers.values():
        group |= layer
        if sum(each.numel() * each.itemsize for each in group.values()) > SHARD:
            yield group
            group = {}
    if group:
        yield group


def _published(model: Any, group: dict[str, Tensor]) -> dict[str, Tensor]:
    """In the names and shapes of the published file; no two of one memory."""
    found: dict[str, Tensor] = revert_weight_conversion(model, group)
    return {name: each.contiguous().clone() for name, each in found.items()}


def _drawn(name: str, like: Tensor) -> Tensor:
    """Random; ones for scales, and for what is divided by."""
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    made = torch.empty(like.shape, dtype=like.dtype)
    if ("norm" in name.lower() and name.endswith("weight")) or name.endswith(ONES):
        return made.fill_(1.0)
    few = torch.randn(min(DRAWN, made.numel()), generator=torch.Generator().manual_seed(len(name))).mul_(0.02)
    for piece in made.view(-1).split(DRAWN):
        piece.copy_(few[: piece.numel()])
    return made


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
