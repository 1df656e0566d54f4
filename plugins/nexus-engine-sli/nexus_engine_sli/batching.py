"""Samples to micro-batches: which pass together is decided by the samples alone, so that the same batches pass on every
machine, and when an extraction goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from nexus_specs import Checkpoint, Sample

from .calling import narrowed
from .running.streaming import MicroBatch

BATCHES_AT_ONCE = 32
"""Micro-batches that are grouped together where each is on its own: with 8 samples each, a shard of 256. So the same
batches pass when an extraction that was stopped goes on at the next shard."""
SMALL, MORE = 1 << 13, 8
"""Numbers of a picture, clip or film of which more pass together, and how many times more: calls, not arithmetic, are
what running such samples costs. A rule of the samples alone, so that the same batches pass on every machine."""

LONG = 1024
"""Tokens from which on a text passes with its equals alone: it gains nothing from company, and a batch that is padded
keeps a mask of tokens x tokens for each of its texts while it waits: 36 MB at 6000."""


class Batching:
    """The micro-batches of a checkpoint's samples."""

    def __init__(self, checkpoint: Checkpoint, micro_batch: int, dtype: torch.dtype = torch.float32) -> None:
        """`dtype` is that of weights, in which tensors of samples wait: pictures of a corpus take more than states."""
        self.checkpoint, self.micro_batch, self.dtype = checkpoint, micro_batch, dtype

    def chunked(self, samples: Iterable[Sample]) -> Iterator[MicroBatch]:
        """The batches, made when they are asked for."""
        for chunk in _chunks(samples, self.micro_batch * BATCHES_AT_ONCE):
            yield from self.batches(chunk)

    def batches(self, samples: Sequence[Sample]) -> Iterator[MicroBatch]:
        """Likewise, of samples that are grouped together."""
        for chunk in self.grouped(samples):
            batch = narrowed(self.checkpoint.collate(chunk), self.dtype)
            yield MicroBatch(tuple(sample.key for sample in chunk), batch)

    def grouped(self, samples: Sequence[Sample]) -> Iterator[list[Sample]]:
        """Micro-batches; a checkpoint whose batches must be of one kind says which samples go together."""
        groups = getattr(self.checkpoint, "groups", None)
        for group in groups(samples) if groups and samples else [range(len(samples))]:
            together, lengths = self.by_length([samples[index] for index in group])
            size = self.micro_batch * (MORE if all(map(_small, together)) else 1)
            yield from _alike(together, lengths, size) if lengths else _chunks(together, size)

    def by_length(self, samples: list[Sample]) -> tuple[list[Sample], list[int]]:
        """Samples of like length beside each other, and their lengths, where the checkpoint knows them: a fifth less is
        padding."""
        lengths = getattr(self.checkpoint, "lengths", None)
        known = lengths(samples) if lengths and self.micro_batch > 1 and len(samples) > 1 else None
        if known is None:
            return samples, []
        order = sorted(range(len(samples)), key=known.__getitem__)
        return [samples[index] for index in order], [known[index] for index in order]


def _small(sample: Sample) -> bool:
    """Whether a sample holds media, and little of it; token ids are no media, and as long as one likes."""
    found = {name: value for name, value in sample.fields.items() if hasattr(value, "shape")}
    tokens = any(name.endswith(("ids", "mask")) or _are_ids(value) for name, value in found.items())
    size = sum(math.prod(each.shape) for each in found.values())
    return not tokens and "text" not in sample.fields and 0 < size <= SMALL


def _are_ids(value: Any) -> bool:
    """Whether an array is one row of whole numbers: no picture, and no sound."""
    return len(value.shape) < 2 and "float" not in str(value.dtype)


def _chunks(items: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, max(1, size))):
        yield chunk


def _alike(samples: Sequence[Sample], lengths: Sequence[int], size: int) -> Iterator[list[Sample]]:
    """As `_chunks`, of samples in the order of their lengths; long ones beside those of the same length alone."""
    chunk: list[Sample] = []
    first = 0
    for sample, length in zip(samples, lengths, strict=True):
        if chunk and (len(chunk) == size or (length >= LONG and length != first)):
            yield chunk
            chunk = []
        first = first if chunk else length
        chunk.append(sample)
    if chunk:
        yield chunk
