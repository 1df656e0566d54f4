"""The checkpoint: two files become one module."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nexus_specs import Batch, Extent, NexusError, Part, Sample, Signal
from nexus_torch import hub
from nexus_torch.hugging_face.configuration.classes import skeleton
from nexus_torch.hugging_face.header import file_extents
from nexus_torch.hugging_face.weights.checkpoint import HuggingFaceCheckpoint
from nexus_torch.padding import Collated, mask_of, pad
from torch import Tensor, nn
from transformers import PreTrainedModel

from .layout import TEXT, mimi_settings, settings, sizes
from .model import DuplexOutput, PersonaPlexConfig, PersonaPlexForConditionalGeneration, configuration_of
from .names import MIMI_PREFIX, KyutaiNames
from .words import Words


class PersonaPlexCheckpoint(HuggingFaceCheckpoint):
    """Kind "checkpoint": a voice in (with what is said meanwhile), text and codes out."""

    prepares = Words

    @classmethod
    def of(cls, home: Path) -> PersonaPlexCheckpoint:
        """The checkpoint of a folder."""
        told = settings(home)
        model = {each.key: each for each in _stored(home, str(told["moshi_name"]))}
        found = cls(home, _configuration(home, told, sizes(told, model)))
        words = home / str(told.get("tokenizer_name", TEXT))
        known = _hashed(words) if words.is_file() else found.described.tokenizer
        found.described = replace(found.described, gives=("text", "codes"), tokenizer=known,
                                  missing=() if known else (words.name,))  # fmt: skip
        return found

    def bare(self) -> PreTrainedModel:
        """transformers' Moshi."""
        return skeleton(self.config, PersonaPlexForConditionalGeneration)

    def skeleton(self) -> nn.Module:
        """The module on the meta device; its output has the state before the head."""
        return self.bare()

    def stored(self) -> list[Extent]:
        """The tensors of both files; Mimi's with a prefix."""
        told = settings(self.home)
        mimi = _stored(self.home, str(told["mimi_name"]))
        renamed = [replace(each, key=MIMI_PREFIX + each.key) for each in mimi]
        return [*_stored(self.home, str(told["moshi_name"])), *renamed]

    def rules(self, module: PreTrainedModel) -> Any:
        """Kyutai's names."""
        return KyutaiNames(module)

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """Stored tensors by key -> the module's by full name."""
        found: dict[str, Tensor] = self.conversion.assemble(raw, self.targets)
        return found

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Fields "audio" (heard) with "rate", "speech" (own voice, silence without), "text" (a token a frame)."""
        heard = [self._sound(sample, "audio") for sample in samples]
        own = [self._sound(sample, "speech") for sample in samples]
        longest = max(len(each) for each in (*heard, *own))
        words = [self._words(str(sample.fields.get("text", ""))) for sample in samples]
        return Collated(
            {"input_ids": pad(words, self.config.text_padding), "input_values": _together(heard, longest),
             "own_values": _together(own, longest)},
            lengths=[len(each) for each in heard],
        )  # fmt: skip

    def lengths(self, samples: Sequence[Sample]) -> None:
        """Length is not only the text's."""

    def groups(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]]:
        """Each sample alone: a shorter sound would be filled up with silence, which it hears."""
        return [[at] for at in range(len(samples))]

    def read(self, output: DuplexOutput, batch: Batch) -> Signal:
        """Text logits frame by frame, with the state before them; "codes": logits of the codebooks [B, T, D, V]."""
        frames = output.logits.shape[1]
        lengths = getattr(batch, "side", {}).get("lengths") or [batch["input_values"].shape[-1]] * len(output.logits)
        longest = batch["input_values"].shape[-1]
        there = [max(1, -(-length * frames // longest)) for length in lengths]
        mask = torch.zeros(len(lengths), frames, dtype=torch.bool)
        mask[:, : max(there)] = mask_of(there)
        tokens = nn.functional.pad(batch["input_ids"], (0, frames), value=self.config.text_padding)[:, :frames]
        return Signal(hidden=output.final, tokens=tokens, mask=mask,
                      outputs={"logits": output.logits, "codes": output.audio_logits})  # fmt: skip

    @torch.no_grad()
    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """The likeliest text token of each frame, as text where there is a tokenizer, else as numbers."""
        batch = self.collate(samples)
        signal = self.read(module(**batch), batch)
        found = [row[mask].tolist() for row, mask in zip(signal.outputs["logits"].argmax(-1), signal.mask, strict=True)]
        said = [[token for token in row if token != self.config.text_padding and token > 0] for row in found]
        return [self.preprocessor.tokenizer.decode(row) for row in said] if self._tokenizer() else said

    def _words(self, text: str) -> Tensor:
        """Token ids of a text; none where there is no text."""
        return torch.tensor(self.preprocessor.tokenizer(text, add_special_tokens=False)["input_ids"] if text else [],
                            dtype=torch.long)  # fmt: skip

    def _sound(self, sample: Sample, field: str) -> Tensor:
        rate = self.config.audio_encoder_config.sampling_rate
        if field not in sample.fields:
            if field == "audio":
                raise NexusError(f"'{self.home.name}' takes audio. Map a column to it: data.NAME.options.columns.")
            return torch.zeros(1)
        if int(sample.fields.get("rate", rate)) != rate:
            raise NexusError(
                f"The audio of sample '{sample.key}' has {sample.fields['rate']} Hz, '{self.home.name}' hears at "
                f"{rate} Hz. Let the reader resample: data.NAME.options.rate: {rate}."
            )
        return torch.from_numpy(np.asarray(sample.fields[field], dtype=np.float32))


def _hashed(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _configuration(home: Path, told: Mapping[str, Any], size: Mapping[str, int]) -> PersonaPlexConfig:
    """NexusError where what config.json and Mimi's own file say does not fit the tensors."""
    try:
        config = configuration_of(size, told, mimi_settings(home, told))
        if len(config.delays) != size["streams"] + 1:
            raise ValueError(f"{len(config.delays)} delays for {size['streams'] + 1} streams")
    except NexusError:
        raise
    except Exception as error:  # whatever a class says about numbers that do not fit
        text = " ".join(str(error).split())[:300] or type(error).__name__
        raise NexusError(
            f"The configuration in '{home}' does not fit {told['moshi_name']}: {text}. Fetch both from one place."
        ) from error
    return config


def _stored(home: Path, name: str) -> list[Extent]:
    """The tensors of one file of the folder."""
    try:
        return file_extents(hub.place(home, name))
    except hub.HubError as error:
        raise NexusError(f"'{home}' has no {name}: a Moshi is its language model and its codec. Fetch it.") from error


def _together(sounds: Sequence[Tensor], length: int) -> Tensor:
    """[N_i] -> [B, 1, N], silence on the right."""
    return torch.stack([nn.functional.pad(each, (0, length - len(each))) for each in sounds])[:, None]
