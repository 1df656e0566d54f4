"""Rooms: where the weights of a checkpoint live while it runs. Here, all at once; `streamed` has a layer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from nexus_specs import Budget, Checkpoint, NexusError
from nexus_torch.precise import keeps_float32
from nexus_torch.skeleton import absent
from torch import Tensor, nn

from ..files.fetching import files_for
from ..files.reading import Reader
from ..memory.allocating import FINE, MAPPED, allow, map_large_blocks
from ..memory.buffers import Buffers
from ..memory.trimming import trim_between
from ..planning.pieces import fused
from ..planning.working import slack
from ..weights.checking import Finder
from ..weights.placing import Placing, bare


class Room(Protocol):
    """Holds a module whose layers have weights when they run."""

    module: nn.Module
    dtype: torch.dtype
    order: Sequence[str]
    """Paths of what is brought when it runs, in the order in which that is expected."""

    def enter(self, path: str) -> None:
        """The unit `path` is next: its weights must be there when this returns, and those of the one before may go."""

    def borrow(self, path: str) -> None:
        """Brings a unit beside the one that is inside."""

    def passed(self, path: str, output: object) -> None:
        """A unit gave an output."""

    def close(self) -> None:
        """Nothing runs any more."""


class Resident:
    """Everything at once."""

    def __init__(
        self, checkpoint: Checkpoint, device: str, dtype: torch.dtype = torch.float32, quantise: str = "",
        budget: Budget | None = None,
    ) -> None:  # fmt: skip
        packed = quantise or fused(checkpoint.blueprint)    # matrices that are made and dropped
        map_large_blocks(FINE if packed else MAPPED)
        self.dtype, self.order = dtype, ()
        self.module = bare(checkpoint, device, dtype)
        placing = Placing(checkpoint, self.module, device, keeps_float32(self.module))
        layers = {path for stack in checkpoint.blueprint.stacks for path in stack.layers}
        parts = sorted(checkpoint.parts, key=lambda part: part.path in layers)     # a large buffer first, which goes
        reader = Reader(files_for([part.extents for part in parts], budget, resident=True), Buffers(lately=1))
        finder = Finder(checkpoint, reader.read)
        try:
            for part in parts:
                names = placing.fill(part, reader.read(part.extents), part.path)
                if quantise and part.path in layers:        # packed, what is not finite would be
                    finder.check(self.module, set(names) & placing.weights, part)
                    quantised(self.module.get_submodule(part.path), quantise)
        finally:
            reader.close()
        complete(absent(self.module), "")
        trim_between(self.module, checkpoint.blueprint.parameters, slack(checkpoint.blueprint.bytes))

    def enter(self, path: str) -> None:
        """It is there already."""

    def borrow(self, path: str) -> None:
        """It is there already."""

    def passed(self, path: str, output: object) -> None:
        """Nothing to look after."""

    def close(self) -> None:
        """The heap may grow as usual again."""
        allow()


def quantised(layer: nn.Module, how: str) -> None:
    """Packs the weights of a layer in place."""
    from ..weights.quantising import quantise

    quantise(layer, how)


def packed(experts: Tensor, how: str) -> Tensor:
    """The weights of some experts, packed."""
    from ..weights.quantising import packed_experts

    return packed_experts(experts, how)


def complete(missing: Sequence[str], path: str) -> None:
    """NexusError where weights are missing, of a layer or ("") of what belongs to none."""
    if missing:
        where = f"layer '{path}'" if path else "model"
        raise NexusError(
            f"The checkpoint has no weights for {len(missing)} tensors of the {where}: {', '.join(missing[:4])}"
            f"{' …' if len(missing) > 4 else ''}. Its config.json names a class that these weights do not fill: fetch "
            "both from one place, or name the class they were saved from in \"architectures\"."
        )
