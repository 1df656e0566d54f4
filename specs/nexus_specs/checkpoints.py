"""Protocol of a checkpoint: what a loader opens, an engine runs and a lookup hands on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .data import Sample
from .models import Blueprint, Part
from .observation import Batch, Signal

if TYPE_CHECKING:
    from torch.nn import Module


class Checkpoint(Protocol):
    """Names and meaning of the weights. Reading, quantising and placing them is the engine's: every loader streams.

    One whose samples differ in what they show may have `shown(samples, paths)`: a Shown (or None), from which memory is
    predicted in place of the most that its blueprint says may come. `paths` are modules that are looked at."""

    blueprint: Blueprint
    parts: tuple[Part, ...]
    """In the order in which the forward visits them; what belongs to no layer comes first."""

    def skeleton(self) -> Module:
        """The module on the meta device, with its own forward."""

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stored tensors by key -> the skeleton's tensors by full parameter name."""

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """Through its own tokenizer or processor; right-padded; text begins with a start token."""

    def read(self, output: Any, batch: Batch) -> Signal:
        """The forward's output in standard terms."""

    def generate(self, module: Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """One answer for each sample (greedy)."""

    def save_preprocessor(self, folder: Path) -> None:
        """Writes tokenizer or processor files, never weights: what training needs when the teacher is closed."""
