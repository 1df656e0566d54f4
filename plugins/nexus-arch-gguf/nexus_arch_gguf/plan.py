"""The weights of a module, each with its recipe, in the parts that are loaded and dropped together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from nexus_specs import Extent, NexusError, Part
from nexus_torch.stacks import owner, stacks
from torch import Tensor, nn

from .bounds import NUMBER
from .layout import Layout
from .names import gguf_name
from .rules import GENERAL, Recipe, apart, recipe
from .source import Source

SPARE = r"rope_(?:freqs|factors_long|factors_short)\.weight$|attn_rot_embd|\.nextn\.|\.input_scale$|^mm\."
"""Rotary factors (read with the metadata), heads of drafts, scales of states, what joins a tower to another model."""


def recipes(module: nn.Module, source: Source, layout: Layout, known: frozenset[str]) -> dict[str, Recipe]:
    """Weight of the module -> how it is made, but for those that are `known` otherwise. NexusError that names the
    weights which the file does not hold."""
    blocks = max(source.whole("{arch}.block_count", 0), source.whole("{arch}.decoder_block_count", 0))
    rules = (*layout.rules, *GENERAL)
    found: dict[str, Recipe] = {}
    missing = []
    for name in weights(module):
        if name in known:
            continue
        made = recipe(name, rules, source.places, lambda key: gguf_name(source.architecture, blocks, key))
        made = made or apart(name, source.places)
        if made is None:
            missing.append(name)
        else:
            found[name] = made
    if missing:
        raise NexusError(
            f"'{source.path}' ({source.architecture}) lacks tensors for {len(missing)} weights of {layout.head}: "
            f"{', '.join(missing[:4])}{' …' if len(missing) > 4 else ''}. Fetch or convert it again."
        )
    return found


def weights(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and stored buffers, each once: of tied ones the first name."""
    seen: set[int] = set()
    found = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor
    return found


def divide(module: nn.Module, source: Source, plan: Mapping[str, Recipe]) -> tuple[Part, ...]:
    """What belongs to no layer first, as the part "", then the layers in the module's order."""
    order = ["", *(layer for layers in stacks(module).values() for layer in layers)]
    held: dict[str, dict[str, Extent]] = {path: {} for path in order}
    layers = frozenset(order[1:])
    for name, made in plan.items():
        part = held[owner(name, layers)]
        part |= {each: _extent(source, each) for each in made.sources}
        part |= {each: _extent(source, each) for each in scales(source, plan, made.sources).values()}
    return tuple(Part(path=path, extents=tuple(held[path].values())) for path in order)


def joined(plan: Mapping[str, Recipe]) -> dict[str, str]:
    """Of stored tensors that make one weight together, by what stands before ".weight" in their names: the first of
    them, under which they are found together."""
    found: dict[str, str] = {}
    for made in plan.values():
        stems = [each.rpartition(".")[0] for each in made.sources]
        first = min(found.get(stem, stem) for stem in stems) if len(set(stems)) > 1 else ""
        for stem in {found.get(each, each) for each in stems} if first else ():
            found |= dict.fromkeys((stem, *stems, *(old for old, to in found.items() if to == stem)), first)
    return found


def scales(source: Source, plan: Mapping[str, Recipe], names: Sequence[str]) -> dict[str, str]:
    """Stored weight -> the stored factor beside it (`blk.0.ffn_down.scale`: the second scale of NVFP4, BitNet's) that
    its blocks are without. A factor that is a weight of the module itself is none."""
    pairs = {name: f"{name.removesuffix('.weight')}.scale" for name in names if name.endswith(".weight")}
    pairs = {name: factor for name, factor in pairs.items() if factor in source.places}
    own = {each for made in plan.values() for each in made.sources} if pairs else set()
    return {name: factor for name, factor in pairs.items() if factor not in own}


def unused(source: Source, layout: Layout, parts: Sequence[Part]) -> list[str]:
    """Stored tensors that no weight is made of, in the order of the file; but for those that only drafts, runtimes of
    quantised states or the configuration read, and towers' projectors."""
    used = {extent.key for part in parts for extent in part.extents}
    drafts = source.get("{arch}.nextn_predict_layers")
    first = source.whole("{arch}.block_count", 0) - (drafts if isinstance(drafts, int) else 0)
    spare = re.compile("|".join(filter(None, [SPARE, layout.read])))

    def known(name: str) -> bool:
        layer = NUMBER.match(name)
        return bool(spare.search(name)) or (layer is not None and int(layer[1]) >= first)

    return [name for name in source.places if name not in used and not known(name)]


def members(names: Sequence[str], parts: Sequence[Part]) -> dict[str, tuple[str, ...]]:
    """Path of a part -> the weights that are made of it."""
    layers = frozenset(part.path for part in parts if part.path)
    found: dict[str, list[str]] = {part.path: [] for part in parts}
    for name in names:
        found[owner(name, layers)].append(name)
    return {path: tuple(names) for path, names in found.items()}


def _extent(source: Source, name: str) -> Extent:
    path, info = source.places[name]
    size, rows = info.stop - info.start, info.shape[0] if len(info.shape) > 1 else 1
    shape = (rows, size // rows) if rows > 1 and size % rows == 0 else (size,)      # blocks never cross rows
    return Extent(key=name, file=str(path), start=info.start, stop=info.stop, dtype="U8", shape=shape)
