"""The checkpoint of the talker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, NexusError, Sample, Signal
from nexus_torch.hugging_face.configuration.classes import skeleton
from nexus_torch.hugging_face.configuration.reading import family_config
from nexus_torch.hugging_face.weights.checkpoint import HuggingFaceCheckpoint
from nexus_torch.padding import Collated, mask_of, pad
from torch import Tensor, nn
from transformers import PreTrainedModel

from .prompting import prompt
from .talker import NOTHING, Qwen3TTSConfig, Qwen3TTSForConditionalGeneration, TalkerOutput

NEEDED = (
    "hidden_size", "text_hidden_size", "text_vocab_size", "num_code_groups", "code_predictor_config", "codec_pad_id",
    "codec_bos_id", "codec_think_id", "codec_nothink_id", "codec_think_bos_id", "codec_think_eos_id",
)  # fmt: skip
"""What talker_config must say."""
MARKS = ("tts_pad_token_id", "tts_bos_token_id", "tts_eos_token_id")
"""What config.json must say."""
TABLES = ("codec_language_id", "spk_id")
"""Tables of tokens by name."""


class TalkerCheckpoint(HuggingFaceCheckpoint):
    """Kind "checkpoint": text in, codes of speech out, teacher-forced over the codes that the sample has."""

    @classmethod
    def of(cls, home: Path) -> TalkerCheckpoint:
        """The checkpoint of a folder. NexusError where its configuration lacks what the stacks are made of."""
        config = family_config(home, Qwen3TTSConfig)
        lacking = [name for name in NEEDED if name not in config.talker_config]
        lacking += [name for name in MARKS if not isinstance(getattr(config, name, None), int)]
        if lacking:
            raise NexusError(f"'{home / 'config.json'}' lacks {', '.join(lacking)}. Fetch the file again.")
        _check_tokens(config, home / "config.json")
        found = cls(home, config)
        found.described = replace(found.described, gives=("codes",), head=Qwen3TTSForConditionalGeneration.__name__)
        return found

    def bare(self) -> PreTrainedModel:
        """The composition."""
        return skeleton(self.config, Qwen3TTSForConditionalGeneration)

    def skeleton(self) -> nn.Module:
        """The module on the meta device; its output has the state before the head."""
        return self.bare()

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """text_ids [B, T] and codes [B, T, G], padded on the right with nothing."""
        if not all("text" in sample.fields for sample in samples):
            raise NexusError(f"'{self.home.name}' takes text. Map a column to it: data.NAME.options.columns.")
        made = [prompt(sample, self.preprocessor.tokenizer, self.config).tensors() for sample in samples]
        mask = mask_of([len(text) for text, _ in made])
        text, codes = (pad([pair[place] for pair in made], NOTHING) for place in (0, 1))
        return Collated({"text_ids": text, "codes": codes, "attention_mask": mask.long()})

    def lengths(self, samples: Sequence[Sample]) -> None:
        """Length is not only the text's."""

    def read(self, output: TalkerOutput, batch: Batch) -> Signal:
        """Next-code logits over the first codes as a vocabulary; "codes": the other codes' logits [B, T, G - 1, V],
        zero where there is no frame."""
        mask = batch.get("attention_mask")
        outputs: dict[str, Any] = {"logits": output.logits}
        if output.code_logits is not None:
            outputs["codes"] = _in_place(output.code_logits, batch)
        return Signal(
            hidden=output.final,
            tokens=batch["codes"][..., 0].clamp(min=0),
            mask=None if mask is None else mask.bool(),
            outputs=outputs,
        )

    @torch.no_grad()
    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """Greedy: the codes [F, G] that follow each sample, until the end code or "max_new_tokens" frames (128)."""
        return [_spoken(module, self, sample) for sample in samples]


def _check_tokens(config: Qwen3TTSConfig, place: Path) -> None:
    """NexusError for a token of codes, of a voice, of a language or of text that has no row in its table."""
    told = config.talker_config
    text, codes = told["text_vocab_size"], told.get("vocab_size")
    named = [(name, value, codes) for name, value in told.items() if name.startswith("codec_") and name.endswith("_id")]
    tables = {name: told.get(name) or {} for name in TABLES}
    if wrong := next((name for name, table in tables.items() if not isinstance(table, Mapping)), None):
        raise NexusError(f"'{place}': talker_config.{wrong} is no table of names. Fetch the file again.")
    every = [
        *((f"talker_config.{name}", value, rows) for name, value, rows in named if name not in TABLES),
        *((f"talker_config.{name}.{key}", each[key], codes) for name, each in tables.items() for key in each),
        *((name, getattr(config, name), text) for name in MARKS),
    ]
    for name, value, rows in every:
        whole = isinstance(value, int) and not isinstance(value, bool) and isinstance(rows, int)
        if not whole or not 0 <= value < rows:
            raise NexusError(
                f"'{place}': {name} is {str(value)[:40]!r}; it is a token, a whole number below {rows}. Fetch the file "
                "again."
            )


def _in_place(found: Tensor, batch: Mapping[str, Any]) -> Tensor:
    codes: Tensor = batch["codes"]
    frames = (codes != NOTHING).all(-1)
    frames[:, 0] = False
    placed = found.new_zeros((*frames.shape, *found.shape[1:]))
    placed[frames.to(found.device)] = found
    return placed


def _spoken(module: Any, checkpoint: TalkerCheckpoint, sample: Sample) -> Tensor:
    """Frame after frame: the first code from the talker, the others one by one. Nothing is cached: it is for checks."""
    told = checkpoint.config.talker_config
    batch = checkpoint.collate([sample])
    codes, talker = batch["codes"], module.talker
    text = batch["text_ids"]
    limit, groups = int(sample.fields.get("max_new_tokens", 128)), codes.shape[-1]
    made: list[Tensor] = []
    for _ in range(limit):
        found = talker.model(inputs_embeds=talker.embed(text, codes)).last_hidden_state[:, -1]
        frame = torch.zeros(1, groups, dtype=torch.long)
        frame[:, 0] = talker.codec_head(found).argmax(-1)
        if int(frame[0, 0]) == int(told.get("codec_eos_token_id", NOTHING)):
            break
        for place in range(1, groups):
            frame[:, place] = talker.rest(found, frame)[:, place - 1].argmax(-1)
        made.append(frame[0])
        codes = torch.cat([codes, frame[:, None]], 1)
        text = torch.cat([text, torch.tensor([[checkpoint.config.tts_pad_token_id]])], 1)
    return torch.stack(made) if made else torch.zeros(0, groups, dtype=torch.long)
