"""How many parameters one token meets where a layer has experts of which a router chooses a few."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from transformers import PreTrainedConfig

CHOSEN = (
    "num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "moe_k", "top_k_experts", "experts_top_k",
    "num_selected_experts", "moe_router_topk", "router_top_k", "top_k",
)  # fmt: skip
"""Names, in configurations, of the number of experts that a token passes through."""


def elements(module: nn.Module) -> int:
    """Numbers in the weights, tied ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


def idle(module: nn.Module) -> Mapping[str, int]:
    """Path of a group of experts -> parameters in it that a token does not meet."""
    found: dict[str, int] = {}
    for path, each in module.named_modules():
        if not _is_experts(path, each) or any(path.startswith(f"{outer}.") for outer in found):
            continue
        count, chosen = _count(each), _chosen(module, path)
        if count and 0 < chosen < count:
            whole = elements(each)
            found[path] = whole - whole * chosen // count
    return found


def active(module: nn.Module, path: str, unused: Mapping[str, int]) -> int:
    """Parameters of the module at `path` ("" for all) that a token meets; `unused` is `idle` of the whole."""
    whole = elements(module.get_submodule(path) if path else module)
    return whole - sum(size for place, size in unused.items() if not path or place.startswith(f"{path}."))


def nearest_config(module: nn.Module, path: str) -> PreTrainedConfig | None:
    """The configuration of the innermost module that has one on the way to `path`."""
    parts = path.split(".") if path else []
    for length in range(len(parts), -1, -1):
        config = getattr(module.get_submodule(".".join(parts[:length])), "config", None)
        if isinstance(config, PreTrainedConfig):
            return config
    return None


def _is_experts(path: str, module: nn.Module) -> bool:
    last = path.rpartition(".")[2]
    return last == "experts" or (type(module).__name__.endswith("Experts") and "shared" not in last)


def _count(module: nn.Module) -> int:
    """How many experts: entries of a list, or the first dimension of weights of all of them."""
    if isinstance(module, nn.ModuleList):
        return len(module)
    return max((each.shape[0] for each in module.parameters() if each.ndim == 3), default=0)


def _chosen(module: nn.Module, path: str) -> int:
    config = nearest_config(module, path)
    values = [getattr(config, name, None) for name in CHOSEN]
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), 0)
