"""A forward that runs without numbers, with what says what is where: masks and sizes are here, states are away. What
it holds is followed, by the stack whose layer runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from nexus_torch.onednn import halves

from .alive import Following
from .passing import Mixed

BESIDE = ""
"""The name of what comes before any layer."""


class Placed(Mixed):
    """A mask that is here picks as many states as it says."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.expand_as:                        # a mask as wide as states stays here
            return args[0].expand(args[1].shape)
        if func in (Tensor.to, torch.as_tensor) and (dtype := _kept(args, kwargs or {})):
            return args[0].to(dtype)
        if func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].is_meta:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (args[0], tuple(place for each in index for place in _picked(each)), *args[2:])
        return super().__torch_function__(func, types, args, kwargs)


def _kept(given: tuple[Any, ...], named: Mapping[str, Any]) -> torch.dtype | None:
    """What says what is where stays here, wherever it is sent: the dtype that it is to have."""
    told = given[0] if given else None
    if not isinstance(told, Tensor) or told.is_meta or told.is_floating_point():
        return None
    others = (*given[1:], *named.values())
    if any(isinstance(each, Tensor) for each in others):    # as another one is
        return None
    return next((each for each in others if isinstance(each, torch.dtype)), told.dtype)


def _picked(index: Any) -> tuple[Any, ...]:
    mask = isinstance(index, Tensor) and index.dtype is torch.bool and not index.is_meta
    return tuple(each.to("meta") for each in index.nonzero(as_tuple=True)) if mask else (index,)


@contextmanager
def ending(module: nn.Module) -> Iterator[None]:
    """While this lasts a forward ends before scores of words, which are made some rows at a time."""
    head = getattr(module, "get_output_embeddings", lambda: None)()
    hook = head.register_forward_pre_hook(_end) if isinstance(head, nn.Linear) else None
    try:
        with suppress(_AtTheHead):
            yield
    finally:
        if hook is not None:
            hook.remove()


@contextmanager
def unchecked() -> Iterator[None]:
    """While this lasts transformers does not compare how many places and states there are: numbers tell it."""
    check = torch._check_with
    torch._check_with = lambda *_: None
    try:
        yield
    finally:
        torch._check_with = check


class _AtTheHead(Exception):
    """All layers have run."""


def _end(*_: object) -> None:
    raise _AtTheHead


class Holding(Following):
    """Bytes, for each stack apart."""

    def __init__(
        self, module: nn.Module, paths: Mapping[str, Sequence[str]], beside: Sequence[str], given: Mapping[str, Any]
    ) -> None:
        super().__init__(module)
        self.beside, self.begun = beside, set[str]()
        self.behind: dict[str, int] = {}
        self.known |= {each.untyped_storage()._cdata for each in given.values() if isinstance(each, Tensor)}
        self.module, self.paths = module, paths
        self.inside: tuple[str, ...] = (BESIDE,)
        self.held: dict[str, int] = {}
        self.waits: dict[str, int] = {}
        self.handles: list[Any] = []

    def __enter__(self) -> Any:
        for path, layers in self.paths.items():
            for layer in layers:
                each, both = self.module.get_submodule(layer), (path, layer)
                self.handles.append(each.register_forward_pre_hook(lambda *_, both=both: self._enter(both)))
        for path in self.beside:
            each = self.module.get_submodule(path)
            self.handles.append(each.register_forward_pre_hook(lambda *_, path=path: self._pass(path)))
        return super().__enter__()

    def __exit__(self, *given: Any) -> None:
        for each in self.handles:
            each.remove()
        super().__exit__(*given)

    def follows(self, made: Tensor) -> bool:
        """Pictures too that are here."""
        return bool(made.is_meta or made.is_floating_point())

    def _enter(self, both: tuple[str, ...]) -> None:
        self.inside = both
        self.begun.add(both[0])
        self._wait(both[0])

    def _pass(self, path: str) -> None:
        self.behind.setdefault(path, len(self.begun))
        self._wait(path)

    def _wait(self, path: str) -> None:
        self._sweep()
        self.waits[path] = max(self.waits.get(path, 0), self._now())

    def _now(self) -> int:
        return sum(each.nbytes() for each in map(_there, self.live.values()) if each is not None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [each for each in tree_leaves((args, kwargs or {})) if isinstance(each, Tensor)]
        if given and not any(each.is_meta or each.is_floating_point() for each in given):
            return func(*args, **(kwargs or {}))            # what is here is small, but for pictures
        output = super().__torch_dispatch__(func, types, args, kwargs)
        there = self._now()
        if func is torch.ops.aten.convolution.default:
            there += _turned(args, output)
            output = _as_given(args[0], output)
        for path in self.inside:
            self.held[path] = max(self.held.get(path, 0), there)
        return output


def _turned(asked: tuple[Any, ...], made: Tensor) -> int:
    """What a convolution takes beside what it makes (peaks of its memory, measured for shapes of ResNets and decoders):
    nothing where it is a product. As oneDNN does it, what it is given as blocks, then what it makes as blocks, of
    sixteen bits once more, and nothing where channels stand last; without instructions for sixteen bits, each place's
    surroundings as a column, and what it is given once more where its order is neither (a sound's, behind a norm)."""
    given, weight, _, stride = asked[:4]
    if math.prod(weight.shape[2:]) == math.prod(stride) == 1:
        return 0
    narrow = made.itemsize < torch.float32.itemsize
    if narrow and not halves():
        transposed = bool(asked[6])
        places = given if transposed else made
        column = math.prod(weight.shape[1:])
        copied = 0 if given.is_contiguous() or _last(given) else given.nbytes
        return int(copied + column * places.numel() // places.shape[1] * made.itemsize)
    return 0 if _last(given) else max(int(given.nbytes), int(made.nbytes) * (2 if narrow else 1))


def _last(given: Tensor) -> bool:
    """Whether channels stand last in memory: states of patches that were turned into a picture (DPT)."""
    return given.ndim == 4 and given.is_contiguous(memory_format=torch.channels_last) and not given.is_contiguous()


def _as_given(given: Tensor, made: Tensor) -> Tensor:
    """What a convolution makes has its channels where it was given them, which it has not without numbers."""
    if not (_last(given) and made.is_meta and made.is_contiguous()):
        return made
    _, channels, height, width = made.shape
    return made.as_strided(made.shape, (made.stride(0), 1, width * channels, channels)) if height else made


def _there(known: tuple[int, int]) -> torch.UntypedStorage | None:
    """A storage; None where it is gone."""
    return torch.UntypedStorage._new_with_weak_ptr(known[0])
