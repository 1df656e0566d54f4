"""Vision towers that see a picture, or a tile of one, as one square: InternVL's, Llama 4's, Step3-VL's; and those that
see pictures of any shape: LFM2-VL's (SigLIP 2's) and Gemma 4's.

Source: `conversion/{gemma,internvl,llama4,lfm2,step3}.py` of llama.cpp, and `tools/mtmd/clip.cpp`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ..fields import real
from ..layout import Layout
from ..rules import Rule
from ..source import Source
from ..values import Target, Undo, rotated, third

PATCHES = (
    Rule(r"^(?:embeddings\.cls_token|class_embedding)$", ("v.class_embd",)),
    Rule(r"position(?:_embeddings|al_embedding_vlm)$", ("v.position_embd.weight",)),
    Rule(r"position(?:_embeddings|al_embedding_vlm)$", ("v.position_embd",)),
)
FEEDS = (
    Rule(r"mlp\.fc1\.(weight|bias)$", ("v.blk.{n}.ffn_up.{0}",)),
    Rule(r"mlp\.fc2\.(weight|bias)$", ("v.blk.{n}.ffn_down.{0}",)),
    Rule(r"(?:attention|self_attn)\.([qkv])_proj\.(weight|bias)$", ("v.blk.{n}.attn_{0}.{1}",)),
)
INTERN = (
    *PATCHES, *FEEDS,
    Rule(r"patch_embeddings\.projection\.(weight|bias)$", ("v.patch_embd.{0}",)),
    Rule(r"attention\.([qk])_norm\.weight$", ("v.blk.{n}.attn_{0}_norm.weight",)),
    Rule(r"attention\.projection_layer\.(weight|bias)$", ("v.blk.{n}.attn_out.{0}",)),
    Rule(r"layernorm_before\.(weight|bias)$", ("v.blk.{n}.ln1.{0}",)),
    Rule(r"layernorm_after\.(weight|bias)$", ("v.blk.{n}.ln2.{0}",)),
    Rule(r"lambda_([12])$", ("v.blk.{n}.ls{0}.weight",)),
)  # fmt: skip


def in_a_row(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """A convolution whose kernel is as large as its step, as the matrix that it is: [D, 3, P, P] -> [D, 3 P P]."""
    return tensors[0].reshape(target.shape)


def colours_last(tensors: Sequence[Tensor], target: Target) -> Tensor:
    """The same with the colours of a point side by side: [D, 3, P, P] -> [D, P P 3]."""
    return tensors[0].permute(0, 2, 3, 1).reshape(target.shape).contiguous()


LLAMA4 = (
    *PATCHES, *FEEDS,
    Rule(r"^patch_embedding\.linear\.weight$", ("v.patch_embd.weight",), in_a_row),
    Rule(r"^layernorm_pre\.(weight|bias)$", ("v.pre_ln.{0}",)),
    Rule(r"^layernorm_post\.(weight|bias)$", ("v.post_ln.{0}",)),
    Rule(r"self_attn\.o_proj\.(weight|bias)$", ("v.blk.{n}.attn_out.{0}",)),
    Rule(r"input_layernorm\.(weight|bias)$", ("v.blk.{n}.ln1.{0}",)),
    Rule(r"post_attention_layernorm\.(weight|bias)$", ("v.blk.{n}.ln2.{0}",)),
    Rule(r"post_attention_layernorm\.(weight|bias)$", ("v.blk.{n}.attn_post_norm.{0}",)),     # since Gemma 4
    Rule(r"^vision_adapter\.mlp\.fc([12])\.weight$", ("mm.model.mlp.{0}.weight",)),
)  # fmt: skip


def turned(number: int) -> Undo:
    """Queries or keys of three that lie in one, their pairs put back into halves."""
    part, turn = third(number), rotated("num_attention_heads")
    return lambda tensors, target: turn([part(tensors, target)], target)


STEP3 = (
    Rule(r"^embeddings\.patch_embedding\.weight$", ("v.patch_embd.weight",)),
    Rule(r"^embeddings\.position_embedding\.weight$", ("v.position_embd.weight",)),
    Rule(r"^pre_layernorm\.(weight|bias)$", ("v.pre_ln.{0}",)),
    Rule(r"self_attn\.q_proj\.(weight|bias)$", ("v.blk.{n}.attn_qkv.{0}",), turned(0)),
    Rule(r"self_attn\.k_proj\.(weight|bias)$", ("v.blk.{n}.attn_qkv.{0}",), turned(1)),
    Rule(r"self_attn\.v_proj\.(weight|bias)$", ("v.blk.{n}.attn_qkv.{0}",), third(2)),
    Rule(r"self_attn\.out_proj\.(weight|bias)$", ("v.blk.{n}.attn_out.{0}",)),
    Rule(r"layernorm_before\.(weight|bias)$", ("v.blk.{n}.ln1.{0}",)),
    Rule(r"layernorm_after\.(weight|bias)$", ("v.blk.{n}.ln2.{0}",)),
    Rule(r"lambda_([12])$", ("v.blk.{n}.ls{0}.weight",)),
    Rule(r"^downsampler1\.(weight|bias)$", ("mm.0.{0}",)),
    Rule(r"^downsampler2\.(weight|bias)$", ("mm.1.{0}",)),
    *FEEDS,
)
GEMMA4 = (
    Rule(r"^patch_embedder\.input_proj\.weight$", ("v.patch_embd.weight",), colours_last),
    Rule(r"^patch_embedder\.position_embedding_table$", ("v.position_embd.weight",)),
    Rule(r"self_attn\.([qkv])_proj\.(?:linear\.)?(\w+)$", ("v.blk.{n}.attn_{0}.{1}",)),
    Rule(r"self_attn\.o_proj\.(?:linear\.)?(\w+)$", ("v.blk.{n}.attn_out.{0}",)),
    Rule(r"self_attn\.([qk])_norm\.weight$", ("v.blk.{n}.attn_{0}_norm.weight",)),
    Rule(r"mlp\.(gate|up|down)_proj\.(?:linear\.)?(\w+)$", ("v.blk.{n}.ffn_{0}.{1}",)),
    Rule(r"input_layernorm\.weight$", ("v.blk.{n}.ln1.weight",)),
    Rule(r"post_attention_layernorm\.weight$", ("v.blk.{n}.attn_post_norm.weight",)),
    Rule(r"pre_feedforward_layernorm\.weight$", ("v.blk.{n}.ln2.weight",)),
    Rule(r"post_feedforward_layernorm\.weight$", ("v.blk.{n}.ffn_post_norm.weight",)),
    Rule(r"^std_(bias|scale)$", ("v.std_{0}",)),
)
ANY_SHAPE = (Rule(r"patch_embedding\.weight$", ("v.patch_embd.weight",), colours_last),)
"""What SigLIP 2 has beside the rules of SigLIP."""


def intern(_: Source) -> Layout:
    """InternVL's, of 300 M or of 6 B parameters."""
    return Layout(head="InternVLVisionModel", rules=INTERN, fill=_intern, embeds=False)


def llama4(_: Source) -> Layout:
    """Llama 4's, with what makes fewer of its patches."""
    return Layout(head="Llama4VisionModel", rules=LLAMA4, fill=_llama4, embeds=False)


def step3(_: Source) -> Layout:
    """Step3-VL's, with what makes fewer of its patches."""
    return Layout(head="Step3p7VisionModel", rules=STEP3, fill=_step3, embeds=False)


def _step3(_: Source, fields: dict[str, Any]) -> None:
    """The class makes its inner width of a ratio, rounded down; its activation is in no metadata."""
    fields["mlp_ratio"] = (fields.pop("intermediate_size") + 0.5) / fields["hidden_size"]
    fields["hidden_act"] = "quick_gelu"


def _intern(source: Source, fields: dict[str, Any]) -> None:
    """The larger one has plain norms, and norms of queries and keys; its GELU is exact."""
    fields |= {
        "hidden_act": "silu" if fields["hidden_act"] == "silu" else "gelu", "use_mean_pooling": True,
        "attention_bias": "v.blk.0.attn_q.bias" in source.places,
        "use_qk_norm": "v.blk.0.attn_q_norm.weight" in source.places,
        "norm_type": "layer_norm" if "v.blk.0.ln1.bias" in source.places else "rms_norm",
    }  # fmt: skip


def _llama4(source: Source, fields: dict[str, Any]) -> None:
    """Kernels of patches may be stored as matrices; what stands behind the layers is in its own tensors."""
    first, second = (source.tensors[f"mm.model.mlp.{each}.weight"].shape for each in (1, 2))
    side = fields["patch_size"]
    kernel = math.prod(source.tensors["v.patch_embd.weight"].shape) // fields["hidden_size"]
    scale = source.whole("clip.vision.projector.scale_factor", 2)
    fields |= {
        "num_channels": kernel // (side * side), "projector_input_dim": first[0], "projector_output_dim": second[0],
        "pixel_shuffle_ratio": 1 / scale if scale else 0.0, "hidden_act": "gelu",
        "norm_eps": real(source, "vision.attention.layer_norm_epsilon", 1e-5), "vision_output_dim": second[0],
    }  # fmt: skip
    fields.pop("layer_norm_eps")


def gemma4(_: Source) -> Layout:
    """Gemma 4's."""
    return Layout(head="Gemma4VisionModel", rules=GEMMA4, fill=_gemma4, embeds=False)


def _gemma4(source: Source, fields: dict[str, Any]) -> None:
    """States may be kept within bounds before and behind a matrix, and be standardised at the end."""
    head = source.tensors["v.blk.0.attn_q_norm.weight"].shape[0]
    count = source.tensors["v.blk.0.attn_k.weight"].shape[0] // head
    fields |= {
        "head_dim": head, "num_key_value_heads": count, "rms_norm_eps": fields.pop("layer_norm_eps"),
        "position_embedding_size": source.tensors["v.position_embd.weight"].shape[1],
        "use_clipped_linears": "v.blk.0.attn_q.input_max" in source.places,
        "standardize": "v.std_bias" in source.places, "hidden_activation": "gelu_pytorch_tanh",
    }  # fmt: skip
    for name in ("hidden_act", "image_size", "num_channels"):
        fields.pop(name)


def any_shape(source: Source, fields: dict[str, Any]) -> None:
    """A table of positions for so many patches, which is stretched over a picture."""
    fields |= {"num_patches": source.tensors["v.position_embd.weight"].shape[0], "vision_use_head": False}
    fields.pop("image_size")
