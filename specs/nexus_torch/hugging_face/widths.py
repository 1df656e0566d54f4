"""How wide what a layer gives is: as a configuration says where its layers bear it out, else from the layers.

An encoder of pictures may grow wider from stage to stage (Swin, Hiera, ConvNeXt), and its configuration names one
width, a list, or none that is called so.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from .configuration.experts import nearest_config
from .configuration.reading import text_part

WIDTHS = ("hidden_size", "d_model", "n_embd", "embed_dim", "hidden_dim", "model_dim", "dim", "width")
"""Names of the residual width in configurations."""
STREAMS = ("hc_mult", "hc_count", "altup_num_inputs")
"""Names of how many residual streams stand beside each other: a state is all of them."""
OUTPUTS = ("out_features", "out_channels", "nf")
"""What linear maps, convolutions and GPT-2's Conv1D call the size of what they give."""


def widths(module: nn.Module, path: str, layers: Sequence[str]) -> tuple[int, ...]:
    """Width of the output of each layer of a stack; -1 where it cannot be told. A width that the configuration names
    holds where every layer has a norm of it, and where none has a norm at all; else it is what comes last in each. That
    may be no part of the stream in layers that are all alike (a router): then it has a norm, or what is named holds."""
    blocks = [module.get_submodule(layer) for layer in layers]
    named, norms = _named(module, path), [found for found in map(_norms, blocks) if found]
    common = set.intersection(*norms) if norms else set()
    known = next((each for each in named if each in common), 0)
    ends, first = list(map(_last, blocks)), next(iter(named), -1)
    unsure = not common.issuperset(ends) if norms and common else not norms and not any(map(_convolves, blocks))
    if known or (named and unsure):
        return ((known or first) * _streams(module, path),) * len(layers)
    return tuple(end or first for end in ends)


def _named(module: nn.Module, path: str) -> list[int]:
    """The widths that the nearest configuration above a stack names, then those of its text."""
    config = nearest_config(module, path)
    if config is None:
        return []
    found = (getattr(each, name, None) for each in (config, text_part(config)) for name in WIDTHS)
    return [each for each in found if isinstance(each, int) and not isinstance(each, bool) and each > 0]


def _streams(module: nn.Module, path: str) -> int:
    """How many residual streams the layers of a stack pass on beside each other (hyper-connections, Gemma 3n)."""
    config = nearest_config(module, path)
    found = next((each for name in STREAMS if isinstance(each := getattr(config, name, None), int)), 1)
    return max(1, found)


def _norms(layer: nn.Module) -> set[int]:
    """Sizes of the norms in a layer."""
    return {
        parameter.shape[0]
        for each in layer.modules() if "norm" in type(each).__name__.lower()
        for parameter in each.parameters(recurse=False) if parameter.ndim == 1
    }  # fmt: skip


def _convolves(layer: nn.Module) -> bool:
    """Whether what comes last in a layer is a convolution."""
    return "Conv" in type(next((each for each in reversed(list(layer.modules())) if _output(each)), layer)).__name__


def _last(layer: nn.Module) -> int:
    """The size of what comes last in a layer; of a lone norm its own; 0 where neither is there."""
    found = [size for each in layer.modules() if (size := _output(each))]
    return found[-1] if found else max(_norms(layer), default=0)


def _output(module: nn.Module) -> int:
    sizes = (getattr(module, name, None) for name in OUTPUTS)
    return next((each for each in sizes if isinstance(each, int)), 0) if _is_map(module) else 0


def _is_map(module: nn.Module) -> bool:
    """Whether a module is one linear map or convolution, and nothing around others."""
    return isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)) or type(module).__name__ == "Conv1D"
