"""What stands at each position before and while the talker speaks, as qwen-tts 0.1.1 lays it out for whole texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from nexus_specs import NexusError, Sample
from torch import Tensor

from .talker import NOTHING

ROLE = "<|im_start|>assistant\n"
INSTRUCTION = "<|im_start|>user\n{}<|im_end|>\n"


@dataclass
class Prompt:
    """Positions in the making: what text and which codes stand at each."""

    groups: int
    text: list[int] = field(default_factory=list)
    codes: list[list[int]] = field(default_factory=list)

    def add(self, text: int = NOTHING, code: int = NOTHING, frame: Sequence[int] | None = None) -> None:
        """One position: a text token, a first code, or a whole frame."""
        self.text.append(text)
        self.codes.append(list(frame) if frame is not None else [code] + [NOTHING] * (self.groups - 1))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """text_ids [T] and codes [T, G]."""
        return torch.tensor(self.text), torch.tensor(self.codes)


def prompt(sample: Sample, tokenizer: Any, config: Any) -> Prompt:
    """A sample's fields: "text"; and, each where it is there, "instruct" (the voice in words), "speaker", "language",
    "codes" (int [F, G], what was spoken)."""
    told, fields = config.talker_config, sample.fields
    made = Prompt(int(told["num_code_groups"]))

    def tokens(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    for token in tokens(INSTRUCTION.format(fields["instruct"])) if "instruct" in fields else ():
        made.add(token)
    for token in tokens(ROLE):
        made.add(token)
    tags = _tags(fields, told)
    for place, code in enumerate(tags):
        made.add(config.tts_bos_token_id if place + 1 == len(tags) else config.tts_pad_token_id, code)
    for token in (*tokens(str(fields["text"])), config.tts_eos_token_id):
        made.add(token, told["codec_pad_id"])
    made.add(config.tts_pad_token_id, told["codec_bos_id"])
    for frame in _frames(sample, made.groups, told):
        made.add(config.tts_pad_token_id, frame=frame)
    return made


def _tags(fields: Mapping[str, Any], told: Mapping[str, Any]) -> list[int]:
    """Language, then speaker, then padding."""
    language = _named(fields.get("language"), told.get("codec_language_id"), "language")
    speaker = _named(fields.get("speaker"), told.get("spk_id"), "speaker")
    begin, end = told["codec_think_bos_id"], told["codec_think_eos_id"]
    think = (
        [told["codec_nothink_id"], begin, end] if language is None else [told["codec_think_id"], begin, language, end]
    )
    return [*think, *([] if speaker is None else [speaker]), told["codec_pad_id"]]


def _named(name: Any, known: Mapping[str, int] | None, what: str) -> int | None:
    if name in (None, "", "auto"):
        return None
    table = {key.lower(): value for key, value in (known or {}).items()}
    if str(name).lower() not in table:
        raise NexusError(f"This checkpoint has no {what} '{name}'. It has: {', '.join(sorted(table)) or 'none'}.")
    return int(table[str(name).lower()])


def _frames(sample: Sample, groups: int, told: Mapping[str, Any]) -> list[list[int]]:
    if "codes" not in sample.fields:
        return []
    codes = np.asarray(sample.fields["codes"])
    if codes.ndim != 2 or codes.shape[1] != groups or codes.dtype.kind not in "iu" or (codes < 0).any():
        raise NexusError(
            f"The codes of sample '{sample.key}' are {list(codes.shape)}; whole numbers [frames, {groups}]."
        )
    rows = [told.get("vocab_size"), *[told["code_predictor_config"].get("vocab_size")] * (groups - 1)]
    for column, most in zip(codes.T, rows, strict=True):
        if isinstance(most, int) and (column >= most).any():
            raise NexusError(
                f"A code of sample '{sample.key}' is {int(column.max())}; this checkpoint has codes below {most}. They "
                "are of another tokenizer."
            )
    return [[int(code) for code in frame] for frame in codes]
