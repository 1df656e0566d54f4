"""Where the repeated layers of a module are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

LAYER_CLASS = "GradientCheckpointingLayer"
"""transformers' base class of repeated layers, by name: this module does not import transformers."""

NAMES = ("EncoderLayer", "DecoderLayer", "TextLayer", "Block", "TransformerLayer")
"""How classes of layers end that do not say otherwise that they are."""


def stacks(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Runs of repeated layers: path of the list -> paths of its layers, in the order in which the module names them.

    The first of three signs that finds any: transformers' base class of layers, `_no_split_modules`, and lists whose
    children are of one class (convolutional nets). Beside what the first finds, lists of one class that is called a
    layer or block (towers of older code). A list inside a layer is not a stack of its own.

    >>> stacks(LlamaForCausalLM(config))                                # doctest: +SKIP
    {'model.layers': ('model.layers.0', 'model.layers.1')}
    """
    uncut = {name for each in module.modules() for name in (getattr(each, "_no_split_modules", None) or ())}
    signs: tuple[Callable[[list[nn.Module]], bool], ...] = (
        lambda layers: all(any(base.__name__ == LAYER_CLASS for base in type(each).__mro__) for each in layers),
        lambda layers: all(type(each).__name__ in uncut for each in layers),
        lambda layers: len({type(each) for each in layers}) == 1,
    )
    for sign in signs:
        if found := outermost({path: layers for path, layers in _lists(module) if sign(layers)}):
            every = {path: layers for path, layers in _lists(module) if path in found or _beside(path, layers, found)}
            return {path: _names(module, path) for path in every}
    return {}


def _names(module: nn.Module, path: str) -> tuple[str, ...]:
    """The children of a list as it calls them: a Sequential may have names (FLAVA's codebook)."""
    return tuple(f"{path}.{name}" for name, _ in module.get_submodule(path).named_children())


def _beside(path: str, layers: list[nn.Module], found: dict[str, list[nn.Module]]) -> bool:
    """Whether a list that no sign found is a stack of its own: neither inside one nor around one."""
    kinds = {type(each).__name__ for each in layers}
    apart = not any(path.startswith(f"{each}.") or each.startswith(f"{path}.") for each in found)
    return apart and len(layers) > 1 and len(kinds) == 1 and next(iter(kinds)).endswith(NAMES)


def outermost(found: dict[str, list[nn.Module]]) -> dict[str, list[nn.Module]]:
    """The entries that lie inside no other."""
    return {path: each for path, each in found.items() if not any(path.startswith(f"{other}.") for other in found)}


def owner(name: str, layers: frozenset[str]) -> str:
    """The layer that a parameter belongs to, "" for none: the longest of its prefixes that is a layer."""
    parts = name.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts) - 1, 0, -1))
    return next((prefix for prefix in prefixes if prefix in layers), "")


def _lists(module: nn.Module) -> Iterator[tuple[str, list[nn.Module]]]:
    """Lists of modules with at least one parameter each, by path. A list of lists is none: what it holds is called by
    nobody, and cannot be tapped (Funnel's blocks, PVT's stages)."""
    for path, each in module.named_modules():
        if isinstance(each, (nn.ModuleList, nn.Sequential)) and path:
            layers = list(each)                             # Informer keeps None where a layer has no convolution
            if layers and all(map(_is_layer, layers)):
                yield path, layers


def _is_layer(each: nn.Module | None) -> bool:
    return each is not None and not isinstance(each, nn.ModuleList) and next(each.parameters(), None) is not None
