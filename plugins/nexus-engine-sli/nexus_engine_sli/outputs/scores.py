"""Next-token logits by sample: made when they are read, whole or in blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import torch
from nexus_specs import Signal
from nexus_torch.padding import real, stretch
from torch import Tensor

from ..weights.tables import logprobs
from .deferring import Deferred, rows_at_once, windows


class Scores(Sequence[Any]):
    """The logits [T, V] of each sample of a batch, on the CPU. Large ones are to be asked for by blocks
    (`Piece.blocks`) while the piece is taken: afterwards the head may be gone."""

    def __init__(self, signal: Signal, length: int, vocabulary: int = 0) -> None:
        self.signal, self.length, self.vocabulary = signal, length, vocabulary

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """The logits [T, V] of a sample; IndexError past the end."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self.length))]
        if not -self.length <= index < self.length:
            raise IndexError(index)
        blocks = list(self.blocks(index % self.length))
        return blocks[0] if len(blocks) == 1 else torch.cat(blocks)

    def blocks(self, index: int) -> Iterator[Tensor]:
        """The same, some rows [n, V] at a time."""
        return (block.cpu() for block in self.made(index))

    @torch.no_grad()
    def made(self, index: int) -> Iterator[Tensor]:
        """The same, where they are made: also by who kept the piece and reads it when the observation is over."""
        signal, given = self.signal, self.signal.outputs.get("logits")
        if given is None:
            yield from _through(signal.head, row(signal.hidden, signal.mask, index), self.vocabulary)
        elif isinstance(given, Deferred) and given.ndim == 3:
            yield from _windows(given, None if signal.mask is None else signal.mask[index], index)
        else:
            yield row(given, signal.mask, index)


def logprob(blocks: Iterable[Tensor], tokens: Tensor) -> Tensor:
    """Log-probability of each token after the first, given those before it: logits [T, V] in blocks, [T] -> [T - 1]."""
    found, at, wanted = [], 0, tokens[1:]
    for block in blocks:
        after = wanted[at : at + len(block)].to(block.device)
        scores = block[: len(after)].to(torch.float32, copy=True)
        observed = scores.gather(-1, after[:, None])[:, 0]
        found.append(observed - _logsumexp(scores, one_of_many=len(wanted) > 1))
        at += len(block)
        del block, after, scores                            # gone before the next block is made
    return found[0] if len(found) == 1 else torch.cat(found)


def logprob_in_columns(logits: Deferred, signal: Signal) -> list[Tensor]:
    """Likewise of a whole batch [B, T, V] whose head comes some columns at a time, so that it comes once for all."""
    tokens = signal.tokens.to(logits.states.device)
    wanted = tokens.roll(-1, -1)
    for at, kept in enumerate(signal.mask if signal.mask is not None else ()):
        if stretch(kept) is None:                           # the next token is not at the next position
            places = kept.nonzero()[:, 0].to(tokens.device)
            wanted[at, places[:-1]] = tokens[at, places[1:]]
    found = logprobs(logits.by_columns(), logits.states, wanted.reshape(-1)).reshape(tokens.shape)
    return [row(found, signal.mask, at)[:-1] for at in range(len(tokens))]


def row(values: Tensor, mask: Tensor | None, index: int) -> Tensor:
    """What one sample of a batch has, without padding."""
    return values[index] if mask is None else real(values[index], mask[index])


def _windows(given: Deferred, kept: Tensor | None, index: int) -> Iterator[Tensor]:
    """The rows of one sample of logits [B, T, V] that are to be made, without those of padding."""
    length = given.shape[1]
    places = range(length) if kept is None else stretch(kept)
    if places is not None:
        yield from given.windows(index * length + places.start, index * length + places.stop)
        return
    assert kept is not None
    at, wanted = 0, kept.bool().to(given.states.device)
    for block in given.windows(index * length, (index + 1) * length):
        yield block[wanted[at : at + len(block)]]
        at += len(block)


def _logsumexp(scores: Tensor, *, one_of_many: bool) -> Tensor:
    """[n, V], which is overwritten -> [n]: what `logsumexp` does, in place, so that nothing of its size is taken.
    Several threads sum a single row in another order than rows of many, so one of many is doubled."""
    if len(scores) == 1 and one_of_many:
        return _logsumexp(torch.cat([scores, scores]), one_of_many=False)[:1]
    most = scores.amax(-1, keepdim=True)
    most.masked_fill_(most.abs() == math.inf, 0)
    return scores.sub_(most).exp_().sum(-1).log_().add_(most[:, 0])


def _through(head: Any, states: Tensor, vocabulary: int) -> Iterator[Tensor]:
    """States [T, D] through a head, in windows of equal size."""
    size = rows_at_once(vocabulary) if vocabulary else len(states)
    if len(states) <= size:
        yield head(states)
        return
    for begin, start, stop in windows(0, len(states), len(states), size):
        yield head(states[begin : begin + size])[start:stop]
