"""What a forward over one sample holds beside weights while the layers of each stack run. As for texts and sounds its
own code runs on the meta device (`alive`, `passing`), here with the numbers that samples have: places of pictures in a
text, grids of patches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from nexus_specs import Blueprint, Sample
from nexus_specs.showing import shapes_of
from torch import Tensor
from torch.fx.experimental import _config as symbolic

from .rehearsing import BESIDE, Holding, Placed, ending, unchecked

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
    ran: list[Holding] = []
    for dtype in DTYPES:
        given = {name: _meant(each, dtype, here) for name, each in batch.items()}
        with suppress(Exception), torch.no_grad(), symbolic.patch(meta_nonzero_assume_all_nonzero=True), unchecked():
            module.to(dtype).eval()
            with ending(module), Holding(module, paths, beside, given) as following, Placed():
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
