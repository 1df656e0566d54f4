"""Weights that are not finite, found by what a layer gives, which costs next to nothing; what nobody sees the result of
is looked at itself. The error names the weight, the stored tensor that is to blame, and its file."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import torch
from nexus_specs import Checkpoint, Extent, NexusError, Part
from nexus_torch.files import DTYPES
from torch import Tensor, nn

from ..outputs.deferring import Deferred
from ..outputs.walking import tensors
from .stored import EXPERT

AT_ONCE = 64 << 20
"""Bytes of a stored tensor that are looked at at a time."""
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
Read = Callable[[Sequence[Extent]], Mapping[str, Tensor]]
"""Stored tensors, by key."""


def watch(output: object, otherwise: Callable[[], None]) -> None:
    """Calls `otherwise` where a tensor that a module gave is not finite: now, or when it is made. All of them are
    looked at: blocks of two streams give what is damaged beside what is not (SD3: text and picture)."""
    for given in tensors(output):
        if isinstance(given, Deferred):
            given.watch = lambda rows: None if finite(rows) else otherwise()
        elif not given.is_meta and not finite(given):
            otherwise()
            return


def finite(given: Tensor) -> bool:
    """Whether all numbers of a tensor are: by their sum, a tenth of the work of looking at each. One that overflows is
    a reason to look at the weights, no more."""
    return not given.is_floating_point() or math.isfinite(given.sum().item())


class Finder:
    """Finds the stored tensor behind a weight that is not finite, by reading what could be behind it once more."""

    def __init__(self, checkpoint: Checkpoint, read: Read) -> None:
        self.checkpoint, self.read = checkpoint, read

    def check(self, module: nn.Module, names: Iterable[str], part: Part) -> None:
        """NexusError for the first of these weights that is not finite; nothing where all are: some models give
        infinities where a mask hides them."""
        for name in sorted(names):
            weight = module.get_parameter(name)
            if not weight.is_meta:
                self.refuse(name, weight, part)
        inside = None
        with suppress(AttributeError):                      # some parts are of no module
            inside = module.get_submodule(part.path) if part.path else None
        for name, buffer in inside.named_buffers(part.path) if inside else ():
            if buffer.is_floating_point() and bool(buffer.isnan().any()):       # infinities may mask something
                self.refuse(name, buffer, part)

    def refuse(self, name: str, weight: Tensor, part: Part) -> None:
        """NexusError for a weight, or a part of one, that is not finite and was made of a part of the checkpoint."""
        if finite(weight) or bool(torch.isfinite(weight).all()):
            return
        found = self._blamed(name, part)
        where = f"in the tensor '{found.key}' of '{found.file}'" if found else f"read from {_files(part)}"
        raise NexusError(
            f"The weight '{name}' holds values that are not finite, {where}: fetch the file again. What was extracted "
            "stays."
        )

    def whole(self, module: nn.Module, parts: Iterable[Part]) -> None:
        """Likewise of a model that is there as a whole: of its layers first, then of what belongs to none."""
        modules = dict(module.named_modules())
        for part in sorted(parts, key=lambda each: not each.path):
            if inside := modules.get(part.path):
                names = [name for name, _ in inside.named_parameters(part.path, remove_duplicate=False)]
                self.check(module, names, part)

    def _blamed(self, name: str, part: Part) -> Extent | None:
        """The stored tensor with values that are not finite: the one of this name first. None where none is so by
        itself, or it cannot be read again."""
        ordered = sorted(part.extents, key=lambda each: (each.key != name, not name.endswith(each.key)))
        return next((each for each in ordered if self._damaged(each, part)), None)

    def _damaged(self, extent: Extent, part: Part) -> bool:
        with suppress(NexusError, KeyError):
            for piece in _pieces(extent):
                raw = self.read((piece,))
                if not all(map(_sound, raw.values())):
                    return True
                if not DTYPES[extent.dtype].is_floating_point:      # packed: by what a loader makes of it alone
                    return not self._sound_alone(replace(part, extents=(extent,)), raw)
        return False

    def _sound_alone(self, part: Part, raw: Mapping[str, Tensor]) -> bool:
        try:
            return all(map(_sound, self.checkpoint.assemble(part, raw).values()))
        except Exception:                                   # it takes others to make something of it
            return True


def unlike(part: Part, parts: Iterable[Part]) -> Extent | None:
    """The stored tensor of a part that has another shape than most of its like in the other layers, or among the
    experts: their names differ in numbers alone. None where all are alike."""
    shapes: dict[str, Counter[tuple[int, ...]]] = defaultdict(Counter)
    known = {extent.key: extent for each in parts for extent in each.extents}
    for extent in known.values():
        shapes[_NUMBER.sub("#", extent.key)][tuple(extent.shape)] += 1
    for key in dict.fromkeys(extent.key for extent in part.extents):
        like = shapes[_NUMBER.sub("#", key)] if key in known else Counter()
        if like and like.most_common(1)[0][1] > like[tuple(known[key].shape)]:
            return known[key]
    return None


def check_experts(checkpoint: Checkpoint) -> None:
    """NexusError where an expert lacks a tensor that it has in other layers: told from the names, before anything is
    read. Of packed experts some may be packed otherwise; those that lack it in every layer compute without (LongCat's
    zero experts), unless no layer beside has any."""
    held: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    files: dict[str, str] = {}
    for extent in (each for part in checkpoint.parts for each in part.extents):
        if found := EXPERT.match(extent.key):
            held[found["experts"]][int(found["number"])].add(extent.key[found.end() - 1 :])
            files[found["experts"]] = extent.file
    every: dict[tuple[str, int], set[str]] = defaultdict(set)
    layers = Counter(_NUMBER.sub("#", experts) for experts in held)
    for experts, each in held.items():
        kind = _NUMBER.sub("#", experts)
        for number, there in each.items():
            every[kind, number] |= there if layers[kind] > 1 else set().union(*each.values())
    for experts, each in held.items() if not checkpoint.blueprint.quantisation else ():
        for number, there in sorted(each.items()):
            if lacking := sorted(every[_NUMBER.sub("#", experts), number] - there):
                raise NexusError(
                    f"The checkpoint has no tensor '{experts}.{number}{lacking[0]}', which other experts have. More of "
                    f"'{experts}' lies in '{files[experts]}': fetch the files and their index again."
                )


def _sound(values: Tensor) -> bool:
    return not values.is_floating_point() or bool(torch.isfinite(values.float()).all())


def _pieces(extent: Extent) -> Iterable[Extent]:
    """A tensor of numbers in pieces, flat; a packed one, and one of a hub's file, as it is."""
    kind = DTYPES[extent.dtype]
    if not kind.is_floating_point or not Path(extent.file).is_file():
        yield extent
        return
    for start in range(extent.start, extent.stop, AT_ONCE):
        stop = min(start + AT_ONCE, extent.stop)
        yield replace(extent, start=start, stop=stop, shape=((stop - start) // kind.itemsize,))


def _files(part: Part) -> str:
    return ", ".join(map(repr, sorted({extent.file for extent in part.extents})[:3]))
