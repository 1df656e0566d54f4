"""Rooms: where the weights of a checkpoint live while it runs, all at once or one layer at a time."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from nexus_specs import Checkpoint, NexusError, Part
from nexus_torch.skeleton import absent, empty, fill, holders
from torch import Tensor, nn

from .reading import read


class Room(Protocol):
    """Holds a module whose layers have weights when they run."""

    module: nn.Module

    def enter(self, path: str) -> None:
        """The layer `path` is next: its weights must be there when this returns."""

    def close(self) -> None:
        """Nothing runs any more."""


class Resident:
    """Everything at once."""

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        self.module = _bare(checkpoint, device)
        tied = holders(self.module)
        for part in checkpoint.parts:
            fill(self.module, _assembled(checkpoint, part, device), tied)
        _complete(self.module, "")

    def enter(self, path: str) -> None:
        """It is there already."""

    def close(self) -> None:
        """Nothing to wait for."""


class Streamed:
    """What belongs to no layer stays; layers come one at a time, and a thread reads the next one meanwhile."""

    def __init__(self, checkpoint: Checkpoint, device: str) -> None:
        self.checkpoint, self.device = checkpoint, device
        self.module = _bare(checkpoint, device)
        self.tied = holders(self.module)
        layers = {path for stack in checkpoint.blueprint.stacks for path in stack.layers}
        self.parts = {part.path: part for part in checkpoint.parts if part.path in layers}
        self.order = list(self.parts)
        self.inside: tuple[str, ...] = ()
        self.reader = ThreadPoolExecutor(1, thread_name_prefix="sli-read")
        self.coming: tuple[str, Future[dict[str, Tensor]]] | None = None
        self.read_bytes = 0
        for part in checkpoint.parts:
            if part.path not in self.parts:
                fill(self.module, self._take(part), self.tied)
        for part in self.parts.values():
            empty(self.module, _names(self.module, part.path))

    def enter(self, path: str) -> None:
        """Drops the layer that is there, brings this one, and sends for the one after it."""
        if path not in self.parts or path in self.inside:
            return
        empty(self.module, (name for old in self.inside for name in _names(self.module, old)))
        self.inside = (path,)
        fill(self.module, self._take(self.parts[path]), self.tied)
        _complete(self.module.get_submodule(path), path)
        later = self.order[self.order.index(path) + 1 :]
        if later:
            self.coming = later[0], self.reader.submit(read, self.parts[later[0]].extents)

    def close(self) -> None:
        """Waits for the reading thread."""
        self.reader.shutdown(wait=True, cancel_futures=True)

    def _take(self, part: Part) -> dict[str, Tensor]:
        coming, self.coming = self.coming, None
        raw = coming[1].result() if coming and coming[0] == part.path else read(part.extents)
        self.read_bytes += sum(extent.stop - extent.start for extent in part.extents)
        return _placed(self.checkpoint.assemble(part, raw).items(), self.device)


def _bare(checkpoint: Checkpoint, device: str) -> nn.Module:
    """The skeleton, its buffers on the device."""
    module = checkpoint.skeleton().eval()
    for each in module.modules():
        for name, buffer in each._buffers.items():
            if buffer is not None and not buffer.is_meta:
                each._buffers[name] = buffer.to(device)
    return module


def _assembled(checkpoint: Checkpoint, part: Part, device: str) -> dict[str, Tensor]:
    return _placed(checkpoint.assemble(part, read(part.extents)).items(), device)


def _placed(tensors: Iterable[tuple[str, Tensor]], device: str) -> dict[str, Tensor]:
    """Floating point as float32, on the device."""
    return {name: t.to(device, torch.float32) if t.is_floating_point() else t.to(device) for name, t in tensors}


def _names(module: nn.Module, path: str) -> list[str]:
    return [f"{path}.{name}" for name, _ in module.get_submodule(path).named_parameters()]


def _complete(module: nn.Module, path: str) -> None:
    if missing := absent(module):
        where = f"layer '{path}'" if path else "model"
        raise NexusError(
            f"The checkpoint has no weights for {len(missing)} tensors of the {where}: {', '.join(missing[:4])}"
            f"{' …' if len(missing) > 4 else ''}. Its config.json names a class that these weights do not fill: fetch "
            "both from one place, or name the class they were saved from in \"architectures\"."
        )
