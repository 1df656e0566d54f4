"""A question with choices, for heads that score each choice: the question beside every one of them, as many rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nexus_specs import NexusError, Sample
from torch import Tensor

from nexus_torch.padding import Collated

from .collate import Preprocessor

QUESTIONS, CHOICES = ("text", "prompt"), "choices"
"""The fields of a question, and that of its choices."""


class ChoicePreprocessor(Preprocessor):
    """What makes arguments [1, choices, T] of one sample: a batch holds no other."""

    def likeness(self, sample: Sample) -> tuple[Any, ...]:
        """No sample is like another: each has as many rows as it has choices."""
        return (sample.key,)

    def _told(self, sample: Sample) -> Sample:
        """A question under the name of a text."""
        asked = next((name for name in QUESTIONS if sample.fields.get(name) is not None), "")
        told = {"text": sample.fields[asked]} if asked and asked != "text" else {}
        return super()._told(Sample(key=sample.key, fields={**sample.fields, **told}, domain=sample.domain))

    def text(self, samples: Sequence[Sample]) -> Collated:
        """The pairs as the tokenizer writes them: [choices, T]. NexusError for a sample without choices."""
        question, choices = str(samples[0].fields["text"]), texts(samples[0])
        if len(samples) > 1 or not choices:
            raise NexusError(
                f"'{self.home.name}' scores the choices of a question, and the sample '{samples[0].key}' has none. "
                f"Give it a list of texts as '{CHOICES}', beside its 'prompt' or 'text' (columns are mapped in "
                "data.NAME.options.columns)."
            )
        limits = {"truncation": True, "max_length": self.context} if self.context else {}
        pads = {"padding": len(choices) > 1}
        return Collated(self._cut(
            lambda words: words([question] * len(choices), choices, return_tensors="pt", **pads, **limits)
        ))  # fmt: skip

    def _fitting(self, batch: Collated) -> Collated:
        found = super()._fitting(batch)
        for name, value in list(found.items()):
            if isinstance(value, Tensor) and value.ndim == 2:
                found[name] = value[None]
        return found


def texts(sample: Sample) -> list[str]:
    """The choices of a sample: a list of texts, or a table with one under "text"."""
    said = sample.fields.get(CHOICES)
    said = said.get("text") if isinstance(said, dict) else said
    return [str(each) for each in said] if isinstance(said, (list, tuple)) else []
