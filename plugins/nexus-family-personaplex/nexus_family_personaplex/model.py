"""Moshi as transformers has it, with as many codebooks in depth as the file has, and Kyutai's delays between streams.

Shapes: B samples, T frames, K codebooks of one voice, D codebooks in depth, N samples of sound.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from nexus_torch.hugging_face.configuration.limits import check
from torch import Tensor
from transformers import AutoConfig, MimiConfig, MoshiConfig, MoshiForConditionalGeneration
from transformers.models.moshi.configuration_moshi import MoshiDepthConfig

from .catalogue import MODEL_TYPE


class PersonaPlexConfig(MoshiConfig):
    """MoshiConfig gives the stack in depth as many codebooks as one voice has; this one lets it keep its own."""

    model_type = MODEL_TYPE

    def __post_init__(self, **kwargs: Any) -> None:
        given = self.depth_decoder_config
        own = given.get("num_codebooks") if isinstance(given, dict) else None
        super().__post_init__(**kwargs)
        if own is not None:
            self.depth_decoder_config.num_codebooks = own


def configuration_of(size: Mapping[str, int], told: Mapping[str, Any], mimi: Mapping[str, Any]) -> PersonaPlexConfig:
    """The configuration of what the file holds."""
    depth = MoshiDepthConfig(
        vocab_size=size["words"], hidden_size=size["depth"], input_size=size["width"], audio_vocab_size=size["codes"],
        num_hidden_layers=size["depth_layers"], num_attention_heads=size["depth_heads"], ffn_dim=size["depth_feed"],
        max_position_embeddings=size["depth_codes"] + 1, num_codebooks=size["depth_codes"], use_cache=False,
    )  # fmt: skip
    rotary = {"rope_type": "default", "rope_theta": float(told["max_period"])}
    config = PersonaPlexConfig(
        vocab_size=size["words"], hidden_size=size["width"], num_hidden_layers=size["layers"],
        num_attention_heads=size["heads"], audio_vocab_size=size["codes"], ffn_dim=size["feed"],
        max_position_embeddings=int(told["context"]), sliding_window=int(told["context"]), rope_parameters=rotary,
        num_codebooks=size["streams"] // 2, audio_encoder_config=MimiConfig(**checked(mimi_config(mimi))).to_dict(),
        depth_decoder_config=depth.to_dict(), use_cache=False,
    )  # fmt: skip
    config.delays = [int(each) for each in told["delays"]]
    config.text_padding = int(told["existing_text_padding_id"])
    return config


def checked(mimi: dict[str, Any]) -> dict[str, Any]:
    """Mimi's settings under the names by which numbers that cannot be meant are known. NexusError where there are
    some."""
    check(mimi, "the configuration of Mimi")
    return mimi


def mimi_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """Kyutai's names for the parts of Mimi -> transformers'; nothing given: Mimi itself."""
    if not given:
        return {}
    net, book, over = given["seanet"], given["quantizer"], given["transformer"]
    return {
        "sampling_rate": given["sample_rate"], "frame_rate": given["frame_rate"], "hidden_size": net["dimension"],
        "num_filters": net["n_filters"], "upsampling_ratios": list(net["ratios"]), "codebook_size": book["bins"],
        "codebook_dim": book["dimension"], "vector_quantization_hidden_dimension": book["dimension"],
        "num_quantizers": book["n_q"], "num_hidden_layers": over["num_layers"],
        "num_attention_heads": over["num_heads"], "num_key_value_heads": over["num_heads"],
        "intermediate_size": over["dim_feedforward"], "sliding_window": over["context"],
        "upsample_groups": net["dimension"],
    }  # fmt: skip


@dataclass
class DuplexOutput:
    """What is said next, in text and in sound."""

    logits: Tensor
    """Of the text token of each frame: [B, T, V]."""
    audio_logits: Tensor
    """Of each codebook in depth of each frame: [B, T, D, V]."""
    final: Tensor
    """The states before the text's head: [B, T, width]."""

    def __getitem__(self, index: int) -> Any:
        return (self.logits, self.audio_logits, self.final)[index]


class PersonaPlexForConditionalGeneration(MoshiForConditionalGeneration):
    """Moshi, teacher-forced over two voices: what Kyutai's `LMModel.forward` computes."""

    config: PersonaPlexConfig

    def forward(  # type: ignore[override]
        self, input_ids: Tensor, input_values: Tensor, own_values: Tensor | None = None, use_cache: bool = False
    ) -> DuplexOutput:
        """input_ids [B, T'] is one text token a frame (padded or cut to the frames there are), input_values [B, 1, N]
        the voice that is heard, own_values [B, 1, N] the own one (silence without)."""
        own = self.codes(torch.zeros_like(input_values) if own_values is None else own_values)
        heard = self.codes(input_values)  # last: what a tap in the codec shows is what is heard
        frames = heard.shape[-1]
        text = torch.full((len(heard), frames), self.config.text_padding, device=heard.device)
        kept = min(frames, input_ids.shape[1])
        text[:, :kept] = input_ids[:, :kept]
        streams = self.delayed(torch.cat([text[:, None], own, heard], 1))
        states = self.decoder.model.embed_tokens(streams[:, 0, :-1])
        for table, codes in zip(self.embed_tokens, streams[:, 1:, :-1].unbind(1), strict=True):
            states = states + table(codes)
        found = self.decoder(inputs_embeds=states, use_cache=False)
        return DuplexOutput(
            found.logits, self.depth(found.last_hidden_state, streams[..., 1:]), found.last_hidden_state
        )

    def codes(self, values: Tensor) -> Tensor:
        """Sound [B, 1, N] -> codes [B, K, T]."""
        found: Tensor = self.audio_encoder.encode(values, num_quantizers=self.config.num_codebooks).audio_codes
        return found

    def delayed(self, streams: Tensor) -> Tensor:
        """Streams [B, 1 + 2K, T] -> [B, 1 + 2K, T + 1]: a start token, then each stream late by its delay."""
        starts = torch.tensor([self.config.vocab_size] + [self.config.audio_vocab_size] * (streams.shape[1] - 1))
        starts = starts.to(streams)[None, :, None].expand(len(streams), -1, 1)
        late = [
            torch.cat([start.expand(-1, delay + 1), stream[:, : stream.shape[1] - delay]], 1)
            for start, stream, delay in zip(starts.unbind(1), streams.unbind(1), self.config.delays, strict=True)
        ]
        return torch.stack(late, 1)

    def depth(self, states: Tensor, streams: Tensor) -> Tensor:
        """The states [B, T, width] and the frames to come [B, 1 + 2K, T] -> logits [B, T, D, V]."""
        count = self.config.depth_decoder_config.num_codebooks
        inputs = streams[:, :count].transpose(1, 2).flatten(0, 1)
        found = self.depth_decoder(input_ids=inputs, last_hidden_state=states.flatten(0, 1)[:, None], use_cache=False)
        logits: Tensor = found.logits.unflatten(0, states.shape[:2])
        return logits


# Its tokenizer loads without a word about a type that transformers does not know.
AutoConfig.register(MODEL_TYPE, PersonaPlexConfig, exist_ok=True)
