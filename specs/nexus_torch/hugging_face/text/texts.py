"""Texts to tokens as a checkpoint reads them, and their lengths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample
from nexus_specs.installed import STOPS
from transformers import PreTrainedConfig

from nexus_torch.padding import Collated
from nexus_torch.text import start_token, tokenise

from ..configuration.reading import text_part
from ..folder import configuration
from ..inputs.fields import TOKENIZER, check_fields
from ..inputs.makers import Makers
from .panics import hushed

FULL_LENGTH = frozenset({"siglip", "siglip2"})
"""Model types that see the padding of a text."""
RIGHT: Mapping[str, Any] = {"padding_side": "right"}
"""Whatever a tokenizer's file says: before a text, padding would move its positions, and stand where its first token is
looked for; what a text gives would depend on its batch."""
STARTS = ("bos_token_id", "eos_token_id", "cls_token_id")
"""What tokenizers and configurations call the tokens that may stand before a text, the usual one first."""


def begins(config: PreTrainedConfig) -> int | None:
    """The token that a configuration lets a text begin with; None where it names none that the model has."""
    text = text_part(config)
    said, rows = [getattr(text, name, None) for name in STARTS], getattr(text, "vocab_size", None)
    found = [each[0] if isinstance(each, list) and each else each for each in said]
    return next((each for each in found if isinstance(each, int) and isinstance(rows, int) and 0 <= each < rows), None)


class Texts(Makers):
    """What makes tokens of the texts of samples."""

    takes: tuple[str, ...]
    generative: bool
    context: int
    decoder_start: int | None
    begins: int | None = None
    """The token that stands before a text where the tokenizer's files name none."""

    @property
    def start(self) -> int:
        """The token that stands before a text. NexusError where neither tokenizer nor configuration has one."""
        words = self.tokenizer
        named = any(getattr(words, name, None) is not None for name in STARTS)
        return start_token(words) if named or self.begins is None else self.begins

    def text(self, samples: Sequence[Sample]) -> Collated:
        """A start token and right padding for decoders; the tokenizer's own special tokens for the rest."""
        texts = [str(sample.fields["text"]) for sample in samples]
        if self._pads_whole:
            return Collated(self._cut(lambda words: words(texts, return_tensors="pt", **self._whole)))
        if not self.generative or self.decoder_start is not None:
            limits = {"truncation": True, "max_length": self.context} if self.context else {}
            filled = {"padding": True, **RIGHT} if len(texts) > 1 else {}
            return Collated(self._cut(lambda words: words(texts, return_tensors="pt", **filled, **limits)))
        start = self.start
        found = self._cut(lambda words: tokenise(words, texts, start=start, limit=self.context))
        return Collated({"input_ids": found.ids, "attention_mask": found.mask.long()}, spans=found.spans)

    @property
    def _pads_whole(self) -> bool:
        """Whether texts are as long as the context, as they were when the model learned (SigLIP has no mask)."""
        return str(configuration(str(self.home)).get("model_type")) in FULL_LENGTH and bool(self.context)

    @property
    def _whole(self) -> dict[str, Any]:
        return {"padding": "max_length", "max_length": self.context, "truncation": True, **RIGHT}

    def lengths(self, samples: Sequence[Sample]) -> list[int] | None:
        """Tokens of each text, uncut; None for what is not text alone."""
        ready: list[Any] = [sample.fields.get("input_ids") for sample in samples]
        if self.takes == ("text",) and all(each is not None and np.ndim(each) for each in ready):
            return [int(np.shape(each)[-1]) for each in ready]
        if self.takes != ("text",) or not all("text" in sample.fields for sample in samples):
            return None
        texts = [str(sample.fields["text"]) for sample in samples]
        encoded = self._cut(lambda words: words(texts, add_special_tokens=False, return_attention_mask=False))
        return [len(ids) for ids in encoded["input_ids"]]

    def _cut(self, cut: Callable[[Any], Any]) -> Any:
        """What the tokenizer makes of texts."""
        words = self.tokenizer
        return self.guarded(lambda: cut(words))

    def guarded(self, work: Callable[[], Any]) -> Any:
        """NexusError for whatever a tokenizer raises of texts: its files are a stranger's, and the library that reads
        them panics, too."""
        try:
            with hushed(risk=self.risk):
                return work()
        except (NexusError, *STOPS):
            raise
        except BaseException as error:
            check_fields(self.home, *TOKENIZER)
            text = " ".join(str(error).split())[:300] or type(error).__name__
            raise NexusError(
                f"The tokenizer in '{self.home}' cannot cut these texts: {text}. Its files are damaged or of another "
                "model: fetch them from where the weights come from."
            ) from error
