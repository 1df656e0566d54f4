"""Which attention keeps the scores of every pair of positions."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from transformers import PreTrainedConfig

from ..configuration.experts import nearest_config
from .seeing import whole

HEADS = ("num_attention_heads", "encoder_attention_heads", "decoder_attention_heads", "n_head", "num_heads")
"""Names of how many heads attention has."""
PARTIAL = (
    "attention_window", "attn_layers", "block_per_row", "block_size", "num_hash", "num_landmarks", "window_size",
    "local_radius", "q_n_blocks",
)  # fmt: skip
"""Names that say that a position looks at some of the others only."""
DISENTANGLED = "pos_att_type"
"""Names the kinds of scores that are added to those of the contents (DeBERTa: of either with the other's place)."""
BIASED, WHOLE = "use_rel_pos", "global_attn_indexes"
"""Says that a bias is made for each pair, also where a kernel has the rest; names the layers in which every position
looks at every other one, of a tower whose other ones look at windows (SAM)."""
BIASES, EVERY = 2, 3
"""Tensors of every pair that such a bias takes (it, and what the kernel makes of it), and those where there is no
kernel: scores, mask and softmax."""


def scored(module: nn.Module, paths: Iterable[str]) -> int:
    """Attention scores of a pair of positions that a layer keeps: those of all its heads, where its class has no kernel
    that makes and drops them in pieces, and of each kind that it adds up. 0 where it has one, or no attention."""
    return max((_scores(nearest_config(module, path)) for path in paths if _attends(module, path)), default=0)


def _attends(module: nn.Module, path: str) -> bool:
    """Whether layers have attention: those of state-space models name heads too."""
    return any("attention" in type(each).__name__.lower() for each in module.get_submodule(path).modules())


def _uneven(config: PreTrainedConfig) -> bool:
    """Whether keys are wider than values, or narrower (DeepSeek: 192 and 128), for which no processor has a kernel."""
    keys = whole(config, "qk_nope_head_dim") + whole(config, "qk_rope_head_dim")
    return keys > 0 and whole(config, "v_head_dim") not in (0, keys)


def _scores(config: PreTrainedConfig | None) -> int:
    if config is not None and getattr(config, BIASED, False) and getattr(config, WHOLE, None):
        kept = EVERY if getattr(config, "_attn_implementation", "") == "eager" else BIASES
        return _heads(config) * kept // EVERY
    if config is None or (getattr(config, "_attn_implementation", "") != "eager" and not _uneven(config)):
        return 0
    if any(getattr(config, name, None) for name in PARTIAL):
        return 0
    heads = _heads(config)
    kinds = getattr(config, DISENTANGLED, None)
    return heads * (1 + len(kinds)) if isinstance(kinds, (list, tuple)) else heads


def _heads(config: PreTrainedConfig) -> int:
    return max(whole(config, name) for name in HEADS)
