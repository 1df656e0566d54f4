"""Embeddings and heads that do not fit in memory: some of their rows at a time (`groups`), read once for all batches.

Every forward waits for the same rows, takes what it needs of them, and waits for the next. An embedding copies rows, so
nothing changes. A head gives some columns of its product at a time: each number is the same sum of the same products,
in an order that the kernel chooses by the size of the whole, so that the last bit may differ from the product at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import greenlet
import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

from ..memory.tracking import unnoted
from ..outputs.deferring import rows_at_once
from .groups import Wait

Rows = Iterator[tuple[int, Tensor]]
"""(first row, some rows [n, D]), one block after the other."""


def gathered(ids: Tensor, rows: Callable[[Callable[[int, int], bool]], Rows], like: Tensor) -> Tensor:
    """Rows of a table for ids of any shape: [...] -> [..., D]. Blocks that none of the ids lies in are not waited for;
    a forward that is brought back to where it was is given zeros, since its states are filled in afterwards."""
    run = greenlet.getcurrent()
    found = torch.zeros(*ids.shape, like.shape[-1], dtype=like.dtype, device=ids.device)

    def wanted(first: int, last: int) -> bool:
        return bool(((ids >= first) & (ids < last)).any())

    with unnoted(run):                                      # so that both ways make the same storages
        for first, block in () if getattr(run, "replaying", False) else rows(wanted):
            inside = (ids >= first) & (ids < first + len(block))
            found[inside] = embedding(ids[inside] - first, block)
    return found


def product(inputs: Tensor, rows: Rows, bias: Tensor | None, width: int) -> Tensor:
    """[..., D] -> [..., `width`], block by block: the whole of it is in memory, or spilled while the forward waits."""
    found: Tensor | None = None
    for first, block in rows:
        last = first + len(block)
        some = linear(inputs, block, None if bias is None else bias[first:last])
        if found is None:
            found = some.new_empty(*inputs.shape[:-1], width)
        found[..., first:last] = some
        del some
    assert found is not None
    return found


def expert_by_expert(inputs: Tensor, rows: Rows) -> Tensor:
    """[E, N, D] -> [E, N, F] with a weight of E experts, some of them at a time: the bits of one product of all. One
    row with one expert alone several threads would sum in another order, so that one is doubled."""
    found: Tensor | None = None
    for first, block in rows:
        here = inputs[first : first + len(block)]
        if len(block) == 1 < len(inputs) and inputs.shape[1] == 1:
            some = torch.bmm(here.expand(2, -1, -1), block.expand(2, -1, -1))[:1]
        else:
            some = torch.bmm(here, block)
        if found is None:
            found = some.new_empty(*inputs.shape[:2], some.shape[-1])
        found[first : first + len(block)] = some
        del some
    assert found is not None
    return found


def logprobs(blocks: Iterator[tuple[int, int, Callable[[Tensor], Tensor]]], states: Tensor, wanted: Tensor) -> Tensor:
    """Log-probability of one token for each state: [N, D], [N] -> [N], in one pass over the blocks of a vocabulary
    (first token, how many, states -> their logits). The sum of exponentials is kept relative to the largest logit so
    far (Milakov and Gimelshein 2018, arXiv 1805.02867)."""
    most = torch.full((len(states),), -torch.inf, device=states.device)
    total, observed = torch.zeros_like(most), torch.full_like(most, -torch.inf)
    for first, count, head in blocks:
        step = rows_at_once(count)
        for begin in range(0, len(states), step):
            here = slice(begin, begin + step)
            logits = head(states[here]).float()
            larger = torch.maximum(most[here], logits.amax(-1))
            base = torch.where(larger.isfinite(), larger, 0.0)
            total[here] = total[here] * (most[here] - base).exp() + (logits - base[:, None]).exp_().sum(-1)
            most[here] = larger
            places = wanted[here] - first
            inside = (places >= 0) & (places < count)
            chosen = logits.gather(-1, places.clamp(0, count - 1)[:, None])[:, 0]
            observed[here] = torch.where(inside, chosen, observed[here])
            del logits
    return observed - (torch.where(most.isfinite(), most, 0.0) + total.log())


def waiting() -> Wait | None:
    """How the forward that runs here waits; None where none is led by a hub."""
    found: Any = getattr(greenlet.getcurrent(), "need", None)
    return found  # type: ignore[no-any-return]
