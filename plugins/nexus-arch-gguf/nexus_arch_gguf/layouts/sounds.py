"""Towers that hear, in mmproj files: encoders of Whisper's kind behind Ultravox, Qwen2-Audio, Voxtral and Audio
Flamingo 3.

Source: `conversion/ultravox.py` of llama.cpp, and `tools/mtmd/clip.cpp`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nexus_specs import NexusError
from transformers import PreTrainedConfig

from ..configuration import made
from ..fields import LARGEST, whole
from ..layout import Layout
from ..rules import Rule
from ..source import Source

WHISPER = (
    Rule(r"^conv([12])\.(weight|bias)$", ("a.conv1d.{0}.{1}",)),
    Rule(r"^embed_positions\.weight$", ("a.position_embd.weight",)),
    Rule(r"self_attn\.([qkv])_proj\.(weight|bias)$", ("a.blk.{n}.attn_{0}.{1}",)),
    Rule(r"self_attn\.out_proj\.(weight|bias)$", ("a.blk.{n}.attn_out.{0}",)),
    Rule(r"self_attn_layer_norm\.(weight|bias)$", ("a.blk.{n}.ln1.{0}",)),
    Rule(r"final_layer_norm\.(weight|bias)$", ("a.blk.{n}.ln2.{0}",)),
    Rule(r"fc1\.(weight|bias)$", ("a.blk.{n}.ffn_up.{0}",)),
    Rule(r"fc2\.(weight|bias)$", ("a.blk.{n}.ffn_down.{0}",)),
    Rule(r"^layer_norm\.(weight|bias)$", ("a.post_ln.{0}",)),
)


HEARING: Mapping[str, Layout] = {
    "musicflamingo": Layout(head="AudioFlamingo3Encoder", rules=WHISPER, embeds=False),
    "qwen2a": Layout(head="Qwen2AudioEncoder", rules=WHISPER, embeds=False),
    "ultravox": Layout(head="WhisperEncoder", within="whisper.modeling_whisper", rules=WHISPER, embeds=False),
    "voxtral": Layout(head="VoxtralEncoder", rules=WHISPER, embeds=False),
}
"""Projector -> the layout of the tower before it."""


def sound_configuration(source: Source, layout: Layout) -> PreTrainedConfig:
    """The configuration of a tower that hears. NexusError where the tensors do not bear out the metadata."""
    count = source.whole("clip.audio.block_count")
    there = {name.split(".")[2] for name in source.places if name.startswith("a.blk.")}
    needed = ("a.conv1d.1.weight", "a.position_embd.weight", "a.blk.0.ffn_up.weight")
    missing = [each for each in needed if each not in source.places or len(source.tensors[each].shape) < 2]
    if missing or not 0 < count <= min(len(there), LARGEST["block_count"]):
        raise NexusError(
            f"'{source.path}': the metadata says {count} layers, and the tensors are of {len(there)}"
            f"{', without ' + ', '.join(missing) if missing else ''}. Fetch the file again."
        )
    positions, width = source.tensors["a.position_embd.weight"].shape
    fields: dict[str, Any] = {
        "d_model": width, "encoder_layers": count, "max_source_positions": positions,
        "num_mel_bins": source.tensors["a.conv1d.1.weight"].shape[1],
        "encoder_ffn_dim": source.tensors["a.blk.0.ffn_up.weight"].shape[0],
        "encoder_attention_heads": whole(source, "audio.attention.head_count"), "activation_function": "gelu",
    }  # fmt: skip
    kind = layout.kind.config_class
    names = kind.attribute_map
    return made(source, layout, lambda: kind(**{names.get(name, name): value for name, value in fields.items()}))
