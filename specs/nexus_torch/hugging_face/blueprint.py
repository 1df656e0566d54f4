"""What a checkpoint is, from its configuration, its module without weights, and the headers of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from nexus_specs import Blueprint, Extent, Part, Stack
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from nexus_torch.precise import kept_float32
from nexus_torch.skeleton import holders
from nexus_torch.stacks import owner, stacks

from .configuration.catalogue import is_head_of
from .configuration.classes import takes
from .configuration.experts import active, elements, idle, nearest_config
from .configuration.giving import given
from .configuration.heads import CLASSES
from .configuration.reading import text_part
from .inputs.alive import alive
from .inputs.films import staying
from .inputs.frames import frames
from .inputs.scans import chunk, scanned
from .inputs.scores import scored
from .inputs.seeing import places, seen, tower
from .outside import outside
from .weights.packed import settings
from .weights.sizes import Expected, commonest, stored_bytes
from .widths import widths

CONTEXTS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length", "n_ctx",
    "max_target_positions",
)  # fmt: skip
"""Names of the longest input in tokens; at last that of a decoder beside an encoder of sound."""


def divide(module: nn.Module, found: Mapping[str, Extent], targets: Mapping[str, tuple[str, Any]]) -> tuple[Part, ...]:
    """The parts: what belongs to no layer first, as the part "", then the layers in the module's order. A weight that
    a module outside shares with a layer (relative positions of UDOP) is needed while that layer is gone: no layer's.
    Nor are those of layers that run again for every frame of a film."""
    order = ["", *(layer for layers in stacks(module).values() for layer in layers)]
    layers, tied, stay = frozenset(order[1:]), holders(module), staying(type(module), order[1:])
    groups: dict[str, list[Extent]] = {path: [] for path in order}
    for key, (name, _) in targets.items():
        owners = {owner(each, layers) for each in tied.get(name, (name,))}
        groups["" if "" in owners or owners & stay else owner(name, layers)].append(found[key])
    return tuple(Part(path=path, extents=tuple(groups[path])) for path in order)


def blueprint(
    module: PreTrainedModel, parts: Sequence[Part], tokenizer: str, stored_as: torch.dtype | None = None,
    missing: Sequence[str] = (), processors: Mapping[str, str] | None = None,
) -> Blueprint:  # fmt: skip
    """The record of it all. `tokenizer` is its hash, `processors` are classes by their kind; without weights (all
    parts empty) their bytes are what `stored_as` and the quantisation let expect."""
    config, kind = module.config, type(module)
    text = text_part(config)
    everything = [extent for part in parts for extent in part.extents]
    gives = given(module)
    named = gives == ("label",) or is_head_of(kind.__name__, *CLASSES)
    has_words = "text" in (*takes(kind), *gives)       # of what writes alone: those of its decoder
    expected = None if everything else Expected(stored_as, settings(config))
    unused = idle(module)
    precise = kept_float32(module)
    found = _stacks(module, {part.path: part.extents for part in parts}, expected, unused, precise)
    layers = [layer for stack in found for layer in stack.layers]
    count, met, paths = elements(module), active(module, "", unused), [stack.path for stack in found]
    states, kept = scanned(module), scored(module, paths)
    even = takes(kind) == ("text",) and met == count and not (states or kept)   # every text alike
    return Blueprint(
        family=config.model_type,
        head=kind.__name__,
        takes=takes(kind),
        gives=gives,
        stacks=found,
        parameters=count,
        active_parameters=met,
        bytes=stored_bytes(everything) if expected is None else _expected(module, found, layers, expected),
        dtype=commonest([extent.dtype for extent in everything]) if expected is None else expected.name,
        quantisation=str(settings(config).get("quant_method", "")),
        vocabulary=_number(text, ("vocab_size",)) if has_words else 0,
        tokenizer=tokenizer,
        processors=processors or {},
        labels=_labels(config) if named else (),
        context=context_of(config) if has_words else 0,
        frames=frames(module),
        scanned=states,
        chunk=chunk(module),
        scored=kept,
        alive=alive(module, paths, count) if even else 0,
        seen=_seen(module, found),
        places=places(config) if "image" in takes(kind) and gives == ("text",) else 0,
        outside=outside(module, stacks(module), [each for part in parts if part.path not in layers
                                                 for each in part.extents]),
        float32=sum(precise.values()),
        buffers=sum(each.numel() * each.itemsize for each in module.buffers()),
        missing=tuple(missing),
    )


def _labels(config: PreTrainedConfig) -> tuple[str, ...]:
    """Names of classes; numbered where a configuration leaves them open (PVT's does)."""
    names = config.id2label or {}
    named = tuple(str(names[index]) for index in sorted(names))
    return named or tuple(f"LABEL_{at}" for at in range(config.num_labels))


def context_of(config: PreTrainedConfig) -> int:
    """The longest input in tokens; 0 where the configuration names no limit."""
    return _number(text_part(config), CONTEXTS)


def _stacks(
    module: nn.Module, held: Mapping[str, Sequence[Extent]], expected: Expected | None, unused: Mapping[str, int],
    precise: Mapping[str, int],
) -> tuple[Stack, ...]:  # fmt: skip
    def size(layer: str) -> int:
        if expected is None:
            return stored_bytes(held[layer])
        return expected.bytes(module.get_submodule(layer), layer, packed=True)

    def kept(layers: Sequence[str]) -> tuple[int, ...]:
        found = [sum(size for name, size in precise.items() if name.startswith(f"{layer}.")) for layer in layers]
        return tuple(found) if any(found) else ()

    return tuple(
        Stack(
            path=path,
            count=len(layers),
            widths=widths(module, path, layers),
            layer_bytes=tuple(size(layer) for layer in layers),
            layer_parameters=tuple(elements(module.get_submodule(layer)) for layer in layers),
            layer_active=tuple(active(module, layer, unused) for layer in layers),
            layer_float32=kept(layers),
            dtype=commonest([each.dtype for layer in layers for each in held[layer]])
            if expected is None
            else expected.name,
            kind=" / ".join(dict.fromkeys(type(module.get_submodule(layer)).__name__ for layer in layers)),
            sees="text" in (*takes(type(module)), *given(module)) and tower(module, path, beside=True) is not None,
        )
        for path, layers in stacks(module).items()
    )


def _seen(module: nn.Module, found: Sequence[Stack]) -> int:
    """The largest state of one picture or sound, of all stacks that have such."""
    if not {"image", "video", "audio"} & set(takes(type(module))):
        return 0
    return seen((nearest_config(module, stack.path), max(stack.widths, default=0)) for stack in found)


def _expected(module: nn.Module, found: Sequence[Stack], layers: Sequence[str], expected: Expected) -> int:
    """Bytes of all weights: layers as they are packed, the rest as the configuration's dtype says."""
    inside = sum(expected.bytes(module.get_submodule(layer), packed=False) for layer in layers)
    rest = expected.bytes(module, packed=False) - inside
    return rest + sum(sum(stack.layer_bytes) for stack in found)


def _number(config: PreTrainedConfig, names: Sequence[str]) -> int:
    found = (getattr(config, name, None) for name in names)
    return next((each for each in found if isinstance(each, int) and not isinstance(each, bool) and each > 0), 0)
