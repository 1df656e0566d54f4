"""Bits per byte. Shapes: T tokens after the start token."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_specs import NexusError, Sample, Tap

from .bigram import Bigram
from .ratio import Ratio, numbers


class BitsPerByte(Ratio):
    """Kind "metric": -sum log2 p(token) over the bytes of the text; a row is [nats, bytes].

    Where a text is longer than a model's context, only the bytes up to the last token that it read count.
    """

    taps = (Tap(path="logprob"), Tap(path="spans"))
    factor = 1 / math.log(2)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "logprob" [T] of each sample; "spans" [T + 1, 2] say where reading ended, if they are given."""
        spans = outputs.get("spans") or [None] * len(samples)
        pairs = zip(samples, outputs["logprob"], spans, strict=True)
        return [self._row(sample, logprob, span) for sample, logprob, span in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The bits per byte of a bigram byte model of the training text."""
        model = Bigram(_bytes(sample) for sample in train if "text" in sample.fields)
        texts = [_bytes(sample) for sample in held_out if "text" in sample.fields]
        if not texts:
            raise NexusError("bits_per_byte has no held-out text to score: no sample has a field 'text'.")
        return model.nats(texts) * self.factor / sum(map(len, texts))

    def _row(self, sample: Sample, logprob: Any, span: Any) -> tuple[float, ...]:
        if not sample.fields.get("text"):
            return ()
        count = len(_bytes(sample))
        if span is not None and len(span):
            count = min(count, int(numbers(span).max()))
        return (-float(numbers(logprob).sum()), float(count))


def _bytes(sample: Sample) -> bytes:
    return str(sample.fields["text"]).encode("utf-8", "surrogatepass")
