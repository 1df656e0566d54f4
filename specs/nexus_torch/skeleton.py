"""Modules without their weights: parameters on the meta device, buffers real; weights put in and taken out again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from nexus_specs import NexusError
from torch import Tensor, nn


@contextmanager
def without_weights() -> Iterator[None]:
    """Modules made inside have parameters on the meta device and real buffers (rotary frequencies are in no file).

    A parameter becomes meta before anything is written to it, so its memory is never touched. Tied parameters stay
    one object. Not for several threads at once.
    """
    original = nn.Module.register_parameter

    def register(self: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None and not parameter.is_meta:
            parameter = nn.Parameter(parameter.detach().to("meta"), requires_grad=parameter.requires_grad)
        original(self, name, parameter)

    nn.Module.register_parameter = register  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = original  # type: ignore[method-assign]


def holders(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Every name of every tensor -> all names of the same tensor (tied weights have several holders)."""
    groups: dict[int, list[str]] = {}
    for names in (module.named_parameters(remove_duplicate=False), module.named_buffers(remove_duplicate=False)):
        for name, tensor in names:
            groups.setdefault(id(tensor), []).append(name)
    return {name: tuple(group) for group in groups.values() for name in group}


def put(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Puts a tensor in the place of a parameter or buffer of the same shape, frozen. NexusError if it does not fit."""
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
    owner._parameters[leaf] = nn.Parameter(tensor, requires_grad=False)


def fill(module: nn.Module, tensors: Mapping[str, Tensor], tied: Mapping[str, tuple[str, ...]]) -> None:
    """Puts tensors into all their holders (`tied` is `holders(module)`, taken when the module was bare)."""
    for name, tensor in tensors.items():
        for place in tied.get(name, (name,)):
            put(module, place, tensor)


def empty(module: nn.Module, names: Iterable[str]) -> None:
    """Takes parameters out again: meta in their place. Buffers stay."""
    for name in names:
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        if (parameter := owner._parameters.get(leaf)) is not None:
            owner._parameters[leaf] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)


def absent(module: nn.Module) -> list[str]:
    """Names of parameters that have no values."""
    return [name for name, parameter in module.named_parameters() if parameter.is_meta]
