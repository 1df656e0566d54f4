"""From the codes of the 12 Hz tokenizer to a waveform, of the parts of transformers' Qwen3-Omni (Code2Wav).

Beside those it has a projection before and after its transformer, residual codebooks in place of one embedding, and
transposed convolutions that are cut on the right alone. Shapes: B samples, Q codebooks, T frames, C channels, N samples
of sound.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.qwen3_omni_moe.configuration_qwen3_omni_moe import Qwen3OmniMoeCode2WavConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeCausalConvNet,
    Qwen3OmniMoeCausalTransConvNet,
    Qwen3OmniMoeCode2WavDecoderBlock,
    Qwen3OmniMoeCode2WavTransformerModel,
    Qwen3OmniMoeConvNeXtBlock,
    Qwen3OmniMoeSnakeBeta,
)

EPSILON = 1e-5
KERNEL = 7


class DecoderConfig(Qwen3OmniMoeCode2WavConfig):
    """Code2Wav's, with the width of the codes and of what lies around the transformer."""

    model_type = "qwen3_tts_tokenizer_12hz_decoder"
    codebook_dim: int = 512
    latent_dim: int = 1024


class Codebook(nn.Module):
    """Vectors as they were averaged: their sum over their use."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.cluster_usage = nn.Parameter(torch.ones(size))
        self.embedding_sum = nn.Parameter(torch.zeros(size, width))

    def forward(self, codes: Tensor) -> Tensor:
        """[B, T] -> [B, C, T]."""
        table = self.embedding_sum / self.cluster_usage.clamp(min=EPSILON)[:, None]
        return nn.functional.embedding(codes, table).transpose(1, 2)


class Quantizer(nn.Module):
    """Codebooks that are added, and a projection; `input_proj` is for encoding alone, but the file has it."""

    def __init__(self, count: int, size: int, width: int, outside: int) -> None:
        super().__init__()
        books = [nn.ModuleDict({"_codebook": Codebook(size, width)}) for _ in range(count)]
        self.vq = nn.ModuleDict({"layers": nn.ModuleList(books)})
        self.input_proj = nn.Conv1d(outside, width, 1, bias=False)
        self.output_proj = nn.Conv1d(width, outside, 1, bias=False)

    def forward(self, codes: Tensor) -> Tensor:
        """[B, Q, T] -> [B, C, T]."""
        books: Any = self.vq["layers"]
        summed = sum(book["_codebook"](column) for book, column in zip(books, codes.unbind(1), strict=True))
        found: Tensor = self.output_proj(summed)
        return found


class SplitQuantizer(nn.Module):
    """The first codebook, of meaning, apart from the rest."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        shape = (config.codebook_size, config.codebook_dim // 2, config.codebook_dim)
        self.rvq_first = Quantizer(1, *shape)
        self.rvq_rest = Quantizer(config.num_quantizers - 1, *shape)

    def forward(self, codes: Tensor) -> Tensor:
        """[B, Q, T] -> [B, C, T]."""
        found: Tensor = self.rvq_first(codes[:, :1]) + self.rvq_rest(codes[:, 1:])
        return found


class PreTransformer(Qwen3OmniMoeCode2WavTransformerModel):
    """The transformer over frames, between two projections."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        self.input_proj = nn.Linear(config.latent_dim, config.hidden_size)
        self.output_proj = nn.Linear(config.hidden_size, config.latent_dim)

    def over(self, states: Tensor) -> Tensor:
        """[B, T, C] -> [B, T, C]."""
        found: Tensor = self.output_proj(self(inputs_embeds=self.input_proj(states)).last_hidden_state)
        return found


class SpeechDecoder(PreTrainedModel):
    """Codes [B, Q, T] -> waveform [B, 1, N]."""

    config_class = DecoderConfig
    _supports_sdpa = True

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__(config)
        self.pre_transformer = PreTransformer._from_config(config)
        self.quantizer = SplitQuantizer(config)
        self.pre_conv = Qwen3OmniMoeCausalConvNet(config.codebook_dim, config.latent_dim, kernel_size=3)
        wide = config.latent_dim
        self.upsample = nn.ModuleList(
            nn.ModuleList([Qwen3OmniMoeCausalTransConvNet(wide, wide, factor, factor), Qwen3OmniMoeConvNeXtBlock(wide)])
            for factor in config.upsampling_ratios
        )
        blocks = [Qwen3OmniMoeCode2WavDecoderBlock(config, place) for place in range(len(config.upsample_rates))]
        last = config.decoder_dim // 2 ** len(config.upsample_rates)
        self.decoder = nn.ModuleList(
            [
                Qwen3OmniMoeCausalConvNet(wide, config.decoder_dim, KERNEL),
                *blocks,
                Qwen3OmniMoeSnakeBeta(last),
                Qwen3OmniMoeCausalConvNet(last, 1, KERNEL),
            ]
        )
        for module in self.modules():
            if isinstance(module, Qwen3OmniMoeCausalTransConvNet):
                module.left_pad = 0  # Qwen3-Omni cuts both sides
        self.post_init()

    def forward(self, codes: Tensor) -> Tensor:
        """[B, Q, T] -> [B, 1, N], between -1 and 1."""
        states = self.pre_conv(self.quantizer(codes)).transpose(1, 2)
        states = self.pre_transformer.over(states).transpose(1, 2)
        for pair in self.upsample:
            for block in pair:
                states = block(states)
        for block in self.decoder:
            states = block(states)
        return states.clamp(-1, 1)
