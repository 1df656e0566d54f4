"""What a checkpoint is, from its configuration, its module without weights, and the headers of its files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nexus_specs import Blueprint, Extent, Part, Stack
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from nexus_torch.stacks import owner, stacks

from .classes import gives, takes

WIDTHS = ("hidden_size", "d_model", "n_embd", "embed_dim")
"""Names of the residual width in configurations."""
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


def divide(module: nn.Module, found: Mapping[str, Extent], targets: Mapping[str, tuple[str, Any]]) -> tuple[Part, ...]:
    """The parts: what belongs to no layer first, as the part "", then the layers in the module's order."""
    order = ["", *(layer for layers in stacks(module).values() for layer in layers)]
    layers = frozenset(order[1:])
    groups: dict[str, list[Extent]] = {path: [] for path in order}
    for key, (name, _) in targets.items():
        groups[owner(name, layers)].append(found[key])
    return tuple(Part(path=path, extents=tuple(groups[path])) for path in order)


def blueprint(module: PreTrainedModel, parts: Sequence[Part], tokenizer: str) -> Blueprint:
    """The record of it all; `tokenizer` is its hash."""
    config, kind = module.config, type(module)
    text = config.get_text_config()
    everything = [extent for part in parts for extent in part.extents]
    label = gives(kind) == ("label",)
    reads_text = "text" in takes(kind)
    return Blueprint(
        family=config.model_type,
        head=kind.__name__,
        takes=takes(kind),
        gives=gives(kind),
        stacks=_stacks(module, {part.path: part.extents for part in parts}),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
        active_parameters=_active(sum(parameter.numel() for parameter in module.parameters()), everything, text),
        bytes=sum(extent.stop - extent.start for extent in everything),
        dtype=_commonest([extent.dtype for extent in everything]),
        quantisation=_quantisation(config),
        vocabulary=int(getattr(text, "vocab_size", 0) or 0) if reads_text else 0,
        tokenizer=tokenizer,
        labels=tuple(str(config.id2label[index]) for index in sorted(config.id2label)) if label else (),
        context=int(getattr(text, "max_position_embeddings", 0) or 0) if reads_text else 0,
        missing=("tokenizer.json",) if reads_text and not tokenizer else (),
    )


def _stacks(module: nn.Module, held: Mapping[str, Sequence[Extent]]) -> tuple[Stack, ...]:
    return tuple(
        Stack(
            path=path,
            count=len(layers),
            widths=(_width(module, path),) * len(layers),
            layer_bytes=tuple(sum(each.stop - each.start for each in held[layer]) for layer in layers),
            layer_parameters=tuple(_elements(held[layer]) for layer in layers),
        )
        for path, layers in stacks(module).items()
    )


def _width(module: nn.Module, path: str) -> int:
    """The residual width that the nearest configuration above a stack names; -1 where none does."""
    parts = path.split(".")
    for length in range(len(parts), -1, -1):
        config = getattr(module.get_submodule(".".join(parts[:length])), "config", None)
        if isinstance(config, PreTrainedConfig):
            return next((int(found) for name in WIDTHS if isinstance(found := getattr(config, name, None), int)), -1)
    return -1


def _elements(found: Sequence[Extent]) -> int:
    return sum(math.prod(extent.shape) for extent in found)


def _active(total: int, found: Sequence[Extent], config: PreTrainedConfig) -> int:
    """Parameters that one token meets: of the experts, those that are chosen."""
    count = next((each for name in EXPERTS if isinstance(each := getattr(config, name, None), int) and each), 0)
    chosen = getattr(config, "num_experts_per_tok", None)
    experts = _elements([extent for extent in found if ".experts." in extent.key])
    return total - (experts - experts * chosen // count if count and isinstance(chosen, int) else 0)


def _commonest(kinds: Sequence[str]) -> str:
    return max(sorted(set(kinds)), key=kinds.count, default="")


def _quantisation(config: PreTrainedConfig) -> str:
    found = getattr(config, "quantization_config", None)
    return "" if found is None else str(dict(found).get("quant_method", "unknown"))
