"""Offloading: all weights in RAM as they are stored, a layer at a time in the dtype and on the device where it runs."""

from __future__ import annotations

from torch import Tensor

from .loading import Streamed
from .units import Unit


class Offloaded(Streamed):
    """Streams from memory: the files are read once, whatever passes through how often."""

    def _raw(self, unit: Unit) -> dict[str, Tensor]:
        if not hasattr(self, "stored"):
            self.stored: dict[str, dict[str, Tensor]] = {}
        if unit.path not in self.stored:
            self.stored[unit.path] = super()._raw(unit)
        return dict(self.stored[unit.path])

    def _send_for(self, path: str) -> None:
        if path not in getattr(self, "stored", {}):
            super()._send_for(path)

    def close(self) -> None:
        """Lets go of the weights too."""
        self.stored = {}
        super().close()
