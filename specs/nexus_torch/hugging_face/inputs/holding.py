"""What a forward over one sample holds beside weights while the layers of each stack run. As for texts and sounds its
own code runs on the meta device (`alive`, `passing`), here with the numbers that samples have: places of pictures in a
text, grids of patches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from nexus_specs import Blueprint, Sample
from nexus_specs.showing import shapes_of
from torch import Tensor, nn
from torch.fx.experimental import _config as symbolic
from torch.utils._pytree import tree_leaves

from .alive import Following
from .passing import Mixed

BESIDE = ""
"""The name of what is no layer's."""
PIXEL, COPIES = 4 + 3, 2
"""Bytes of a pixel as Pillow has it, and as numbers; how often a processor has what it makes (of each picture, and put
together)."""
LESS = 0.9
"""What a layer has of what the most of its stack has, if it is told by itself: the stages of a Swin grow narrower."""
DTYPES = (torch.bfloat16, torch.float32)
"""In which it runs, one time each: what a model turns into float32 itself is as wide in either."""


def held(module: Any, batch: Mapping[str, Any], paths: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, int]]:
    """Bytes by the path of a stack, "" for what is none's: (in bfloat16, in float32); empty where it does not run
    without numbers. Of layers that have less than others of their stack, by their own paths too. `paths` are the layers
    of each stack; `module` is on the meta device, and of no use behind it."""
    found: list[dict[str, int]] = []
    for dtype in DTYPES:
        given = {name: _meant(each, dtype) for name, each in batch.items()}
        most = dict.fromkeys((BESIDE, *paths), 0)
        with suppress(Exception), torch.no_grad(), symbolic.patch(meta_nonzero_assume_all_nonzero=True):
            module.to(dtype).eval()
            with _ending(module), _Holding(module, paths) as following, _Placed():
                module(**given)
            most |= following.held
            found.append(most)
    if len(found) < len(DTYPES):
        return {}
    most = {path: (found[0][path], found[1][path]) for path in (BESIDE, *paths)}
    every = ((path, layer) for path, layers in paths.items() for layer in layers if layer not in most)
    less = {layer: (found[0][layer], found[1][layer]) for path, layer in every
            if all(0 < each.get(layer, 0) < LESS * each[path] for each in found)}  # fmt: skip
    return most | less


def unmet(module: Any, batch: Mapping[str, Any], blueprint: Blueprint) -> tuple[str, ...]:
    """Paths of stacks, and of large modules beside them, that a forward does not run; none where it does not run
    without numbers. Scores are made behind what is looked at. `module` is on the meta device, and of no use behind
    it."""
    paths: dict[str, Sequence[str]] = {stack.path: stack.layers for stack in blueprint.stacks}
    head = getattr(module, "get_output_embeddings", lambda: None)()
    for each in blueprint.outside:
        own = {id(weight) for weight in module.get_submodule(each.path).parameters()}
        if head is None or own.isdisjoint(map(id, head.parameters())):
            paths[each.path] = [
                path for path, other in module.named_modules()
                if not own.isdisjoint(map(id, other.parameters(recurse=False)))
            ]  # fmt: skip
    found = held(module, batch, paths)
    return tuple(path for path in paths if path in found and not any(found[path]))


def given(batch: Mapping[str, Any]) -> int:
    """Of the tensors of a batch."""
    return sum(each.nbytes for each in batch.values() if isinstance(each, Tensor))


def making(sample: Sample, batch: Mapping[str, Any]) -> int:
    """Bytes that it takes to make a batch of a sample: its pictures as they are decoded, and what is made of them in
    float32, of which processors make copies."""
    shapes = [shape for value in sample.fields.values() for shape in shapes_of(value) if len(shape) > 1]
    return PIXEL * sum(math.prod(shape[:-1]) for shape in shapes) + COPIES * given(batch)


def _meant(given: Any, dtype: torch.dtype) -> Any:
    """Numbers that are computed with are away; those that say what is where are here."""
    return given.to("meta", dtype) if isinstance(given, Tensor) and given.is_floating_point() else given


class _Placed(Mixed):
    """A mask that is here picks as many states as it says."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.expand_as:                        # a mask as wide as states stays here
            return args[0].expand(args[1].shape)
        if func is Tensor.to and args[0].dtype is torch.bool:
            return args[0]
        if func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].is_meta:
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            args = (args[0], tuple(place for each in index for place in _picked(each)), *args[2:])
        return super().__torch_function__(func, types, args, kwargs)


def _picked(index: Any) -> tuple[Any, ...]:
    mask = isinstance(index, Tensor) and index.dtype is torch.bool and not index.is_meta
    return tuple(each.to("meta") for each in index.nonzero(as_tuple=True)) if mask else (index,)


@contextmanager
def _ending(module: nn.Module) -> Iterator[None]:
    """While this lasts a forward ends before scores of words, which are made some rows at a time."""
    head = getattr(module, "get_output_embeddings", lambda: None)()
    hook = head.register_forward_pre_hook(_end) if isinstance(head, nn.Linear) else None
    try:
        with suppress(_AtTheHead):
            yield
    finally:
        if hook is not None:
            hook.remove()


class _AtTheHead(Exception):
    """All layers have run."""


def _end(*_: object) -> None:
    raise _AtTheHead


class _Holding(Following):
    """Bytes, for each stack apart. What a convolution takes and makes it turns, and has twice."""

    def __init__(self, module: nn.Module, paths: Mapping[str, Sequence[str]]) -> None:
        super().__init__(module)
        self.module, self.paths, self.inside = module, paths, [(BESIDE,)]
        self.held: dict[str, int] = {}
        self.handles: list[Any] = []

    def __enter__(self) -> Any:
        for path, layers in self.paths.items():
            for layer in layers:
                each, both = self.module.get_submodule(layer), (path, layer)
                self.handles.append(each.register_forward_pre_hook(lambda *_, both=both: self.inside.append(both)))
                self.handles.append(each.register_forward_hook(lambda *_: self._left()))
        return super().__enter__()

    def __exit__(self, *given: Any) -> None:
        for each in self.handles:
            each.remove()
        super().__exit__(*given)

    def _left(self) -> None:
        self.inside.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = [each for each in tree_leaves((args, kwargs or {})) if isinstance(each, Tensor)]
        if given and not any(each.is_meta for each in given):
            return func(*args, **(kwargs or {}))            # what is here is small
        output = super().__torch_dispatch__(func, types, args, kwargs)
        there = sum(each.nbytes() for each in map(_there, self.live.values()) if each is not None)
        if func is torch.ops.aten.convolution.default:
            there += output.nbytes + args[0].nbytes
        for path in self.inside[-1]:
            self.held[path] = max(self.held.get(path, 0), there)
        return output


def _there(known: tuple[int, int]) -> torch.UntypedStorage | None:
    """A storage; None where it is gone."""
    return torch.UntypedStorage._new_with_weak_ptr(known[0])
