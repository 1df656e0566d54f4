"""A plain forward over a corpus, or over a part of it from which the whole follows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streaming.corpus import Case, Size, batches
from streaming.measuring import Taken, from_disk

Outputs = dict[str, list[Tensor]]
LEAST = 4
"""Batches that are run in any case: the first one may take longer."""


@dataclass
class Given:
    """What a contender is given, and the figures of its own."""

    folder: Path
    size: Size
    case: Case
    memory: int
    device: str = "cpu"
    share: int = 1
    """One batch of so many is run."""
    more: dict[str, Any] = field(default_factory=dict)
    ends: list[tuple[float, int]] = field(default_factory=list)
    """When each batch was over, and what had been read from the disk by then."""


def forwards(model: Any, given: Given, layers: Any) -> Outputs:
    """A plain module, batch by batch, with hooks for the states."""
    found: Outputs = {"logprob": [], "middle": [], "final": []}
    first = lambda output: output if isinstance(output, Tensor) else output[0]  # noqa: E731
    half, last = given.size.layers // 2, given.size.layers - 1
    hooks = [
        layers[half].register_forward_hook(lambda _, __, out: found["middle"].append(first(out).clone())),
        layers[last].register_forward_hook(lambda _, __, out: found["final"].append(first(out).clone())),
    ]
    given.ends.clear()
    with torch.no_grad():
        for tokens in islice(batches(given.size, given.case), _batches(given)):
            tokens = tokens.to(model.device)
            output = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False)
            found["logprob"].append(logprobs(output.logits, tokens))
            given.ends.append((time.perf_counter(), from_disk()))
    for hook in hooks:
        hook.remove()
    return found


def logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """Of each token after the first, one sample at a time: [B, T, V], [B, T] -> [B, T - 1]."""
    rows = []
    for scores, row in zip(logits, tokens, strict=True):
        scores = scores[:-1].float()
        rows.append(scores.gather(-1, row[1:, None])[:, 0] - scores.logsumexp(-1))
    return torch.stack(rows)


def whole(given: Given, taken: Taken) -> dict[str, Any]:
    """Seconds and bytes of the whole corpus, where a part was run: what was measured, and for every batch that is left
    what each one after the first took. Nothing where all was run."""
    total, run = -(-given.case.samples // given.case.micro_batch), len(given.ends)
    if given.share == 1 or not 1 < run < total:
        return {}
    seconds, read = (
        (last - first) / (run - 1) * (total - run) for first, last in zip(given.ends[0], given.ends[-1], strict=True)
    )
    return {
        "seconds": taken.seconds + seconds, "bytes_read": taken.bytes_read + read, "measured_seconds": taken.seconds,
        "measured_batches": f"{run} of {total}",
    }  # fmt: skip


def _batches(given: Given) -> int:
    total = -(-given.case.samples // given.case.micro_batch)
    return min(total, max(LEAST, total // given.share)) if given.share > 1 else total
