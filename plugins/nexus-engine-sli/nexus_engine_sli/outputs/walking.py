"""Tensors inside what modules take and give: tuples, lists and mappings, in one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor


def tensors(value: object) -> Iterator[Tensor]:
    """All of them, in order.

    >>> import torch; one, two = torch.ones(1), torch.ones(2)
    >>> [len(each) for each in tensors({"a": (one, None), "b": [two, "word"]})]
    [1, 2]
    """
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple, Mapping)):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from tensors(each)
