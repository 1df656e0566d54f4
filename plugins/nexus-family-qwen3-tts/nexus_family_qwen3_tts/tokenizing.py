"""The checkpoint of the 12 Hz speech tokenizer: transformers' Mimi to the codes, the decoder beside this from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, Sample, Signal
from nexus_torch.hugging_face.configuration.classes import skeleton
from nexus_torch.hugging_face.configuration.reading import family_config
from nexus_torch.hugging_face.weights.checkpoint import HuggingFaceCheckpoint
from torch import Tensor, nn
from transformers import AutoConfig, MimiConfig, MimiModel, PreTrainedConfig, PreTrainedModel

from .catalogue import HEADS, TOKENIZER
from .decoder import DecoderConfig, SpeechDecoder


class TokenizerConfig(PreTrainedConfig):
    """The configuration: `encoder_config` (Mimi's) and `decoder_config`."""

    model_type = TOKENIZER

    def __init__(
        self,
        encoder_config: Any = None,
        decoder_config: Any = None,
        encoder_valid_num_quantizers: int = 16,
        **more: Any,
    ) -> None:
        self.encoder_config = _encoder(encoder_config or {})
        given = decoder_config or {}
        self.decoder_config = given if isinstance(given, DecoderConfig) else _decoder(dict(given))
        self.encoder_valid_num_quantizers = encoder_valid_num_quantizers
        super().__init__(**more)


def _plain(given: dict[str, Any]) -> dict[str, Any]:
    """Without what a configuration says of itself."""
    return {name: value for name, value in given.items() if name not in ("model_type", "transformers_version")}


def _decoder(given: dict[str, Any]) -> DecoderConfig:
    """Its rotary positions stand as `rope_theta` in the file."""
    plain = _plain(given)
    rotary = {"rope_type": "default", "rope_theta": float(plain.pop("rope_theta", 10_000.0))}
    config = DecoderConfig(**{"rope_parameters": rotary, **plain})
    config.use_cache = False
    return config


def _encoder(given: Any) -> MimiConfig:
    """Mimi without its decoder."""
    plain = _plain(given.to_dict() if isinstance(given, PreTrainedConfig) else dict(given))
    config = MimiConfig(**plain)
    config.decoder_config = None
    return config


@dataclass
class TokenizerOutput:
    """What was heard, and how it sounds again."""

    audio_values: Tensor
    """[B, 1, N]"""
    audio_codes: Tensor
    """int [B, Q, T]"""

    def __getitem__(self, index: int) -> Any:
        return (self.audio_values, self.audio_codes)[index]


class Qwen3TTSTokenizerV2Model(PreTrainedModel):
    """Waveform -> codes -> waveform."""

    config_class = TokenizerConfig
    main_input_name = "input_values"
    input_modalities = ("audio",)
    _supports_sdpa = True
    _no_split_modules = ("MimiTransformerLayer", "Qwen3OmniMoeCode2WavTransformerLayer")

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__(config)
        self.encoder = MimiModel._from_config(config.encoder_config, dtype=torch.float32)
        self.decoder = SpeechDecoder._from_config(config.decoder_config)
        self.post_init()

    def forward(self, input_values: Tensor, padding_mask: Tensor | None = None) -> TokenizerOutput:
        """[B, 1, N] -> codes and the waveform of them. What quantises a sound to codes is never narrowed."""
        codes = self.encoder.encode(input_values.float()).audio_codes[:, : self.config.encoder_valid_num_quantizers]
        return TokenizerOutput(self.decoder(codes), codes)


class TokenizerCheckpoint(HuggingFaceCheckpoint):
    """Kind "checkpoint": sound in, codes and sound out."""

    @classmethod
    def of(cls, home: Path) -> TokenizerCheckpoint:
        """The checkpoint of a folder."""
        found = cls(home, family_config(home, TokenizerConfig))
        found.described = replace(found.described, gives=("audio",), head=HEADS[TOKENIZER])
        return found

    def bare(self) -> PreTrainedModel:
        """The composition."""
        return skeleton(self.config, Qwen3TTSTokenizerV2Model)

    def skeleton(self) -> nn.Module:
        """The module on the meta device."""
        return self.bare()

    def read(self, output: TokenizerOutput, batch: Batch) -> Signal:
        """ "output" is the sound again [B, N], "codes" [B, T, Q]."""
        return Signal(outputs={"output": output.audio_values[:, 0], "codes": output.audio_codes.transpose(1, 2)})

    @torch.no_grad()
    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """The codes [T, Q] of each sound."""
        return [module(**self.collate([sample])).audio_codes[0].T for sample in samples]


AutoConfig.register(TOKENIZER, TokenizerConfig, exist_ok=True)
