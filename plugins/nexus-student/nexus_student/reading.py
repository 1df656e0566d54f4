"""Texts in, by one tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nexus_specs import NexusError, Sample
from nexus_torch.padding import Collated
from nexus_torch.text import start_token, tokenise, tokenizer_hash

from .cores import read_tokenizer


@dataclass(frozen=True)
class TextReader:
    """A tokenizer with what goes with it: the start token, and the longest text in tokens (0: no limit)."""

    tokenizer: Any
    limit: int = 0

    @cached_property
    def start(self) -> int:
        """The id before every text."""
        return start_token(self.tokenizer)

    @cached_property
    def hash(self) -> str:
        """Equal hash, same tokens."""
        return tokenizer_hash(self.tokenizer)

    @property
    def words(self) -> int:
        """Size of the vocabulary."""
        return len(self.tokenizer)

    @classmethod
    def of(cls, folder: Path, limit: int = 0) -> TextReader:
        """The reader of a folder that holds a tokenizer."""
        tokenizer = read_tokenizer(folder)
        if tokenizer is None:
            raise NexusError(
                f"'{folder}' holds no tokenizer, and the teacher reads text. Run `nexus run --stage profile`."
            )
        return cls(tokenizer, limit)


def text_batch(reader: TextReader | None, samples: Sequence[Sample], **fixed: Any) -> Collated:
    """Right-padded texts as the arguments of one forward; `fixed` are further ones. Causal attention needs no mask."""
    if reader is None:
        raise NexusError("The core has no tokenizer, so it reads no text. Start it from a checkpoint or text teachers.")
    tokens = tokenise(
        reader.tokenizer, [sample.fields["text"] for sample in samples], start=reader.start, limit=reader.limit
    )
    return Collated(
        {"input_ids": tokens.ids, "signal": True} | {name: value for name, value in fixed.items() if value},
        keys=tuple(sample.key for sample in samples),
        mask=tokens.mask,
        spans=tokens.spans,
    )
