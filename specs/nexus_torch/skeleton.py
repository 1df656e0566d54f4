"""Modules without their weights: parameters on the meta device, buffers real; weights put in and taken out again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from nexus_specs import NexusError
from torch import Tensor, nn

from . import first_calls as first_calls
from .sparing import Sparing, check_buffer

HARMLESS = frozenset({
    "__get__", "__set__", "size", "dim", "numel", "nelement", "stride", "is_floating_point", "is_complex",
    "element_size", "__repr__", "__len__", "__hash__", "data_ptr", "is_contiguous", "type", "untyped_storage",
    "requires_grad_", "_is_view",
})  # fmt: skip
"""What may be asked of a weight that is not there."""


_MAKING = threading.RLock()
"""What is changed while a module is made is the class of all."""


@contextmanager
def without_weights() -> Iterator[None]:
    """Modules made inside have parameters on the meta device and real buffers (rotary frequencies are in no file).

    A parameter becomes meta before anything is written to it, so its memory is never touched; a large one never has
    any, so that the experts of a model larger than this machine's memory are described. Tied parameters stay one
    object. NexusError for a buffer of more than HUGE numbers. Several threads take turns.
    """
    with _MAKING, _replaced(), Sparing():
        yield


@contextmanager
def _replaced() -> Iterator[None]:
    original, buffered = nn.Module.register_parameter, nn.Module.register_buffer

    def register(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta:
            parameter = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
        original(self, name, parameter)

    def register_buffer(self: nn.Module, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        check_buffer(tensor)
        buffered(self, name, tensor, persistent)

    nn.Module.register_parameter, nn.Module.register_buffer = register, register_buffer
    try:
        yield
    finally:
        nn.Module.register_parameter, nn.Module.register_buffer = original, buffered


def holders(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Every name of every tensor -> all names of the same tensor (tied weights have several holders)."""
    groups: dict[int, list[str]] = {}
    for names in (module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False)):
        for name, tensor in names:
            groups.setdefault(id(tensor), []).append(name)
    return {name: tuple(group) for group in groups.values() for name in group}


def put(module: nn.Module, name: str, tensor: Tensor, *, frozen: bool = True) -> None:
    """Puts a tensor in the place of a parameter or buffer of the same shape. NexusError if it does not fit."""
    path, _, leaf = name.rpartition(".")
    owner = module.get_submodule(path)
    if leaf in owner._buffers:
        owner._buffers[leaf] = tensor
        return
    old = owner._parameters.get(leaf)
    if old is None or old.shape != tensor.shape:
        expected = "no such weight" if old is None else f"{tuple(old.shape)}"
        raise NexusError(
            f"The weight '{name}' has the shape {tuple(tensor.shape)}; the model expects {expected}. "
            "The configuration does not belong to these weights: fetch config.json and weights from one place."
        )
    _hold(owner, leaf, nn.Parameter(tensor, requires_grad=not frozen and tensor.is_floating_point()))


def fill(
    module: nn.Module, tensors: Mapping[str, Tensor], tied: Mapping[str, tuple[str, ...]], *, frozen: bool = True
) -> None:
    """Puts tensors into all their holders (`tied` is `holders(module)`, taken when the module was bare).

    `frozen`: no gradients for them, ever. Where weights only run under `no_grad`, say False, as plain models have them:
    for states that lie turned (nn.MultiheadAttention turns them) torch multiplies with a frozen weight once for each
    token, from a copy of it for each (SigLIP 2 in bfloat16: 5.4 GB and 30 s instead of 8 MB and .1 s)."""
    for name, tensor in tensors.items():
        for place in tied.get(name, (name,)):
            put(module, place, tensor, frozen=frozen)


class Absent(nn.Parameter):
    """A weight that is not there, and says so when it is computed with.

    A plain meta tensor does not: torch 2.13 multiplies a CPU tensor with it and returns uninitialised memory.
    """

    name = ""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Attributes and shapes answer; arithmetic raises NexusError."""
        if getattr(func, "__name__", "") in HARMLESS:
            return super().__torch_function__(func, types, args, kwargs or {})
        missing = next((each.name for each in args if isinstance(each, Absent)), "of a layer")
        raise NexusError(
            f"The weight '{missing}' was used while its layer was not loaded: this model reaches into layers that are "
            "not running, so it cannot be streamed. Give it memory to be resident."
        )


def empty(module: nn.Module, names: Iterable[str], make: Callable[[Tensor], Absent] | None = None) -> None:
    """Takes parameters out again: `Absent` ones in their place, or what `make` gives for them. Buffers stay."""
    for name in names:
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        parameter = owner._parameters.get(leaf)
        if parameter is not None and not isinstance(parameter, Absent):
            gone = (make or _absent)(parameter)
            gone.name = name
            _hold(owner, leaf, gone)


def _absent(like: Tensor) -> Absent:
    return Absent(torch.empty_like(like, device="meta"), requires_grad=False)


def _hold(owner: nn.Module, leaf: str, parameter: nn.Parameter) -> None:
    """In the place of a parameter. Recurrent modules keep a second list of theirs."""
    owner._parameters[leaf] = parameter
    places = getattr(owner, "_flat_weights_names", ())
    if leaf in places:
        owner._flat_weights[places.index(leaf)] = parameter


def absent(module: nn.Module) -> list[str]:
    """Names of parameters that have no values."""
    return [name for name, parameter in module.named_parameters() if parameter.is_meta]
