"""What a forward over one sample holds beside weights while the layers of each stack run. As for texts and sounds its
own code runs on the meta device (`alive`, `passing`), here with the numbers that samples have: places of pictures in a
text, grids of patches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import torch
from nexus_specs import Blueprint, Sample
from nexus_specs.showing import shapes_of
from torch import Tensor, nn
from torch.fx.experimental import _config as symbolic
from torch.utils._pytree import tree_leaves

from .alive import Following
from .passing import Mixed

BESIDE = ""
"""The name of what comes before any layer."""
PIXEL, COPIES = 4 + 3, 2
"""Bytes of a pixel as Pillow has it, and as numbers; how often a processor has what it makes (of each picture, and put
together)."""
LESS = 0.9
"""What a layer has of what the most of its stack has, if it is told by itself: the stages of a Swin grow narrower."""
DTYPES = (torch.bfloat16, torch.float32)
"""In which it runs, one time each: what a model turns into float32 itself is as wide in either."""


class Held(NamedTuple):
    """Of one sample, in bfloat16 and in float32."""

    most: dict[str, tuple[int, int]]
    """Bytes by the path of a stack, "" before any layer; what is computed behind a layer and before the next one is
    there together with it, as its weights are. Of layers that have less than others of their stack, by their own paths
    too. Empty where it does not run without numbers."""
    waits: dict[str, tuple[int, int]]
    """Bytes at most where a layer of a stack begins, or a module beside layers, by its path: what waits while other
    samples pass through what is before it."""
    behind: dict[str, int]
    """Of modules beside layers, how many stacks have begun where they run first."""


NOTHING = Held({}, {}, {})


def held(
    module: Any, batch: Mapping[str, Any], paths: Mapping[str, Sequence[str]], beside: Sequence[str] = ()
) -> Held:
    """What a forward over a batch of one sample holds. `paths` are the layers of each stack, `beside` modules that come
    and go as layers do; `module` is on the meta device, and of no use behind it. Where it asks what pictures show
    (which of them are there only to fill a row), they are as they are until they meet weights."""
    found = _held(module, batch, paths, beside, here=False)
    return found if found.most else _held(module, batch, paths, beside, here=True)


def _held(
    module: Any, batch: Mapping[str, Any], paths: Mapping[str, Sequence[str]], beside: Sequence[str], *, here: bool
) -> Held:
    ran: list[_Holding] = []
    for dtype in DTYPES:
        given = {name: _meant(each, dtype, here) for name, each in batch.items()}
        with suppress(Exception), torch.no_grad(), symbolic.patch(meta_nonzero_assume_all_nonzero=True), _unchecked():
            module.to(dtype).eval()
            with _ending(module), _Holding(module, paths, beside, given) as following, _Placed():
                module(**given)
            ran.append(following)
    if len(ran) < len(DTYPES):
        return NOTHING
    both = [each.held for each in ran]
    most = {path: (both[0].get(path, 0), both[1].get(path, 0)) for path in (BESIDE, *paths)}
    every = ((path, layer) for path, layers in paths.items() for layer in layers if layer not in most)
    less = {layer: (both[0][layer], both[1][layer]) for path, layer in every
            if all(0 < each.get(layer, 0) < LESS * each[path] for each in both)}  # fmt: skip
    waits = {path: (ran[0].waits[path], ran[1].waits[path]) for path in ran[0].waits}
    return Held(most | less, waits, ran[0].behind)


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
    found = held(module, batch, paths).most
    return tuple(path for path in paths if path in found and not any(found[path]))


def given(batch: Mapping[str, Any]) -> int:
    """Of the tensors of a batch."""
    return sum(each.nbytes for each in batch.values() if isinstance(each, Tensor))


def making(sample: Sample, batch: Mapping[str, Any]) -> int:
    """Bytes that it takes to make a batch of a sample: its pictures as they are decoded, and what is made of them in
    float32, of which processors make copies."""
    shapes = [shape for value in sample.fields.values() for shape in shapes_of(value) if len(shape) > 1]
    return PIXEL * sum(math.prod(shape[:-1]) for shape in shapes) + COPIES * given(batch)


def _meant(given: Any, dtype: torch.dtype, here: bool) -> Any:
    """Numbers that are computed with are away, or here; those that say what is where are here."""
    if not isinstance(given, Tensor) or not given.is_floating_point():
        return given
    return given.to(given.device if here else "meta", dtype)


class _Placed(Mixed):
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


@contextmanager
def _unchecked() -> Iterator[None]:
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


class _Holding(Following):
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
            there += _turned(args[0], output)
        for path in self.inside:
            self.held[path] = max(self.held.get(path, 0), there)
        return output


def _turned(given: Tensor, made: Tensor) -> int:
    """What a convolution takes beside what it makes, as oneDNN does it: what it is given as blocks, then what it makes
    as blocks, of sixteen bits once more (peaks of its memory, measured for shapes of ResNets and decoders)."""
    blocks: int = made.nbytes * (2 if made.itemsize < torch.float32.itemsize else 1)
    return max(int(given.nbytes), blocks)


def _there(known: tuple[int, int]) -> torch.UntypedStorage | None:
    """A storage; None where it is gone."""
    return torch.UntypedStorage._new_with_weak_ptr(known[0])
