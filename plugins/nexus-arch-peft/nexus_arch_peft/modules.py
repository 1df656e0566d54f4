"""What an adapter needs to know of its base's modules, and how they grow for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nexus_specs import NexusError
from torch import nn


def parameters(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Shapes of parameters, in the order in which modules hold them."""
    return {name: tuple(each.shape) for name, each in module.named_parameters(remove_duplicate=False)}


def outward(module: nn.Module) -> Iterator[str]:
    """Names of weights that hold inputs before outputs: of GPT-2's Conv1D, and of some kinds of experts."""
    for path, each in module.named_modules():
        if type(each).__name__ == "Conv1D":
            yield f"{path}.weight"
        elif getattr(each, "is_transposed", False) is True:
            yield from (f"{path}.{name}" for name, _ in each.named_parameters(recurse=False))


def biasless(module: nn.Module) -> set[str]:
    """Names that the biases of linear layers and convolutions without one would have."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    found = ((path, each) for path, each in module.named_modules() if isinstance(each, kinds))
    return {f"{path}.bias" for path, each in found if each.bias is None}


def grow(module: nn.Module, names: Sequence[str], shape: tuple[int, ...]) -> None:
    """Gives an embedding or a head another number of rows; names that share one tensor go on sharing it."""
    made: nn.Parameter | None = None
    for name in names:
        path, _, leaf = name.rpartition(".")
        holder = module.get_submodule(path)
        old = holder._parameters.get(leaf)
        if old is None or not isinstance(holder, (nn.Embedding, nn.Linear)) or tuple(old.shape[1:]) != tuple(shape[1:]):
            raise NexusError(f"The adapter's '{name}' has the shape {tuple(shape)}, which its base has no room for.")
        made = made if made is not None else nn.Parameter(old.new_empty(shape), requires_grad=False)
        holder._parameters[leaf] = made
        setattr(holder, "num_embeddings" if isinstance(holder, nn.Embedding) else "out_features", shape[0])
