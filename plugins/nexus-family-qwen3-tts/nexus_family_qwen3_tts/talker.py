"""The talker of Qwen3-TTS of parts that transformers has: two stacks of Qwen3, one over time, one over the codes of a
frame. Modules have the names of the checkpoint, so no name is mapped.

Their order of computation is that of the package qwen-tts 0.1.1 when it learns: the text's and the codes' embeddings
are added position by position; the state before a frame, then its codes, go through the second stack. All three axes
of its rotary positions are the same for text, which is Qwen3's own. Shapes: B samples, T positions, G codes of a frame,
F frames of all samples, V codes to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, Qwen3Config, Qwen3Model
from transformers.activations import ACT2FN

from .catalogue import TALKER

NOTHING = -1
"""Where a position has no text, or no code."""
PLAIN = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "hidden_act",
    "max_position_embeddings",
    "rms_norm_eps",
    "attention_bias",
)
"""What both stacks take over of their configuration."""


class Qwen3TTSConfig(PreTrainedConfig):
    """The configuration: `talker_config` with `code_predictor_config` in it, as the file has them."""

    model_type = TALKER

    def __init__(self, talker_config: dict[str, Any] | None = None, **more: Any) -> None:
        self.talker_config = dict(talker_config or {})
        super().__init__(**more)

    def get_text_config(self, *_: Any, **__: Any) -> Qwen3Config:
        """Of the stack over time."""
        return stack_config(self.talker_config)


def stack_config(given: dict[str, Any]) -> Qwen3Config:
    """One stack as Qwen3's configuration. The axes of its rotary positions (mrope) are the same here, so they go."""
    known = {name: given[name] for name in PLAIN if given.get(name) is not None}
    rotary = {"rope_type": "default", "rope_theta": float(given.get("rope_theta", 10_000.0))}
    return Qwen3Config(**known, rope_parameters=rotary, use_cache=False, tie_word_embeddings=False)


class TalkerModel(Qwen3Model):
    """The stack over time, with an embedding of codes and one of text."""

    def __init__(self, config: Qwen3Config, given: dict[str, Any]) -> None:
        super().__init__(config)
        del self.embed_tokens
        self.codec_embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.text_embedding = nn.Embedding(int(given["text_vocab_size"]), int(given["text_hidden_size"]))


class PredictorModel(Qwen3Model):
    """The stack over the codes of a frame, with one embedding for each code but the last."""

    def __init__(self, config: Qwen3Config, groups: int, width: int) -> None:
        super().__init__(config)
        del self.embed_tokens
        tables = (nn.Embedding(config.vocab_size, width) for _ in range(groups - 1))
        self.codec_embedding = nn.ModuleList(tables)


class ResizeMLP(nn.Module):
    """From the width of text to that of the talker."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        width = int(config["text_hidden_size"])
        self.linear_fc1 = nn.Linear(width, width)
        self.linear_fc2 = nn.Linear(width, int(config["hidden_size"]))
        self.act = ACT2FN[config.get("hidden_act", "silu")]

    def forward(self, states: Tensor) -> Tensor:
        """[..., text width] -> [..., width]."""
        found: Tensor = self.linear_fc2(self.act(self.linear_fc1(states)))
        return found


class CodePredictor(nn.Module):
    """All codes of a frame after the first."""

    def __init__(self, config: Qwen3Config, groups: int, width: int) -> None:
        super().__init__()
        self.model = PredictorModel(config, groups, width)
        self.lm_head = nn.ModuleList(
            nn.Linear(config.hidden_size, config.vocab_size, bias=False) for _ in range(groups - 1)
        )
        narrow = config.hidden_size != width
        self.small_to_mtp_projection = nn.Linear(width, config.hidden_size) if narrow else nn.Identity()

    def forward(self, embeddings: Tensor) -> Tensor:
        """The state before each frame, then its codes but the last, [F, G, width] -> [F, G - 1, V]."""
        states = self.model(inputs_embeds=self.small_to_mtp_projection(embeddings)).last_hidden_state
        return torch.stack([head(states[:, place + 1]) for place, head in enumerate(self.lm_head)], 1)


class Talker(nn.Module):
    """Text and the codes so far -> the next codes."""

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__()
        config, groups = stack_config(given), int(given["num_code_groups"])
        self.model = TalkerModel(config, given)
        self.text_projection = ResizeMLP(given)
        self.codec_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        predictor = stack_config(dict(given["code_predictor_config"]))
        self.code_predictor = CodePredictor(predictor, groups, config.hidden_size)

    def embed(self, text_ids: Tensor, codes: Tensor) -> Tensor:
        """[B, T], [B, T, G] -> [B, T, width]: the sum of what stands at each position."""
        text = self.text_projection(self.model.text_embedding(text_ids.clamp(min=0)))
        states = text * (text_ids != NOTHING)[..., None]
        tables = [self.model.codec_embedding, *self.code_predictor.model.codec_embedding]
        for table, column in zip(tables, codes.unbind(-1), strict=True):
            states = states + table(column.clamp(min=0)) * (column != NOTHING)[..., None]
        return states

    def rest(self, before: Tensor, codes: Tensor) -> Tensor:
        """The other codes of frames: the states before them [F, width], their codes [F, G] -> [F, G - 1, V]."""
        tables = [self.model.codec_embedding, *self.code_predictor.model.codec_embedding]
        embedded = [table(column) for table, column in zip(tables[:-1], codes.unbind(-1)[:-1], strict=True)]
        found: Tensor = self.code_predictor(torch.stack([before, *embedded], 1))
        return found


@dataclass
class TalkerOutput:
    """What the talker says."""

    logits: Tensor
    """Of the first code of the next frame: [B, T, V]."""
    final: Tensor
    """The states before the head: [B, T, width]."""
    code_logits: Tensor | None
    """Of the other codes of every frame, sample after sample: [F, G - 1, V]; None without frames."""

    def __getitem__(self, index: int) -> Any:
        return (self.logits, self.final, self.code_logits)[index]


class Qwen3TTSForConditionalGeneration(PreTrainedModel):
    """The talker under the checkpoint's prefix. A speaker encoder in the file (the Base models) is left out."""

    config_class = Qwen3TTSConfig
    input_modalities = ("text",)
    main_input_name = "text_ids"
    _supports_sdpa = True
    _no_split_modules = ("Qwen3DecoderLayer",)

    def __init__(self, config: Qwen3TTSConfig) -> None:
        super().__init__(config)
        self.talker = Talker(config.talker_config)
        self.post_init()

    def forward(
        self, text_ids: Tensor, codes: Tensor, attention_mask: Tensor | None = None, use_cache: bool = False
    ) -> TalkerOutput:
        """text_ids [B, T] and codes [B, T, G], -1 where there is none; a frame is a position with all its codes."""
        states = self.talker.embed(text_ids, codes)
        found = self.talker.model(inputs_embeds=states, attention_mask=attention_mask).last_hidden_state
        logits = self.talker.codec_head(found)
        frames = (codes != NOTHING).all(-1)
        frames[:, 0] = False  # a frame has a state before it
        if not frames.any():
            return TalkerOutput(logits, found, None)
        before = found[:, :-1][frames[:, 1:]]
        return TalkerOutput(logits, found, self.talker.rest(before, codes[frames]))


# Its tokenizer loads without a word about a type that transformers does not know.
AutoConfig.register(TALKER, Qwen3TTSConfig, exist_ok=True)
