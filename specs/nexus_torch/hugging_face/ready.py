"""Arguments that a sample already carries, as its processor gave them: joined to a batch, padded on the right.

A field that is named like an argument of the model's forward ("input_features", "pixel_values", "image_grid_thw")
is that argument, for this sample alone and with its batch dimension of one, so that arguments without a row for each
sample (patches of all pictures one after the other) join the same way. A list of numbers is one row, and so is an
array of one dimension but for a single number (`merge_sizes`), which is one for this sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from nexus_specs import NexusError, Sample
from torch import Tensor

from nexus_torch.padding import Collated


def ready(samples: Sequence[Sample], arguments: frozenset[str]) -> Collated:
    """The arguments that all of these samples carry, as a batch; empty where they carry none."""
    names = [name for name in samples[0].fields if name in arguments and _numbers(samples[0].fields[name])]
    rows = {name: [_row(sample, name) for sample in samples] for name in names}
    return Collated({name: join(each) for name, each in rows.items()})


def join(rows: Sequence[Tensor]) -> Tensor:
    """Tensors [n_i, ...] one after the other: [sum of n_i, ...], the other dimensions filled up with zeros."""
    shape = [max(each.shape[at] for each in rows) for at in range(1, rows[0].ndim)]
    result = rows[0].new_zeros(sum(len(each) for each in rows), *shape)
    first = 0
    for each in rows:
        inner = tuple(slice(size) for size in each.shape[1:])
        result[(slice(first, first + len(each)), *inner)] = each
        first += len(each)
    return result


def _numbers(value: Any) -> bool:
    return hasattr(value, "dtype") or (isinstance(value, (list, tuple)) and bool(value))


def _row(sample: Sample, name: str) -> Tensor:
    fields: Mapping[str, Any] = sample.fields
    try:
        array = np.asarray(fields[name])
        value = torch.from_numpy(np.ascontiguousarray(array)) if array.dtype != object else None
    except (KeyError, ValueError, TypeError):
        value = None
    if value is None:
        raise NexusError(
            f"The sample '{sample.key}' has no numbers under '{name}', which others of its batch have. "
            "Give every sample the same arguments, or none."
        )
    if value.is_floating_point():
        value = value.float()
    alone = value.shape == (1,) and hasattr(fields[name], "dtype") and not name.endswith("_ids")
    return value if value.ndim > 1 or alone else value.reshape(1, -1)   # alone: the batch is its only dimension
