"""Qwen3-TTS: the talker with its code predictor, and the 12 Hz tokenizer, in the layout of their files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from torch import Tensor, nn
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeCode2WavConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeCode2Wav

from .parts import SMALL, TEXTS, jittered, sample, save, shards, sounds, token, tokenizer
from .tiny import Tiny

GROUPS, CODES, WIDE = 4, 40, 24
STACK = {**SMALL, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128}


class Stacks(nn.Module):
    """The reference: both stacks as transformers' Qwen3, one frame at a time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        time, depth = (
            hf.Qwen3Model(hf.Qwen3Config(vocab_size=CODES, **STACK | more)) for more in ({}, {"hidden_size": 16})
        )
        self.talker = nn.ModuleDict({"model": time, "code_predictor": nn.ModuleDict({"model": depth})})
        self.words = nn.Embedding(320, WIDE)
        self.codes = nn.ModuleList(nn.Embedding(CODES, 32) for _ in range(GROUPS))
        self.resize = nn.Sequential(nn.Linear(WIDE, WIDE), nn.SiLU(), nn.Linear(WIDE, 32))
        self.first = nn.Linear(32, CODES, bias=False)
        self.others = nn.ModuleList(nn.Linear(16, CODES, bias=False) for _ in range(GROUPS - 1))
        self.narrow = nn.Linear(32, 16)

    def forward(self, text_ids: Tensor, codes: Tensor, attention_mask: Tensor) -> Any:
        """Logits of the first codes [B, T, V], then of the others, frame after frame [F, G - 1, V]."""
        states = torch.zeros(*text_ids.shape, 32)
        for row, place in np.ndindex(*text_ids.shape):
            if text_ids[row, place] >= 0:
                states[row, place] += self.resize(self.words(text_ids[row, place]))
            for group in range(GROUPS):
                if codes[row, place, group] >= 0:
                    states[row, place] += self.codes[group](codes[row, place, group])
        found = self.talker["model"](inputs_embeds=states, attention_mask=attention_mask).last_hidden_state
        rows = []
        for row, place in np.ndindex(*text_ids.shape):
            if place and bool((codes[row, place] >= 0).all()):
                embedded = [self.codes[group](codes[row, place, group]) for group in range(GROUPS - 1)]
                rows.append(torch.stack([found[row, place - 1], *embedded]))
        depth = self.talker["code_predictor"]["model"](inputs_embeds=self.narrow(torch.stack(rows))).last_hidden_state
        return self.first(found), torch.stack([head(depth[:, 1 + i]) for i, head in enumerate(self.others)], 1)


def _stored(model: Stacks) -> dict[str, Tensor]:
    """The names of the file."""
    found: dict[str, Tensor] = {}
    for prefix, stack in (("talker.model", model.talker["model"]),
                          ("talker.code_predictor.model", model.talker["code_predictor"]["model"])):  # fmt: skip
        state = stack.state_dict()
        found |= {f"{prefix}.{name}": tensor for name, tensor in state.items() if "embed_tokens" not in name}
    found["talker.model.text_embedding.weight"] = model.words.weight
    found["talker.model.codec_embedding.weight"] = model.codes[0].weight
    for place in range(GROUPS - 1):
        found[f"talker.code_predictor.model.codec_embedding.{place}.weight"] = model.codes[place + 1].weight
        found[f"talker.code_predictor.lm_head.{place}.weight"] = model.others[place].weight
    for name, layer in (
        ("text_projection.linear_fc1", model.resize[0]),
        ("text_projection.linear_fc2", model.resize[2]),
        ("code_predictor.small_to_mtp_projection", model.narrow),
    ):
        found[f"talker.{name}.weight"], found[f"talker.{name}.bias"] = layer.weight, layer.bias
    found["talker.codec_head.weight"] = model.first.weight
    return found


def talker(folder: Path, kind: str) -> nn.Module:
    """CustomVoice has named speakers, VoiceDesign none."""
    model = jittered(Stacks())
    marks = {"im_start": "<|im_start|>", "im_end": "<|im_end|>", "tts_pad": "<tts_pad>", "tts_bos": "<tts_text_bos>",
             "tts_eos": "<tts_text_eod>"}  # fmt: skip
    words = tokenizer(marks)
    depth = {**STACK, "hidden_size": 16, "vocab_size": CODES, "num_code_groups": GROUPS,
             "model_type": "qwen3_tts_talker_code_predictor", "rope_theta": 10000}  # fmt: skip
    names = ("eos", "think", "nothink", "think_bos", "think_eos", "pad", "bos")
    ids = {f"codec_{name}_id": CODES - 7 + place for place, name in enumerate(names)}
    talker_config = {**STACK, **ids, "vocab_size": CODES, "num_code_groups": GROUPS, "text_hidden_size": WIDE,
                     "text_vocab_size": 320, "rope_theta": 10000, "code_predictor_config": depth,
                     "rope_scaling": {"interleaved": True, "mrope_section": [2, 1, 1], "rope_type": "default"},
                     "model_type": "qwen3_tts_talker", "codec_language_id": {"english": 30},
                     "spk_id": {"vivian": 31} if kind == "custom_voice" else {}}  # fmt: skip
    config = {
        "architectures": ["Qwen3TTSForConditionalGeneration"],
        "model_type": "qwen3_tts",
        "tts_model_type": kind,
        "tokenizer_type": "qwen3_tts_tokenizer_12hz",
        "talker_config": talker_config,
        **{f"tts_{name}_token_id": token(words, marks[f"tts_{name}"]) for name in ("pad", "bos", "eos")},
    }
    words.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    shards(folder, _stored(model))
    return model


def _asked(**more: Any) -> Any:
    generator = np.random.default_rng(0)
    return [sample(text=text, codes=generator.integers(0, 30, size=(frames, GROUPS)), language="english", **more)
            for text, frames in zip(TEXTS, (5, 3, 4), strict=True)]  # fmt: skip


class Codec(nn.Module):
    """The reference: transformers' Mimi, and Qwen3-Omni's Code2Wav with what the tokenizer changes in it."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        shape = {"codebook_size": 32, "num_quantizers": 6, "codebook_dim": 16, "hidden_size": 32}
        self.config = hf.MimiConfig(
            **shape,
            num_filters=4,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=4,
            head_dim=8,
            intermediate_size=48,
            vector_quantization_hidden_dimension=16,
            upsampling_ratios=[4, 4, 2],
            sliding_window=16,
            max_position_embeddings=64,
            sampling_rate=24000,
            frame_rate=375.0,
            upsample_groups=32,
        )
        self.encoder = hf.MimiModel(self.config)
        self.shape = {**SMALL, "codebook_size": 32, "num_quantizers": 4, "num_key_value_heads": 4, "sliding_window": 8,
                      "upsample_rates": [4, 2], "upsampling_ratios": [2, 2], "decoder_dim": 16}  # fmt: skip
        self.decoder = Qwen3OmniMoeCode2Wav(
            Qwen3OmniMoeCode2WavConfig(**self.shape, rope_parameters={"rope_type": "default", "rope_theta": 10000.0})
        )
        del self.decoder.code_embedding
        for module in self.decoder.modules():
            if hasattr(module, "left_pad"):
                module.left_pad = 0
        self.around = nn.ModuleDict({"in": nn.Linear(32, 32), "out": nn.Linear(32, 32)})
        self.before = nn.Conv1d(16, 32, 3)
        self.books = nn.ParameterList(0.3 * torch.randn(32, 8) for _ in range(4))
        self.use = nn.ParameterList(1 + torch.rand(32) for _ in range(4))
        self.project = nn.ModuleList(nn.Conv1d(8, 16, 1, bias=False) for _ in range(2))

    def forward(self, input_values: Tensor, padding_mask: Tensor | None = None) -> Any:
        """Waveform [B, 1, N] and codes [B, Q, T]."""
        codes = self.encoder.encode(input_values).audio_codes[:, :4]
        found = [(self.books[i] / self.use[i][:, None])[codes[:, i]].transpose(1, 2) for i in range(4)]
        states = self.project[0](found[0]) + self.project[1](found[1] + found[2] + found[3])
        states = self.around["in"](self.before(nn.functional.pad(states, (2, 0))).transpose(1, 2))
        states = self.around["out"](self.decoder.pre_transformer(inputs_embeds=states).last_hidden_state).transpose(
            1, 2
        )
        for block in (*(each for pair in self.decoder.upsample for each in pair), *self.decoder.decoder):
            states = block(states)
        return states.clamp(-1, 1), codes


def codec(folder: Path) -> nn.Module:
    """The 12 Hz tokenizer."""
    model = jittered(Codec())
    with torch.no_grad():
        for name, buffer in model.encoder.named_buffers():
            if name.endswith("embed_sum"):
                buffer.normal_()
    save(folder / "mimi", model.encoder)
    from safetensors.torch import load_file

    kept = {}
    for file in sorted((folder / "mimi").glob("*.safetensors")):
        kept |= load_file(file)
        file.unlink()
    for file in (folder / "mimi").iterdir():
        file.unlink()
    (folder / "mimi").rmdir()
    gone = ("decoder.", "decoder_transformer.", "upsample.")
    stored = {f"encoder.{name}": tensor for name, tensor in kept.items() if not name.startswith(gone)}
    stored |= {f"decoder.{name}": tensor for name, tensor in model.decoder.state_dict().items()}
    for name, layer in (("pre_transformer.input_proj", model.around["in"]), ("pre_conv.conv", model.before),
                        ("pre_transformer.output_proj", model.around["out"])):  # fmt: skip
        stored[f"decoder.{name}.weight"], stored[f"decoder.{name}.bias"] = layer.weight, layer.bias
    for place, (book, use) in enumerate(zip(model.books, model.use, strict=True)):
        where = "rvq_first.vq.layers.0" if place == 0 else f"rvq_rest.vq.layers.{place - 1}"
        stored[f"decoder.quantizer.{where}._codebook.embedding_sum"] = book
        stored[f"decoder.quantizer.{where}._codebook.cluster_usage"] = use
    for part, layer in zip(("rvq_first", "rvq_rest"), model.project, strict=True):
        stored[f"decoder.quantizer.{part}.output_proj.weight"] = layer.weight
        stored[f"decoder.quantizer.{part}.input_proj.weight"] = torch.zeros(8, 16, 1)
    decoder = {**model.shape, "codebook_dim": 16, "latent_dim": 32, "rope_theta": 10000}
    config = {
        "architectures": ["Qwen3TTSTokenizerV2Model"],
        "model_type": "qwen3_tts_tokenizer_12hz",
        "encoder_valid_num_quantizers": 4,
        "decoder_config": decoder,
        "encoder_config": _flat(model.config),
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    hf.EncodecFeatureExtractor(sampling_rate=24000).save_pretrained(folder)
    shards(folder, stored, 1)
    return model


def _flat(config: Any) -> dict[str, Any]:
    """Mimi's configuration without the halves that transformers 5 made of it."""
    return {name: value for name, value in config.to_dict().items() if name not in ("encoder_config", "decoder_config")}


ROWS = (
    Tiny(
        name="qwen3-tts-custom-voice",
        stands_for="Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice",
        quick=True,
        build=partial(talker, kind="custom_voice"),
        outputs=(0, 2),
        samples=partial(_asked, speaker="vivian"),
        checked="speaker, language and teacher-forced frames, both stacks",
    ),
    Tiny(
        name="qwen3-tts-voice-design",
        stands_for="Qwen/Qwen3-TTS-12Hz-1.7B-VoiceDesign",
        build=partial(talker, kind="voice_design"),
        outputs=(0, 2),
        samples=partial(_asked, instruct="A calm, low voice."),
        checked="a voice in words and teacher-forced frames, both stacks",
        absent="the Base models' speaker encoder, which only they have",
    ),
    Tiny(
        name="qwen3-tts-tokenizer",
        stands_for="Qwen/Qwen3-TTS-Tokenizer-12Hz",
        build=codec,
        outputs=(0, 1),
        samples=partial(sounds, 2048, 24000),
        checked="waveform to codes to waveform: Mimi's encoder and Code2Wav's parts",
    ),
)
