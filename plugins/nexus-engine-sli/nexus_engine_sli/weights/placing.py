"""Tensors on their way from a file into a module: dtype, device, and memory of their own where they stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from nexus_specs import Checkpoint, NexusError, Part
from nexus_torch.making import Making
from nexus_torch.skeleton import fill, holders
from torch import Tensor, nn

from .checking import unlike


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Modules made inside have this dtype where they do not choose one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def bare(checkpoint: Checkpoint, device: str, dtype: torch.dtype) -> nn.Module:
    """The skeleton in a dtype, its buffers on the device."""
    with default_dtype(dtype):
        module = checkpoint.skeleton().eval()
    for each in module.modules():
        for name, buffer in each._buffers.items():
            if buffer is not None and not buffer.is_meta:
                each._buffers[name] = buffer.to(device)
    return module


class Placing:
    """Fills a module with the tensors of its parts."""

    def __init__(self, checkpoint: Checkpoint, module: nn.Module, device: str, float32: Callable[[str], bool]) -> None:
        self.checkpoint, self.module, self.device = checkpoint, module, device
        self.tied: Mapping[str, tuple[str, ...]] = holders(module)
        kinds = {name: each.dtype for name, each in (*module.named_parameters(), *module.named_buffers())}
        self.kinds = {name: torch.float32 if float32(name) else kind for name, kind in kinds.items()}
        self.buffers = {name for name, _ in module.named_buffers()}
        self.weights = self.kinds.keys() - self.buffers

    def fill(self, part: Part, raw: Mapping[str, Tensor], path: str) -> list[str]:
        """Puts what a loader makes of stored tensors into the module; -> the names. NexusError names the file."""
        made = self.made(part, raw, path)
        self.put(part, made, path)
        return list(made)

    def put(self, part: Part, made: Mapping[str, Tensor], path: str) -> None:
        """Puts weights into the module, under all their names. NexusError names the file."""
        try:
            fill(self.module, made, self.tied, frozen=False)
        except NexusError as error:
            raise NexusError(f"{error} {self._origin(part, path)}") from error

    def made(self, part: Part, raw: Mapping[str, Tensor], path: str) -> dict[str, Tensor]:
        """What a loader makes of stored tensors, by full name, placed. NexusError names the file."""
        try:
            made = self.checkpoint.assemble(part, raw)
            placed = {name: self._placed(name, self._one(made, name)) for name in made}
            return _apart(placed, raw, {name for name in placed if self.lasts(name, path)})
        except NexusError as error:
            raise NexusError(f"{error} {self._origin(part, path)}") from error
        except (RuntimeError, ValueError) as error:
            raise NexusError(
                f"Tensors do not fit together ({error}). {self._origin(part, path)} Fetch config.json and weights from "
                "one place."
            ) from error

    def lasts(self, name: str, path: str) -> bool:
        """Whether a weight outlives its unit: others hold it too."""
        others = any(not each.startswith(f"{path}.") for each in self.tied.get(name, ()))
        return bool(path) and (name in self.buffers or others)

    def _one(self, made: Mapping[str, Tensor], name: str) -> Tensor:
        """One of them; experts of a pack in the dtype in which they stay, if their loader can."""
        kind = self.kinds.get(name) or self._kind(name)
        return made.of(name, kind) if isinstance(made, Making) and kind.is_floating_point else made[name]

    def _placed(self, name: str, tensor: Tensor) -> Tensor:
        """On the device, in the module's dtype."""
        placed = tensor.to(self.device, non_blocking=True)
        kind = self.kinds.get(name) or self._kind(name)
        if name in self.weights and kind.is_floating_point and not tensor.is_floating_point():
            raise NexusError(
                f"The tensor '{name}' holds {str(tensor.dtype).removeprefix('torch.')}, and the model computes with "
                "floating-point weights there: it is packed in a way of which config.json says nothing "
                "(quantization_config). Fetch both from one place."
            )
        if tensor.is_floating_point():
            placed = placed.to(kind if kind.is_floating_point else torch.float32)
        return placed

    def _origin(self, part: Part, path: str) -> str:
        """Whose tensors they are, and which one is to blame, if that can be told."""
        what = f"They are of '{path}'" if path else "They belong to no layer"
        if (odd := unlike(part, self.checkpoint.parts)) is not None:
            return f"{what}; the tensor '{odd.key}' of '{odd.file}' has another shape {list(odd.shape)} than its like."
        tensors = ", ".join(f"'{each.key}' of '{each.file}'" for each in part.extents[:3])
        return f"{what}: {tensors}{' …' if len(part.extents) > 3 else ''}."

    def _kind(self, name: str) -> torch.dtype:
        known = (self.kinds[each] for each in self.tied.get(name, ()) if each in self.kinds)
        return next(known, torch.get_default_dtype())


def _apart(made: Mapping[str, Tensor], raw: Mapping[str, Tensor], lasting: Collection[str]) -> dict[str, Tensor]:
    """Weights, of which some get memory of their own: norms would hold the buffer with all that was packed, and what
    outlives its layer the buffer of the layer. What is most of what was read stays where it is."""
    read = {each.untyped_storage().data_ptr() for each in raw.values()}
    there = {name for name, each in made.items() if not each.is_meta and each.untyped_storage().data_ptr() in read}

    def most(names: Collection[str]) -> bool:
        return 2 * sum(made[name].nbytes for name in names) >= sum(each.nbytes for each in raw.values())

    own = there
    if most(there):
        own = set() if most(there.intersection(lasting)) else there.intersection(lasting)
    return {name: each.clone() if name in own else each for name, each in made.items()}


def one_by_one(module: nn.Module) -> None:
    """Lets experts run one after the other, so that they can come in groups, instead of all in one product."""
    for each in module.modules():
        config = getattr(each, "config", None)
        if hasattr(config, "_experts_implementation"):
            config._experts_implementation = "eager"
