"""Files that hold a part of something else: drafts for another model, the backbone of a speech model.

Sources: `conversion/{muse_glimmer,pockettts}.py` of llama.cpp.
"""

from __future__ import annotations

from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor

from ..fields import whole
from ..layout import Layout
from ..rules import Rule
from ..source import Source
from .decoders import ROTATED

DFLASH = (
    Rule(r"^encoder\.fc\.weight$", ("fc.weight",)),
    Rule(r"^encoder\.output_norm_enc\.weight$", ("enc.output_norm.weight",)),
    Rule(r"post_attention_layernorm\.weight$", ("blk.{n}.ffn_norm.weight",)),
)
POCKET_TTS = (
    *ROTATED,
    Rule(r"mlp\.fc1\.weight$", ("blk.{n}.ffn_up.weight",)),
    Rule(r"mlp\.fc2\.weight$", ("blk.{n}.ffn_down.weight",)),
    Rule(r"self_attn\.v_proj\.weight$", ("blk.{n}.attn_v.weight",)),
    Rule(r"self_attn\.o_proj\.weight$", ("blk.{n}.attn_output.weight",)),
    Rule(r"input_layernorm\.(weight|bias)$", ("blk.{n}.attn_norm.{0}",)),
    Rule(r"post_attention_layernorm\.(weight|bias)$", ("blk.{n}.ffn_norm.{0}",)),
)
STRANGE = ("markov_", "conf_proj", "selector_", "attn_conv_", "ffn_conv_", "hc_attn_", "ffn_gate_inp", "d2t")
"""In the names of tensors of drafts that transformers has no class for (DSpark, DFlash 2)."""


def dflash(source: Source) -> Layout:
    """The draft for Muse Glimmer: the only one of this architecture that transformers has a class for."""
    if odd := next((name for name in source.places if any(each in name for each in STRANGE)), None):
        raise NexusError(
            f"'{source.path}' is a draft model (dflash) of a kind that transformers has no class for: it holds "
            f"'{odd}'. Open the model that it drafts for."
        )
    return Layout(
        head="MuseGlimmerAssistantModel", rules=DFLASH, fill=dflash_fields, embeds=False,
        wants="the states of the model that it drafts for",
    )  # fmt: skip


def dflash_fields(source: Source, fields: dict[str, Any]) -> None:
    """The layers of the other model whose outputs it reads: the file counts inputs."""
    fields["target_layer_ids"] = [int(each) - 1 for each in source.get("{arch}.target_layers") or [1]]
    fields["block_size"] = whole(source, "block_size", 16)
    fields["mask_token_id"] = source.whole("tokenizer.ggml.mask_token_id", 0)
    if "layer_types" not in fields:
        fields["layer_types"] = ["full_attention"] * source.whole("{arch}.block_count")


def pocket_tts(source: Source, fields: dict[str, Any]) -> None:
    """The file's rows for the start of sound are what a projection (in the mmproj file) makes of it: they are looked up
    as any token's, so no token has the numbers that the class projects itself."""
    rows = fields["vocab_size"]
    for number, name in enumerate(("audio_prompt", "audio_latent", "audio_prompt_bos", "audio_bos")):
        fields[f"{name}_token_id"] = rows + number
    fields["flow_head_config"] = {"condition_dim": whole(source, "embedding_length")}


def silence(_: Source, module: Any) -> dict[str, Tensor]:
    """The start of sound, which no token of the file is."""
    return {
        "bos_latent": torch.zeros(module.bos_latent.shape),
        "audio_latent_proj.weight": torch.zeros(module.audio_latent_proj.weight.shape),
    }
