"""Experts behind local and global layers that have numbers of heads of their own."""

from __future__ import annotations

from typing import Any

from ..fields import real, round_to_short, whole
from ..source import Source

MIMO_WINDOW = 128
"""What the released MiMo's configuration, and so its files, call a window: tokens before the query. The class counts
the query too."""


def mimo(source: Source, fields: dict[str, Any]) -> None:
    """Local layers have twice the key heads of global ones."""
    pattern = source.get("{arch}.attention.sliding_window_pattern") or []
    heads = source.get("{arch}.attention.head_count_kv")
    kinds = ["sliding_attention" if each else "full_attention" for each in pattern]
    by_kind = dict(zip(kinds, heads if isinstance(heads, list) else [heads] * len(kinds), strict=False))
    fields["layer_types"] = kinds
    fields["num_key_value_heads"] = by_kind.get("full_attention") or by_kind.get("sliding_attention", 2) // 2
    if fields.get("sliding_window") == MIMO_WINDOW:
        fields["sliding_window"] += 1
    fields["v_head_dim"] = whole(source, "attention.value_length")
    fields["mlp_layer_types"] = [
        "sparse" if f"blk.{layer}.ffn_gate_inp.weight" in source.places else "dense" for layer in range(len(kinds))
    ]
    if (scale := source.get("{arch}.attention.value_scale")) is not None:
        fields["attention_value_scale"] = float(scale)


def step(source: Source, fields: dict[str, Any]) -> None:
    """Local and global layers with their own numbers of heads; dense layers first."""
    count = source.whole("{arch}.block_count") - whole(source, "nextn_predict_layers")
    pattern = source.get("{arch}.attention.sliding_window_pattern") or []
    kinds = ["sliding_attention" if each else "full_attention" for each in pattern][:count]
    heads, keys = source.get("{arch}.attention.head_count"), source.get("{arch}.attention.head_count_kv")
    fields["layer_types"] = kinds
    if "sliding_attention" not in kinds:                    # the class masks for local layers that are not there
        fields.setdefault("sliding_window", whole(source, "context_length"))
    fields["num_attention_heads"] = _of_kind(heads, kinds, "full_attention")
    fields["num_sliding_attention_heads"] = _of_kind(heads, kinds, "sliding_attention")
    fields["num_key_value_heads"] = _of_kind(keys, kinds, "full_attention")
    fields["mlp_layer_types"] = [
        "sparse" if f"blk.{layer}.ffn_gate_inp.weight" in source.places else "dense" for layer in range(count)
    ]
    fields["moe_router_scaling_factor"] = real(source, "expert_weights_scale", 1.0)
    for key, name in (("swiglu_clamp_exp", "swiglu_limits"), ("swiglu_clamp_shexp", "swiglu_limits_shared")):
        if isinstance(limits := source.get("{arch}." + key), list):
            fields[name] = [round_to_short(float(each)) for each in limits[:count]]


def _of_kind(value: Any, kinds: list[str], wanted: str) -> int:
    """The value of a kind of layers; of any layer where there is none of that kind."""
    each = value if isinstance(value, list) else [value] * max(1, len(kinds))
    return int(each[kinds.index(wanted)] if wanted in kinds else each[0])
