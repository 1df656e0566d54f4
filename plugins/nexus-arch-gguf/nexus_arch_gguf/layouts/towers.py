"""Towers in mmproj files ("clip"), of which the projector behind them says which: CLIP's, SigLIP's and Pixtral's here;
those that see grids, tiles or hear in modules of their own.

Source: `MmprojModel` of llama.cpp's `conversion/base.py`, its classes, and `tools/mtmd/clip.cpp`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from nexus_specs import NexusError
from transformers import PreTrainedConfig

from ..configuration import made
from ..fields import LARGEST, real, whole
from ..layout import Layout
from ..rules import Rule
from ..source import Source
from ..values import rotated
from . import grids, tiles
from .sounds import HEARING

CLIP = ("mlp", "mlp_norm", "ldp", "ldpv2")
SIGLIP = ("gemma3", "idefics3")
PIXTRAL = ("pixtral",)
"""Projectors that stand behind CLIP's tower (LLaVA, MobileVLM), SigLIP's (Gemma 3, Idefics 3, SmolVLM) and Pixtral's
(Pixtral, Mistral Small 3.1, Ministral 3)."""
COMMON = (
    Rule(r"embeddings\.patch_embedding\.(weight|bias)$", ("v.patch_embd.{0}",)),
    Rule(r"embeddings\.class_embedding$", ("v.class_embd",)),
    Rule(r"embeddings\.position_embedding\.weight$", ("v.position_embd.weight",)),
    Rule(r"pre_layrnorm\.(weight|bias)$", ("v.pre_ln.{0}",)),
    Rule(r"post_layernorm\.(weight|bias)$", ("v.post_ln.{0}",)),
    Rule(r"self_attn\.([qkv])_proj\.(weight|bias)$", ("v.blk.{n}.attn_{0}.{1}",)),
    Rule(r"self_attn\.out_proj\.(weight|bias)$", ("v.blk.{n}.attn_out.{0}",)),
    Rule(r"layer_norm([12])\.(weight|bias)$", ("v.blk.{n}.ln{0}.{1}",)),
)
UP, DOWN = (
    tuple(Rule(rf"mlp\.fc{layer}\.(weight|bias)$", (f"v.blk.{{n}}.{name}.{{0}}",)) for layer, name in pairs)
    for pairs in ((("1", "ffn_up"), ("2", "ffn_down")), (("1", "ffn_down"), ("2", "ffn_up")))
)
"""As they are named, and as the oldest files name them: the other way round."""
TURNED = (
    Rule(r"^patch_conv\.weight$", ("v.patch_embd.weight",)),
    Rule(r"^ln_pre\.weight$", ("v.pre_ln.weight",)),
    *(Rule(rf"attention\.{each}_proj\.weight$", (f"v.blk.{{n}}.attn_{each}.weight",), rotated("num_attention_heads"))
      for each in "qk"),
    Rule(r"attention\.v_proj\.weight$", ("v.blk.{n}.attn_v.weight",)),
    Rule(r"attention\.o_proj\.weight$", ("v.blk.{n}.attn_out.weight",)),
    Rule(r"attention_norm\.weight$", ("v.blk.{n}.ln1.weight",)),
    Rule(r"ffn_norm\.weight$", ("v.blk.{n}.ln2.weight",)),
    Rule(r"feed_forward\.(gate|up|down)_proj\.weight$", ("v.blk.{n}.ffn_{0}.weight",)),
)  # fmt: skip
"""Pixtral's, whose patches turn with their row and column: it has no table of positions."""
OTHERS: Mapping[str, Callable[[Source], Layout]] = {
    "gemma4v": tiles.gemma4, "glm4v": grids.glm, "internvl": tiles.intern, "llama4": tiles.llama4,
    "qwen2.5o": grids.qwen2_5, "qwen2.5vl_merger": grids.qwen2_5, "qwen2vl_merger": grids.qwen2,
    "qwen3vl_merger": grids.qwen3, "step3vl": tiles.step3,
}
"""Projector -> what makes the layout of the tower before it."""
LFM2 = ("lfm2",)
LARGEST_SIDE = 1 << 14


def tower(source: Source) -> Layout:
    """The class behind a projector. NexusError for towers that are in no class of their own."""
    kind, patched = projector(source), "v.patch_embd.weight" in source.places
    if kind in HEARING:
        return HEARING[kind]
    if kind in OTHERS and patched:
        return OTHERS[kind](source)
    if kind in PIXTRAL and patched:
        return Layout(head="PixtralVisionModel", rules=TURNED, embeds=False)
    if kind in LFM2 and patched:
        rules = (*tiles.ANY_SHAPE, *COMMON, *UP)
        return Layout(head="Siglip2VisionModel", rules=rules, fill=tiles.any_shape, embeds=False)
    patches, up = (source.tensors.get(f"v.{name}.weight") for name in ("patch_embd", "blk.0.ffn_up"))
    if kind in CLIP + SIGLIP and patches and up and (len(patches.shape), len(up.shape)) == (4, 2):
        rows, columns = up.shape
        rules = (*COMMON, *(DOWN if rows < columns else UP))
        return Layout(head="CLIPVisionModel" if kind in CLIP else "SiglipVisionModel", rules=rules, embeds=False)
    known = ", ".join((*CLIP, *SIGLIP, *PIXTRAL, *LFM2, *OTHERS, *HEARING))
    raise NexusError(
        f"'{source.path}' is the vision or audio part of a model (mmproj) with the projector '{kind or 'unknown'}'. "
        f"Towers are opened behind {known}; for others name the model's own file."
    )


def projector(source: Source) -> str:
    """The kind of the projector behind the tower; "mlp" is what the oldest files have and do not say."""
    names = ("clip.vision.projector_type", "clip.projector_type", "clip.audio.projector_type")
    found = next((said for name in names if (said := source.get(name))), "")
    return str(found or ("mlp" if "mm.0.weight" in source.places else ""))


def side(source: Source, key: str) -> int:
    """A size of images or patches, in pixels."""
    found = source.whole(f"clip.vision.{key}")
    if not 1 <= found <= LARGEST_SIDE:
        raise NexusError(f"'{source.path}': the metadata 'clip.vision.{key}' is {found}; allowed: 1 to {LARGEST_SIDE}.")
    return found


def tower_configuration(source: Source, layout: Layout) -> PreTrainedConfig:
    """The configuration of a tower. NexusError where counts are not borne out by the tensors."""
    count, width = source.whole("clip.vision.block_count"), source.tensors["v.patch_embd.weight"].shape[0]
    numbers = {name.split(".")[2] for name in source.places if name.startswith("v.blk.")}
    positions = source.tensors.get("v.position_embd.weight")
    patches = (side(source, "image_size") // side(source, "patch_size")) ** 2 + ("v.class_embd" in source.places)
    most = min(len(numbers), LARGEST["block_count"])
    own = layout.fill is not None or (layout.rules is TURNED and positions is None)     # no table, or its own
    if not 0 < count <= most or not (own or (positions is not None and positions.shape == (patches, width))):
        raise NexusError(
            f"'{source.path}': the metadata says {count} layers and {patches} positions, and the tensors are of "
            f"{len(numbers)} layers and {positions.shape if positions else 'no'} positions. Fetch the file again."
        )
    return made(source, layout, lambda: _made(source, layout, width, count))


def _made(source: Source, layout: Layout, width: int, count: int) -> PreTrainedConfig:
    silu, gelu = (bool(source.get(f"clip.use_{name}", False)) for name in ("silu", "gelu"))
    fields: dict[str, Any] = {
        "hidden_size": width, "num_hidden_layers": count, "image_size": side(source, "image_size"),
        "patch_size": side(source, "patch_size"), "num_channels": source.tensors["v.patch_embd.weight"].shape[1],
        "intermediate_size": math.prod(source.tensors["v.blk.0.ffn_up.weight"].shape) // width,
        "num_attention_heads": whole(source, "vision.attention.head_count"),
        "layer_norm_eps": real(source, "vision.attention.layer_norm_epsilon", 1e-5),
        "hidden_act": "silu" if silu else "gelu_pytorch_tanh" if gelu else "quick_gelu",
    }  # fmt: skip
    if layout.head == "SiglipVisionModel":
        fields["vision_use_head"] = False
    if layout.rules is TURNED:                              # its norms have no epsilon to choose, its GELU is exact
        fields.pop("layer_norm_eps")
        fields["hidden_act"] = "silu" if silu else "gelu"
    if layout.fill is not None:
        layout.fill(source, fields)
    found: PreTrainedConfig = layout.kind.config_class(**fields)
    return found
