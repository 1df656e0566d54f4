"""Arguments that a sample already carries, as its processor gave them: joined to a batch, padded on the right.

A field that is named like an argument of the model's forward ("input_features", "pixel_values", "image_grid_thw")
is that argument, for this sample alone and with its batch dimension of one, so that arguments without a row for each
sample (patches of all pictures one after the other) join the same way. A list of numbers is one row, and so is an
array of one dimension but for a single number (`merge_sizes`), which is one for this sample. Token ids of unequal
length come with a mask of what they are; samples that carry different things are no batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from nexus_specs import NexusError, Sample
from torch import Tensor

from nexus_torch.padding import Collated, mask_of

MASKS = {"input_ids": "attention_mask", "decoder_input_ids": "decoder_attention_mask"}
"""Tokens, and what says which of them are padding."""
MEDIA = ("input_values", "input_features", "pixel_values")
"""How arguments begin that are sounds and pictures."""


def ready(samples: Sequence[Sample], arguments: frozenset[str]) -> Collated:
    """The arguments that these samples carry, as a batch; empty where they carry none. NexusError for one that some of
    them carry and others do not."""
    names = dict.fromkeys(name for sample in samples for name in carried(sample, arguments))
    rows = {name: [_row(sample, name) for sample in samples] for name in names}
    batch = Collated({name: join(each) for name, each in rows.items()})
    for name, mask in MASKS.items():
        if _tokens(rows.get(name, ())) and mask not in batch and mask in arguments:
            lengths = [each.shape[1] for each in rows[name]]
            batch.update({mask: mask_of(lengths).long()} if len(set(lengths)) > 1 else {})
    if "decoder_attention_mask" in batch and _tokens(rows.get("decoder_input_ids", ())):
        batch.side["decoder_mask"] = batch["decoder_attention_mask"].bool()
    return batch


def carried(sample: Sample, arguments: frozenset[str]) -> list[str]:
    """Names of the arguments that a sample carries."""
    return [name for name, value in sample.fields.items() if name in arguments and _numbers(value)]


def likeness(sample: Sample, arguments: frozenset[str]) -> tuple[Any, ...]:
    """Equal for samples that may be one batch: of those that carry the same arguments, in the same shape what would be
    padded without a mask of the states that come of it: tokens have one where the forward takes it; sounds and
    pictures have one of samples or pixels at most."""
    names = sorted(carried(sample, arguments))
    masked = any("mask" in name for name in names)
    shapes = [
        _row(sample, name).shape[1:] for name in names
        if (name in MASKS and not masked and MASKS[name] not in arguments) or name.startswith(MEDIA)
    ]  # fmt: skip
    return (*names, *shapes)


def _tokens(rows: Sequence[Tensor]) -> bool:
    """Whether there are rows of tokens, one a sample."""
    return bool(rows) and all(each.ndim == 2 and len(each) == 1 for each in rows)


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
