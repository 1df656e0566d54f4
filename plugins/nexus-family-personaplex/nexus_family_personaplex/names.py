"""From Kyutai's names and layout to those of transformers' Moshi and Mimi.

What changes besides names: query, key and value are one tensor, its rotary pairs interleaved; the stack in depth has
one such tensor for all its codebooks, and the rest of its weights codebook by codebook; norms are [1, 1, width].
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

MIMI_PREFIX = "mimi:"
"""Put before the keys of Mimi's file, whose names may be those of the model's."""
LAYER, DEPTH_LAYER = r"^transformer\.layers\.", r"^depformer\.layers\."
DEPTH_STEPS = (
    r"^depformer_in\.(\d+)\.weight$",
    r"^linears\.(\d+)\.weight$",
    r"^depformer\.layers\.\d+\.gating\.(\d+)\.linear_(?:in|out)\.weight$",
)
"""Tensors of one codebook in depth, which transformers has stacked."""
PLAIN = (
    (r"^text_emb\.", "decoder.model.embed_tokens."), (r"^text_linear\.", "decoder.lm_head."),
    (r"^out_norm\.alpha$", "decoder.model.norm.weight"), (r"^emb\.", "embed_tokens."),
    (r"^depformer_text_emb\.", "depth_decoder.text_embed_tokens."),
    (r"^depformer_emb\.", "depth_decoder.embed_tokens."),
    (r"^depformer_in\.\d+\.", "depth_decoder.input_projections."), (r"^linears\.\d+\.", "depth_decoder.lm_heads."),
    (LAYER, "decoder.model.layers."), (DEPTH_LAYER, "depth_decoder.layers."),
    (r"\.norm1\.alpha$", ".input_layernorm.weight"), (r"\.norm2\.alpha$", ".post_attention_layernorm.weight"),
    (r"\.gating\.(?:\d+\.)?linear_in\.", ".mlp.fc1."), (r"\.gating\.(?:\d+\.)?linear_out\.", ".mlp.fc2."),
    (r"\.self_attn\.out_proj\.", ".self_attn.o_proj.linear."),
    (r"\.self_attn\.in_proj(?:_weight|\.weight)$", ".self_attn.q_proj.linear.weight"),
)  # fmt: skip
MIMI = (
    (r"\.conv\.conv\.conv\.", ".conv."), (r"\.convtr\.convtr\.convtr\.", ".conv."), (r"\.conv\.conv\.", ".conv."),
    (r"\.convtr\.convtr\.", ".conv."), (r"^encoder\.model\.", "encoder.encoder_seanet.layers."),
    (r"^decoder\.model\.", "decoder.decoder_seanet.layers."), (r"^downsample\.", "encoder.downsample."),
    (r"^upsample\.", "decoder.upsample."),
    (r"^(encoder|decoder)_transformer\.transformer\.", r"\1.\1_transformer."),
    (r"\.rvq_first\.vq\.", ".semantic_residual_vector_quantizer."),
    (r"\.rvq_rest\.vq\.", ".acoustic_residual_vector_quantizer."),
    (r"\.rvq_first\.", ".semantic_residual_vector_quantizer."),
    (r"\.rvq_rest\.", ".acoustic_residual_vector_quantizer."), (r"\._codebook\.", ".codebook."),
    (r"\._initialized$", ".initialized"), (r"\.embedding_sum$", ".embed_sum"),
    (r"\.linear1\.", ".mlp.fc1."), (r"\.linear2\.", ".mlp.fc2."), (r"\.norm1\.", ".input_layernorm."),
    (r"\.norm2\.", ".post_attention_layernorm."), (r"\.layer_scale_1\.", ".self_attn_layer_scale."),
    (r"\.layer_scale_2\.", ".mlp_layer_scale."), (r"\.self_attn\.out_proj\.", ".self_attn.o_proj."),
    (r"\.self_attn\.in_proj_weight$", ".self_attn.q_proj.weight"),
)  # fmt: skip
"""The decoder half begins with "decoder." in both; `model` stands before its layers in Kyutai's."""


class KyutaiNames:
    """The way of every stored tensor into the module."""

    def __init__(self, module: Any) -> None:
        config = module.config
        self.known = frozenset(module.state_dict())
        self.depth_codes = int(config.depth_decoder_config.num_codebooks)
        self.heads = int(config.num_attention_heads)
        self.mimi_heads = int(config.audio_encoder_config.num_attention_heads)

    def targets(self, keys: Iterable[str]) -> dict[str, tuple[str, None]]:
        """Stored key -> its name in the module; of several that one tensor becomes, the first."""
        named = {key: self._name(key) for key in keys}
        return {key: (name, None) for key, name in named.items() if name in self.known}

    def assemble(self, raw: Mapping[str, Tensor], targets: Mapping[str, tuple[str, Any]]) -> dict[str, Tensor]:
        """Stored tensors -> the module's."""
        found: dict[str, Tensor] = {}
        steps: dict[str, dict[int, Tensor]] = {}
        for key, tensor in raw.items():
            name = targets[key][0]
            if (step := _step(key)) is not None:
                steps.setdefault(name, {})[step] = tensor
            elif "in_proj" in key and "self_attn" in key:
                found |= self._split(key, name, tensor)
            elif "depformer.layers" in key and "out_proj" in key:
                found[name] = self._every(tensor.unflatten(0, (-1, tensor.shape[1])))
            else:
                found[name] = tensor.flatten() if "norm" in key and key.endswith(".alpha") else tensor
        for name, each in steps.items():
            found[name] = self._every(torch.stack([each[step] for step in sorted(each)]))
        return found

    def _name(self, key: str) -> str:
        if key.startswith(MIMI_PREFIX):
            name = key.removeprefix(MIMI_PREFIX)
            for pattern, put in MIMI:
                name = re.sub(pattern, put, name)
            return f"audio_encoder.{name}"
        name = key
        for pattern, put in PLAIN:
            name = re.sub(pattern, put, name)
        return name

    def _split(self, key: str, name: str, tensor: Tensor) -> dict[str, Tensor]:
        """Query, key and value apart, rotary pairs as halves."""
        width = tensor.shape[1]
        if key.startswith("depformer."):  # no positions in depth, one tensor for all codebooks
            parts = [self._every(each) for each in tensor.unflatten(0, (-1, 3, width)).unbind(1)]
        else:
            heads = self.mimi_heads if key.startswith(MIMI_PREFIX) else self.heads
            query, keys, value = tensor.unflatten(0, (3, width)).unbind(0)
            parts = [_halves(query, heads), _halves(keys, heads), value]
        return {name.replace("q_proj", f"{letter}_proj"): part for letter, part in zip("qkv", parts, strict=True)}

    def _every(self, stacked: Tensor) -> Tensor:
        """[D, ...] as it is; half of the codebooks serve for the other half as well, as NVIDIA's loader has it."""
        return torch.cat([stacked, stacked]) if 2 * len(stacked) == self.depth_codes else stacked


def _step(key: str) -> int | None:
    return next((int(found[1]) for pattern in DEPTH_STEPS if (found := re.match(pattern, key))), None)


def _halves(weight: Tensor, heads: int) -> Tensor:
    """Interleaved pairs -> first and second halves, head by head: [heads * (w, 2), D] -> [heads * (2, w), D]."""
    return weight.unflatten(0, (heads, -1, 2)).transpose(1, 2).flatten(0, 2)
