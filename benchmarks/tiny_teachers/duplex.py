"""PersonaPlex in Kyutai's format: transformers' Moshi and Mimi, written under Kyutai's names and in its layout."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from safetensors.torch import save_file
from torch import Tensor, nn

from .parts import jittered, sample, tokenizer
from .tiny import Tiny

HEADS, VOICE, DEPTH, WORDS, CODES = 4, 2, 4, 300, 32
DELAYS = [0, 0, 1, 0, 1]
"""Of the text, then of two codebooks for each of two voices."""
MIMI = {
    "sample_rate": 24000, "frame_rate": 375.0, "seanet": {"dimension": 32, "n_filters": 4, "ratios": [4, 4, 2]},
    "quantizer": {"n_q": 4, "bins": CODES, "dimension": 16},
    "transformer": {"num_layers": 3, "num_heads": 4, "dim_feedforward": 48, "context": 16},
}  # fmt: skip


class Duplex(nn.Module):
    """The reference: transformers' Moshi over codes that Mimi gave."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        mimi = hf.MimiConfig(
            sampling_rate=24000, frame_rate=375.0, hidden_size=32, num_filters=4, upsampling_ratios=[4, 4, 2],
            codebook_size=CODES, codebook_dim=16, vector_quantization_hidden_dimension=16, num_quantizers=4,
            num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=4, intermediate_size=48, sliding_window=16,
            upsample_groups=32,
        )  # fmt: skip
        main = hf.MoshiConfig(
            vocab_size=WORDS, hidden_size=32, num_hidden_layers=3, num_attention_heads=HEADS, ffn_dim=96,
            audio_vocab_size=CODES, max_position_embeddings=3000, num_codebooks=VOICE, sliding_window=3000,
            audio_encoder_config=mimi.to_dict(), rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        )  # fmt: skip
        depth = hf.MoshiDepthConfig(
            vocab_size=WORDS, hidden_size=16, input_size=32, num_hidden_layers=2, num_attention_heads=2, ffn_dim=64,
            audio_vocab_size=CODES, num_codebooks=DEPTH, max_position_embeddings=DEPTH + 1,
        )  # fmt: skip
        self.audio_encoder = hf.MimiModel(mimi)
        self.decoder = hf.MoshiForCausalLM(main)
        self.depth_decoder = hf.MoshiDepthDecoder(depth) if hasattr(hf, "MoshiDepthDecoder") else _depth(depth)
        self.embed_tokens = nn.ModuleList(nn.Embedding(CODES + 1, 32) for _ in range(2 * VOICE))

    def forward(self, input_ids: Tensor, input_values: Tensor, own_values: Tensor) -> Any:
        """Text logits [B, T, V] and codebooks' logits [B, T, D, V]."""
        own, heard = (
            self.audio_encoder.encode(each, num_quantizers=VOICE).audio_codes for each in (own_values, input_values)
        )
        frames = heard.shape[-1]
        text = nn.functional.pad(input_ids, (0, frames), value=3)[:, :frames]
        streams = [text, *own.unbind(1), *heard.unbind(1)]
        late = []
        for place, (stream, delay) in enumerate(zip(streams, DELAYS, strict=True)):
            begin = WORDS if place == 0 else CODES
            late.append(nn.functional.pad(stream[:, : frames - delay], (delay + 1, 0), value=begin))
        tables = [self.decoder.model.embed_tokens, *self.embed_tokens]
        states = sum(table(stream[:, :-1]) for table, stream in zip(tables, late, strict=True))
        found = self.decoder(inputs_embeds=states, use_cache=False)
        ids = torch.stack([stream[:, 1:] for stream in late[:DEPTH]], -1).flatten(0, 1)
        hidden = found.last_hidden_state.flatten(0, 1)[:, None]
        depth = self.depth_decoder(input_ids=ids, last_hidden_state=hidden, use_cache=False).logits
        return found.logits, depth.unflatten(0, text.shape)


def _depth(config: Any) -> Any:
    from transformers.models.moshi.modeling_moshi import MoshiDepthDecoder

    return MoshiDepthDecoder(config)


def _paired(weight: Tensor, heads: int) -> Tensor:
    """First and second rotary halves -> interleaved pairs, head by head."""
    return weight.unflatten(0, (heads, 2, -1)).transpose(1, 2).flatten(0, 2)


def _attention(state: dict[str, Tensor], prefix: str, heads: int, linear: str = "") -> Tensor:
    parts = [state[f"{prefix}.{letter}_proj{linear}.weight"] for letter in "qkv"]
    return torch.cat([_paired(parts[0], heads), _paired(parts[1], heads), parts[2]])


def moshi_names(model: Duplex) -> dict[str, Tensor]:
    """model.safetensors as Kyutai writes it."""
    state = model.state_dict()
    main, depth = "decoder.model.layers", "depth_decoder.layers"
    found = {
        "text_emb.weight": state["decoder.model.embed_tokens.weight"],
        "text_linear.weight": state["decoder.lm_head.weight"],
        "out_norm.alpha": state["decoder.model.norm.weight"][None, None],
        "depformer_text_emb.weight": state["depth_decoder.text_embed_tokens.weight"],
    }
    found |= {f"emb.{i}.weight": state[f"embed_tokens.{i}.weight"] for i in range(2 * VOICE)}
    found |= {f"depformer_emb.{i}.weight": state[f"depth_decoder.embed_tokens.{i}.weight"] for i in range(DEPTH - 1)}
    for step in range(DEPTH):
        found[f"depformer_in.{step}.weight"] = state["depth_decoder.input_projections.weight"][step]
        found[f"linears.{step}.weight"] = state["depth_decoder.lm_heads.weight"][step]
    for layer in range(3):
        put, got = f"transformer.layers.{layer}", f"{main}.{layer}"
        found[f"{put}.self_attn.in_proj_weight"] = _attention(state, f"{got}.self_attn", HEADS, ".linear")
        found[f"{put}.self_attn.out_proj.weight"] = state[f"{got}.self_attn.o_proj.linear.weight"]
        found |= _feed(state, put, got) | _norms(state, put, got)
    for layer in range(2):
        put, got = f"depformer.layers.{layer}", f"{depth}.{layer}"
        parts = torch.cat([state[f"{got}.self_attn.{letter}_proj.linear.weight"] for letter in "qkv"], 1)
        found[f"{put}.self_attn.in_proj_weight"] = parts.flatten(0, 1)
        found[f"{put}.self_attn.out_proj.weight"] = state[f"{got}.self_attn.o_proj.linear.weight"].flatten(0, 1)
        for step in range(DEPTH):
            found[f"{put}.gating.{step}.linear_in.weight"] = state[f"{got}.mlp.fc1.weight"][step]
            found[f"{put}.gating.{step}.linear_out.weight"] = state[f"{got}.mlp.fc2.weight"][step]
        found |= _norms(state, put, got)
    return found


def _feed(state: dict[str, Tensor], put: str, got: str) -> dict[str, Tensor]:
    return {f"{put}.gating.linear_in.weight": state[f"{got}.mlp.fc1.weight"],
            f"{put}.gating.linear_out.weight": state[f"{got}.mlp.fc2.weight"]}  # fmt: skip


def _norms(state: dict[str, Tensor], put: str, got: str) -> dict[str, Tensor]:
    return {f"{put}.norm1.alpha": state[f"{got}.input_layernorm.weight"][None, None],
            f"{put}.norm2.alpha": state[f"{got}.post_attention_layernorm.weight"][None, None]}  # fmt: skip


def mimi_names(mimi: Any) -> dict[str, Tensor]:
    """Mimi's file as Kyutai writes it."""
    state, found = mimi.state_dict(), {}
    for name, tensor in state.items():
        if re.search(r"[kv]_proj|\.(?:stride|kernel_size|padding_total)$", name):
            continue
        if "q_proj" in name:
            tensor = _attention(state, name.removesuffix(".q_proj.weight"), 4)
            name = name.replace("q_proj.weight", "in_proj_weight")
        found[_mimi_name(name)] = tensor
    return found


def _mimi_name(name: str) -> str:
    for pattern, put in (
        (r"^(encoder|decoder)\.\1_seanet\.layers\.(\d+)\.conv\.", r"\1.model.\2.CONV."),
        (r"^(encoder|decoder)\.\1_seanet\.layers\.(\d+)\.block\.(\d+)\.conv\.", r"\1.model.\2.block.\3.conv.conv."),
        (r"^(encoder|decoder)\.\1_transformer\.", r"\1_transformer.transformer."),
        (r"^encoder\.downsample\.conv\.", "downsample.conv.conv.conv."),
        (r"^decoder\.upsample\.conv\.", "upsample.convtr.convtr.convtr."),
        (r"\.semantic_residual_vector_quantizer\.layers\.", ".rvq_first.vq.layers."),
        (r"\.acoustic_residual_vector_quantizer\.layers\.", ".rvq_rest.vq.layers."),
        (r"\.semantic_residual_vector_quantizer\.", ".rvq_first."),
        (r"\.acoustic_residual_vector_quantizer\.", ".rvq_rest."),
        (r"\.codebook\.initialized$", "._codebook._initialized"),
        (r"\.codebook\.embed_sum$", "._codebook.embedding_sum"),
        (r"\.codebook\.", "._codebook."),
        (r"\.mlp\.fc1\.", ".linear1."),
        (r"\.mlp\.fc2\.", ".linear2."),
        (r"\.input_layernorm\.", ".norm1."),
        (r"\.post_attention_layernorm\.", ".norm2."),
        (r"\.self_attn_layer_scale\.", ".layer_scale_1."),
        (r"\.mlp_layer_scale\.", ".layer_scale_2."),
        (r"\.o_proj\.", ".out_proj."),
    ):
        name = re.sub(pattern, put, name)
    turned = name.startswith("decoder.model") and re.search(r"model\.(?:2|5|8)\.CONV", name)
    return name.replace("CONV", "convtr.convtr" if turned else "conv.conv")


def personaplex(folder: Path) -> nn.Module:
    """Both files, both configurations, a tokenizer."""
    model = jittered(Duplex())
    with torch.no_grad():
        for name, buffer in model.audio_encoder.named_buffers():
            if name.endswith("embed_sum"):
                buffer.normal_()
    folder.mkdir(parents=True, exist_ok=True)
    for name, stored in (
        ("model.safetensors", moshi_names(model)),
        ("tokenizer-e351c8d8-checkpoint125.safetensors", mimi_names(model.audio_encoder)),
    ):
        save_file({key: tensor.detach().clone().contiguous() for key, tensor in stored.items()}, folder / name)
    told = {"model_type": "personaplex", "num_heads": HEADS, "depformer_num_heads": 2, "dep_q": DEPTH, "delays": DELAYS,
            "mimi_config_name": "mimi.json"}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    (folder / "mimi.json").write_text(json.dumps(MIMI), encoding="utf-8")
    tokenizer().save_pretrained(folder)
    return model


def _talk() -> Any:
    generator = np.random.default_rng(0)
    waves = [0.3 * generator.standard_normal((2, length)).astype(np.float32) for length in (1280, 1280)]
    return [sample(audio=both[0], speech=both[1], rate=24000, text="x = [1, 2]") for both in waves]


ROWS = (
    Tiny(
        name="personaplex-7b",
        stands_for="nvidia/personaplex-7b-v1",
        build=personaplex,
        samples=partial(_talk),
        quick=True,
        outputs=(0, 1),
        checked="Kyutai's two files: fused projections in rotary pairs, weights by codebook, delays, both voices",
        silent=("audio_encoder.decoder.",),
        absent="the codec's way back to sound, which is filled and does not run; its tokenizer is a tokenizer.json "
        "here; Kyutai's own, a model of SentencePiece, is read in the plugin's tests",
    ),
)
