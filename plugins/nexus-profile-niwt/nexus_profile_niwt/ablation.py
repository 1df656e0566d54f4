"""Mean-ablation: a layer's contribution gives way to its mean over the corpus."""

from __future__ import annotations

import torch
from torch import Tensor


class MeanAblation:
    """An edit of one layer: do(z := mean of z), where z = output - input is what a residual block adds; the whole
    output where the block changes its shape. Means are taken by position where there is no padding (patches, pixels),
    over all real tokens otherwise. (Zeroing instead would leave the manifold of what the model has ever seen.)

    >>> edit = MeanAblation("model.layers.3")
    >>> edit.name, edit.modules
    ('model.layers.3', ('model.layers.3',))
    """

    def __init__(self, path: str) -> None:
        self.name = path
        self.modules: tuple[str, ...] = (path,)
        self.total: Tensor | None = None
        self.count = 0

    def seen(self, path: str, inputs: Tensor, output: Tensor, mask: Tensor | None) -> None:
        """Adds an intact batch to the mean; float64."""
        added = contribution(inputs, output).double()
        if mask is not None:
            self._add(added[mask].sum(0), int(mask.sum()))
        else:
            self._add(added.sum(0), len(added))

    def apply(self, path: str, inputs: Tensor, output: Tensor) -> Tensor:
        """The input and the mean contribution."""
        assert self.total is not None, "the engine shows every intact batch first"
        mean = (self.total / self.count).to(output.dtype)
        return inputs + mean if inputs.shape == output.shape else mean.expand_as(output).clone()

    def _add(self, total: Tensor, count: int) -> None:
        if self.total is None:
            self.total, self.count = torch.zeros_like(total), 0
        if self.total.shape != total.shape:             # lengths differ from batch to batch: one mean for all places
            (self.total, self.count), (total, count) = (
                _merged(self.total, self.count, total), _merged(total, count, self.total)
            )  # fmt: skip
        self.total += total
        self.count += count


def _merged(total: Tensor, count: int, other: Tensor) -> tuple[Tensor, int]:
    """A sum, and of how many it is, without the axes in which another is unlike it: states [T, D], and those of a
    convolution over a sound, [D, T].

    >>> total, count = _merged(torch.ones(3, 5), 2, torch.ones(3, 4))
    >>> total.shape, count
    (torch.Size([3, 1]), 10)
    >>> _merged(torch.ones(3, 5), 2, torch.ones(5))[0].shape
    torch.Size([5])
    """
    while total.ndim > other.ndim:
        total, count = total.sum(0), count * len(total)
    inner = zip(range(-total.ndim, 0), total.shape, other.shape[other.ndim - total.ndim :], strict=True)
    for axis in [axis for axis, size, wanted in inner if size != wanted]:
        total, count = total.sum(axis, keepdim=True), count * total.shape[axis]
    return total, count


def contribution(inputs: Tensor, output: Tensor) -> Tensor:
    """What a block adds to the residual stream; all of its output where the shape changes."""
    return output - inputs if inputs.shape == output.shape else output
