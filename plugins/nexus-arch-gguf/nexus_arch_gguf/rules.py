"""Which stored tensors make which weight of a module, where gguf's table of names alone does not say it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .values import (
    Undo,
    flat,
    interleaved_transposed,
    joined,
    joined_transposed,
    latent_keys_and_values,
    log_of_negative,
    one_each,
    same,
    transposed,
)


@dataclass(frozen=True)
class Rule:
    """`pattern` is searched in the weight's name. `sources` are names in the file, "{n}" is the number of the layer,
    `shift` further on, "{0}" what the pattern's first group matched; none: the table's name. A rule holds only where
    all its sources are in the file."""

    pattern: str
    sources: tuple[str, ...] = ()
    undo: Undo = same
    shift: int = 0


@dataclass(frozen=True)
class Recipe:
    """One weight: from these stored tensors, in this way."""

    sources: tuple[str, ...]
    undo: Undo


LAYER = re.compile(r"(?:^|\.)(?:layers|layer|h|block|blocks)\.(\d+)\.")
"""The number of a layer in the name of a weight."""

EXPERTS = re.compile(r"\.experts\.(gate_up|down)_proj$")
"""Weights of all experts of a layer in one tensor."""

GENERAL: tuple[Rule, ...] = (
    Rule(r"experts\.gate_up_proj$", ("blk.{n}.ffn_gate_exps.weight", "blk.{n}.ffn_up_exps.weight"), joined),
    Rule(r"experts\.gate_up_proj$", ("blk.{n}.ffn_gate_up_exps.weight",)),
    Rule(r"experts\.up_proj$", ("blk.{n}.ffn_up_exps.weight",)),
    Rule(r"experts\.down_proj$", ("blk.{n}.ffn_down_exps.weight",)),
    Rule(r"(e_score_correction_bias|expert_bias)$", ("blk.{n}.exp_probs_b.bias",)),
    Rule(r"(e_score_correction_bias|expert_bias)$", ("blk.{n}.exp_probs_b",)),
    Rule(r"(e_score_correction_bias|expert_bias)$", ("blk.{n}.exp_probs_b.weight",)),
    Rule(r"kv_b_proj\.weight$", ("blk.{n}.attn_k_b.weight", "blk.{n}.attn_v_b.weight"), latent_keys_and_values),
    Rule(r"\.sinks$", ("blk.{n}.attn_sinks.weight",)),
    Rule(r"\.A_log$", ("blk.{n}.ssm_a",), log_of_negative),
    Rule(r"\.D$", ("blk.{n}.ssm_d",)),
    Rule(r"\.dt_bias$", ("blk.{n}.ssm_dt.bias",)),
    Rule(r"\.(?:mamba|mixer)\.norm\.weight$", ("blk.{n}.ssm_norm.weight",), flat),
    Rule(r"lm_head\.weight$", ("output.weight",)),
    Rule(r"lm_head\.weight$", ("token_embd.weight",)),
)
"""For every architecture."""

FUSED_FROM_THE_OTHER_SIDE: tuple[Rule, ...] = (
    Rule(
        r"experts\.gate_up_proj$", ("blk.{n}.ffn_gate_exps.weight", "blk.{n}.ffn_up_exps.weight"), joined_transposed
    ),
    Rule(r"experts\.down_proj$", ("blk.{n}.ffn_down_exps.weight",), transposed),
)
"""Llama 4: `states @ weight`."""

GPT_OSS: tuple[Rule, ...] = (
    Rule(
        r"experts\.gate_up_proj$", ("blk.{n}.ffn_gate_exps.weight", "blk.{n}.ffn_up_exps.weight"),
        interleaved_transposed,
    ),
    Rule(
        r"experts\.gate_up_proj_bias$", ("blk.{n}.ffn_gate_exps.bias", "blk.{n}.ffn_up_exps.bias"),
        interleaved_transposed,
    ),
    Rule(r"experts\.down_proj$", ("blk.{n}.ffn_down_exps.weight",), transposed),
    Rule(r"experts\.down_proj_bias$", ("blk.{n}.ffn_down_exps.bias",)),
)  # fmt: skip


def recipe(
    name: str, rules: Sequence[Rule], stored: Mapping[str, object], named: Callable[[str], str | None]
) -> Recipe | None:
    """How a weight is made: the first rule whose sources are in the file, else the table's name; None where neither."""
    number = layer_of(name)
    usual = named(name)
    for rule in rules:
        if (match := re.search(rule.pattern, name)) is None:
            continue
        named_here = tuple(each.format(*match.groups(), n=number + rule.shift) for each in rule.sources)
        sources = named_here or ((usual,) if usual else ())
        if sources and all(each in stored for each in sources):
            return Recipe(sources, rule.undo)
    return Recipe((usual,), same) if usual in stored and usual is not None else None


def apart(name: str, stored: Mapping[str, object]) -> Recipe | None:
    """How fused experts are made of tensors of their own, as files of before April 2024 hold them
    (`blk.0.ffn_gate.3.weight`); None for what is no such weight."""
    found = EXPERTS.search(name)
    number = layer_of(name)
    parts = {"gate_up": ("gate", "up"), "down": ("down",)}.get(found[1], ()) if found else ()
    count = 0
    while parts and f"blk.{number}.ffn_{parts[0]}.{count}.weight" in stored:
        count += 1
    sources = tuple(f"blk.{number}.ffn_{part}.{each}.weight" for part in parts for each in range(count))
    return Recipe(sources, one_each) if count and all(each in stored for each in sources) else None


def layer_of(name: str) -> int:
    """The number of a weight's layer; -1 outside of layers."""
    match = LAYER.search(name)
    return int(match[1]) if match else -1
