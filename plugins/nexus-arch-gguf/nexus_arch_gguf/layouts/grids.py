"""Vision towers that see a grid of patches and hand on several of them as one: Qwen2-VL's, Qwen2.5-VL's, Qwen3-VL's
(and Qwen 3.5's), GLM-4V's.

Source: `conversion/{qwenvl,qwen3vl}.py` of llama.cpp, and `tools/mtmd/clip.cpp`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor

from ..fields import real
from ..layout import Layout
from ..rules import Rule
from ..source import Source
from ..values import Target, joined, same

FRAMES = 2
"""Pictures of a film that one patch covers."""
WINDOW = 112
"""Pixels of a window's side in Qwen2.5-VL: in no metadata, and the same in every release and in llama.cpp."""


def frames(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """A convolution over two pictures of a film, which the file holds as one for each: [D, 3, P, P] twice."""
    return same([torch.stack(tuple(tensors), 2)], target)


def _shared(pairs: tuple[tuple[str, str], ...]) -> tuple[Rule, ...]:
    return tuple(Rule(rf"^{ours}\.(weight|bias)$", (f"{stored}.{{0}}",)) for ours, stored in pairs)


BLOCKS = (
    Rule(r"^patch_embed\.proj\.weight$", ("v.patch_embd.weight", "v.patch_embd.weight.1"), frames),
    Rule(r"attn\.qkv\.(weight|bias)$", ("v.blk.{n}.attn_qkv.{0}",)),
    Rule(r"attn\.qkv\.(weight|bias)$", tuple(f"v.blk.{{n}}.attn_{each}.{{0}}" for each in "qkv"), joined),
    Rule(r"attn\.proj\.(weight|bias)$", ("v.blk.{n}.attn_out.{0}",)),
    Rule(r"blocks\.\d+\.norm([12])\.(weight|bias)$", ("v.blk.{n}.ln{0}.{1}",)),
    Rule(r"mlp\.(gate|up|down)_proj\.(weight|bias)$", ("v.blk.{n}.ffn_{0}.{1}",)),
    Rule(r"mlp\.(?:linear_)?fc1\.(weight|bias)$", ("v.blk.{n}.ffn_up.{0}",)),
    Rule(r"mlp\.(?:linear_)?fc2\.(weight|bias)$", ("v.blk.{n}.ffn_down.{0}",)),
    *_shared((("patch_embed.proj", "v.patch_embd"),)),
)
QWEN = (*BLOCKS, *_shared((
    (r"merger\.(?:ln_q|norm)", "v.post_ln"), (r"merger\.(?:mlp\.0|linear_fc1)", "mm.0"),
    (r"merger\.(?:mlp\.2|linear_fc2)", "mm.2"), ("pos_embed", "v.position_embd"),
)))  # fmt: skip
GLM = (*BLOCKS, *_shared((
    ("post_conv_layernorm", "v.norm_embd"), (r"embeddings\.position_embedding", "v.position_embd"),
    ("post_layernorm", "v.post_ln"), ("downsample", "mm.patch_merger"), (r"merger\.proj", "mm.model.fc"),
    (r"merger\.post_projection_norm", "mm.post_norm"), (r"merger\.gate_proj", "mm.gate"),
    (r"merger\.up_proj", "mm.up"), (r"merger\.down_proj", "mm.down"),
)))  # fmt: skip


def qwen2(_: Source) -> Layout:
    """Qwen2-VL's."""
    return Layout(
        head="Qwen2VisionTransformerPretrainedModel", within="qwen2_vl.modeling_qwen2_vl", rules=QWEN, fill=_qwen2,
        embeds=False,
    )  # fmt: skip


def qwen2_5(_: Source) -> Layout:
    """Qwen2.5-VL's, most of whose layers see windows alone."""
    return Layout(head="Qwen2_5_VisionTransformerPretrainedModel", rules=QWEN, fill=_qwen2_5, embeds=False)


def qwen3(source: Source) -> Layout:
    """Qwen3-VL's, some of whose layers hand on their states by a way of their own."""
    ways = (
        _shared(((rf"deepstack_merger_list\.{number}\.{ours}", f"v.deepstack.{layer}.{stored}"),))
        for number, layer in enumerate(_deep(source))
        for ours, stored in (("norm", "norm"), ("linear_fc1", "fc1"), ("linear_fc2", "fc2"))
    )
    return Layout(
        head="Qwen3VLVisionModel", rules=(*QWEN, *(rule for each in ways for rule in each)), fill=_qwen3, embeds=False
    )


def glm(_: Source) -> Layout:
    """GLM-4V's. GLM-OCR's is another: it has norms of queries and keys."""
    return Layout(head="Glm4vVisionModel", rules=GLM, fill=_glm, embeds=False)


def _deep(source: Source) -> list[int]:
    said = source.get("clip.vision.is_deepstack_layers")
    return [layer for layer, each in enumerate(said if isinstance(said, list) else []) if each]


def _sides(source: Source, fields: dict[str, Any], stored: str, along: int) -> dict[str, Any]:
    """What all have: counts by their own names; how many patches become one by a tensor that takes these."""
    taken = source.tensors.get(stored)
    width = fields["hidden_size"]
    merged = math.isqrt(taken.shape[along] // width) if taken and len(taken.shape) > along else 0
    if not taken or (along == 1 and merged * merged * width != taken.shape[along]):
        raise NexusError(
            f"'{source.path}': the tensor '{stored}' {taken.shape if taken else 'is missing, and'} should take whole "
            f"patches of {width} numbers. Fetch or convert the file again."
        )
    kept = {name: fields[name] for name in ("hidden_size", "intermediate_size", "patch_size", "hidden_act")}
    return kept | {
        "depth": fields["num_hidden_layers"], "num_heads": fields["num_attention_heads"],
        "in_channels": fields["num_channels"], "temporal_patch_size": FRAMES, "spatial_merge_size": merged,
    }  # fmt: skip


def _merged(source: Source, fields: dict[str, Any]) -> dict[str, Any]:
    return _sides(source, fields, "mm.0.weight", 1) | {"out_hidden_size": source.tensors["mm.2.weight"].shape[0]}


def _qwen2(source: Source, fields: dict[str, Any]) -> None:
    found = _merged(source, fields)
    width, out = found.pop("hidden_size"), found.pop("out_hidden_size")
    found |= {"embed_dim": width, "hidden_size": out, "mlp_ratio": found.pop("intermediate_size") // width}
    _put(fields, found)


def _qwen2_5(source: Source, fields: dict[str, Any]) -> None:
    every, count = source.whole("clip.vision.n_wa_pattern", 0), fields["num_hidden_layers"]
    whole = range(every - 1, count, every) if every else range(count)
    size = source.whole("clip.vision.window_size", WINDOW)
    _put(fields, _merged(source, fields) | {"fullatt_block_indexes": list(whole), "window_size": size})


def _qwen3(source: Source, fields: dict[str, Any]) -> None:
    rows = source.tensors["v.position_embd.weight"].shape[0]
    more = {"num_position_embeddings": rows, "deepstack_visual_indexes": _deep(source)}
    _put(fields, _merged(source, fields) | more)


def _glm(source: Source, fields: dict[str, Any]) -> None:
    merging = source.tensors["mm.patch_merger.weight"].shape
    found = _sides(source, fields, "mm.patch_merger.weight", 0)
    _put(fields, found | {
        "spatial_merge_size": merging[-1], "out_hidden_size": merging[0], "image_size": fields["image_size"],
        "attention_bias": "v.blk.0.attn_qkv.bias" in source.places, "hidden_act": "silu",
        "intermediate_size": source.tensors["mm.gate.weight"].shape[0],
        "rms_norm_eps": real(source, "vision.attention.layer_norm_epsilon", 1e-5),
    })  # fmt: skip


def _put(fields: dict[str, Any], found: dict[str, Any]) -> None:
    fields.clear()
    fields |= found
