"""Offloading: all weights in RAM as they are stored, a layer at a time in the dtype and on the device where it runs."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..weights.unit import Unit
from .streamed import Streamed
from .transport import Coming


class Offloaded(Streamed):
    """Streams from memory: the files are read once, whatever passes through how often."""

    def __init__(self, *given: Any, **named: Any) -> None:
        self.stored: dict[str, dict[str, Tensor]] = {}
        super().__init__(*given, **named)

    def close(self) -> None:
        """Lets go of the weights too."""
        self.stored.clear()
        super().close()

    def _begin(self, unit: Unit) -> Coming:
        return Stored(self.stored, unit.path, None if unit.path in self.stored else super()._begin(unit))


class Stored:
    """Tensors that are in memory, or will be."""

    def __init__(self, stored: dict[str, dict[str, Tensor]], path: str, coming: Coming | None) -> None:
        self.stored, self.path, self.coming = stored, path, coming

    def tensors(self) -> dict[str, Tensor]:
        """By key; waits for them, and keeps them."""
        if self.coming is not None:
            self.stored[self.path], self.coming = self.coming.tensors(), None
        return dict(self.stored[self.path])
