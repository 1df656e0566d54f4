"""Where the repeated layers of a diffusion model are, and in which order its forward visits them."""

from __future__ import annotations

from nexus_torch.stacks import outermost
from nexus_torch.stacks import stacks as sequences
from torch import nn

PLACES = ("encoder", "down", "mid", "up", "decoder")
"""Words in a path, in the order in which a forward comes by."""


def stacks(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Path of a list of blocks -> paths of its blocks: `transformer_blocks`, `down_blocks`, `mid_block.resnets`, ...

    A list inside a block is no stack of its own. Where a model has no such list, what nexus_torch finds.
    """
    found = outermost({
        path: list(each) for path, each in module.named_modules()
        if path and isinstance(each, nn.ModuleList) and len(each) and all(map(_is_block, each))
    })  # fmt: skip
    if not found:
        return sequences(module) or _chains(module)
    paths = sorted(found, key=_place)
    return {path: tuple(f"{path}.{index}" for index in range(len(found[path]))) for path in paths}


def order(found: dict[str, tuple[str, ...]]) -> list[str]:
    """All layers in the order of the forward: where a middle has ResNets and attentions, they take turns."""
    layers: list[str] = []
    waiting = dict(found)
    for path in found:
        if path not in waiting:
            continue
        home, _, leaf = path.rpartition(".")
        partner = f"{home}.attentions" if leaf == "resnets" else ""
        own, others = waiting.pop(path), waiting.pop(partner, ())
        for index, layer in enumerate(own):
            layers += [layer, *others[index : index + 1]]
        layers += others[len(own) :]
    return layers


def _is_block(module: nn.Module | None) -> bool:
    """A module that is called as a whole, has weights, and is more than one of torch's own layers."""
    if module is None or isinstance(module, (nn.ModuleList, nn.ModuleDict)) or next(module.parameters(), None) is None:
        return False
    return any(not type(each).__module__.startswith("torch.nn") for each in module.modules())


def _chains(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Sequences of whatever (the tiny autoencoder): outermost, the steps without weights included."""
    found = outermost({
        path: list(each) for path, each in module.named_modules()
        if path and isinstance(each, nn.Sequential) and len(each) > 1
    })  # fmt: skip
    return {path: tuple(f"{path}.{index}" for index in range(len(layers))) for path, layers in found.items()}


def _place(path: str) -> tuple[int, int, int]:
    """Rank of a path: the encoder before the decoder, going down before the middle before coming up."""
    words = path.split(".")
    side = 2 if words[0] == "decoder" else 0 if words[0] == "encoder" else 1
    level = next((at for at, word in enumerate(PLACES) if any(each.startswith(word) for each in words[-2:])), 2)
    return side, level, int(words[-1] == "attentions")
