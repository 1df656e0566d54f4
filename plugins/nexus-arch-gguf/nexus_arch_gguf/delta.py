"""Gated delta nets (Qwen3-Next, Qwen3.5): heads of values back beside the head of keys that they belong to.

llama.cpp broadcasts keys over values, so Qwen3.5's converter puts value heads in the order [values per key, keys];
Qwen3-Next's takes apart what is fused by key head. Source: `_LinearAttentionVReorderBase` and `Qwen3NextModel` of
llama.cpp's `conversion/qwen.py`. Shapes: K key heads, V value heads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .rules import Rule
from .values import Target, Undo, log_of_negative, minus_one, same


def _grouped(tensor: Tensor, target: Target, width: int) -> Tensor:
    """Rows [V / K, K, width] -> [K, V / K, width]."""
    keys, values = target.config.linear_num_key_heads, target.config.linear_num_value_heads
    return tensor.reshape(values // keys, keys, width, -1).transpose(0, 1).reshape(tensor.shape)


def _sizes(target: Target) -> tuple[int, int]:
    config = target.config
    keys = config.linear_key_head_dim * config.linear_num_key_heads
    return keys, config.linear_value_head_dim * config.linear_num_value_heads


def values_last(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Queries, keys, values along the rows: the values regrouped."""
    keys, values = _sizes(target)
    tensor = tensors[0].reshape(2 * keys + values, -1)
    head, tail = tensor.split([2 * keys, values])
    regrouped = _grouped(tail, target, target.config.linear_value_head_dim)
    return same([torch.cat([head, regrouped]).reshape(tensors[0].shape)], target)


def value_rows(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Rows of all value heads."""
    return same([_grouped(tensors[0], target, target.config.linear_value_head_dim)], target)


def value_columns(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Columns of all value heads."""
    turned = _grouped(tensors[0].T.contiguous(), target, target.config.linear_value_head_dim)
    return same([turned.T], target).contiguous()


def one_a_head(undo: Undo) -> Undo:
    """One row, or one number, for each value head."""

    def regroup(tensors: Sequence[Tensor], target: Target) -> Tensor:
        return undo([_grouped(tensors[0], target, 1)], target)

    return regroup


def fused_by_key(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """Queries, keys and values, and gates -> by key head its query, key, values and gates."""
    (qkv, gate), config = tensors, target.config
    count = config.linear_num_key_heads
    keys, values = _sizes(target)
    parts = [*qkv.split([keys, keys, values]), gate]
    return torch.cat([part.reshape(count, -1, qkv.shape[1]) for part in parts], 1).reshape(target.shape).contiguous()


PLUS_ONE = Rule(r"(?<!linear_attn\.)norm\.weight$", (), minus_one)
QWEN3_NEXT = (
    PLUS_ONE,
    Rule(r"in_proj_qkvz\.weight$", ("blk.{n}.attn_qkv.weight", "blk.{n}.attn_gate.weight"), fused_by_key),
    Rule(r"in_proj_ba\.weight$", ("blk.{n}.ssm_ba.weight",)),
)
QWEN3_5 = (
    PLUS_ONE,
    Rule(r"in_proj_qkv\.weight$", ("blk.{n}.attn_qkv.weight",), values_last),
    Rule(r"linear_attn\.conv1d\.weight$", ("blk.{n}.ssm_conv1d.weight",), values_last),
    Rule(r"in_proj_z\.weight$", ("blk.{n}.attn_gate.weight",), value_rows),
    Rule(r"in_proj_b\.weight$", ("blk.{n}.ssm_beta.weight",), one_a_head(same)),
    Rule(r"in_proj_a\.weight$", ("blk.{n}.ssm_alpha.weight",), one_a_head(same)),
    Rule(r"A_log$", ("blk.{n}.ssm_a",), one_a_head(log_of_negative)),
    Rule(r"dt_bias$", ("blk.{n}.ssm_dt.bias",), one_a_head(same)),
    Rule(r"linear_attn\.out_proj\.weight$", ("blk.{n}.ssm_out.weight",), value_columns),
)
