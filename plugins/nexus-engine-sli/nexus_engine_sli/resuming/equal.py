"""Which observations are equal work, so that one may go on from another's states."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import torch
from nexus_specs import Budget, Checkpoint, Edit, Tap
from nexus_torch.identity import tensor_hash


def fingerprint(
    checkpoint: Checkpoint, taps: Sequence[Tap], budget: Budget, edits: Sequence[Edit] = (), order: Sequence[str] = ()
) -> str:
    """A hash of what decides the bits of an observation: weights by place and size, taps, edits by name, precision,
    batches, torch, threads, and what the memory divides, of the units in their order: experts in groups are multiplied
    one by one, and a head in blocks is summed by blocks."""
    stored = [
        [each.key, each.file, each.start, each.stop, each.dtype] for part in checkpoint.parts for each in part.extents
    ]
    digest = hashlib.sha256(json.dumps(stored).encode())
    for tap in taps:
        digest.update(tap.path.encode())
        if tap.basis is not None:
            digest.update(repr((tap.basis.scale, *map(tensor_hash, (tap.basis.mean, tap.basis.directions)))).encode())
    digest.update(repr([(edit.name, tuple(edit.modules)) for edit in edits]).encode())
    digest.update(repr((budget.precision, budget.micro_batch, budget.quantise, torch.__version__)).encode())
    digest.update(repr((torch.get_num_threads(), [unit for unit in order if "#" in unit])).encode())
    return digest.hexdigest()[:32]
