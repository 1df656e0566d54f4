"""One checkpoint seen twice: through transformers' plain forward with hooks, and through Nexus' loader and engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from nexus_specs import Budget, Installed, Piece, Sample, Tap, content_key
from nexus_torch.hugging_face.configuration import text_part
from torch import Tensor, nn

from .checkpoint import Tiny
from .following import follows, joined
from .inputs import run

States = dict[str, list[Tensor]]
"""What came out, by module path ("": the output of the model), once for each time that the module ran."""


def loaded(tiny: Tiny) -> Any:
    """What of the checkpoint runs, as plain transformers loads it. RuntimeError where it does not find what it saved
    itself."""
    try:
        whole, told = tiny.kind.from_pretrained(tiny.folder, dtype=torch.float32, output_loading_info=True)
    except AttributeError:                                  # a class that loads in its own way, and does not tell (Jev)
        whole, told = tiny.kind.from_pretrained(tiny.folder, dtype=torch.float32), {"missing_keys": ()}
    if lost := sorted(told["missing_keys"]):
        raise RuntimeError(f"transformers does not load {len(lost)} of the weights that it saved, such as {lost[0]}")
    module = whole.eval().get_submodule(tiny.part)
    for each in (module.config, text_part(module.config)):
        each.use_cache = False
    return module


def plain(module: nn.Module, paths: Sequence[str], batch: Mapping[str, Any]) -> tuple[States, Any]:
    """The states of these modules in transformers' own forward of a batch, and its output."""
    found: States = {}
    with _hooked(module, paths, found):
        output = run(module, batch)
    return joined(found) if follows(module) else found, output


class Collected:
    """A sink that keeps everything, in the order of its coming, as one flat tensor a piece."""

    def __init__(self) -> None:
        self.states: States = {}

    def put(self, piece: Piece) -> None:
        """Takes a copy: a model may write into what it passed on."""
        whole = torch.cat([each.flatten().float() for each in piece.values])
        self.states.setdefault(piece.tap, []).append(whole.clone() if len(piece.values) == 1 else whole)

    def flush(self) -> None:
        """Nothing is to be written."""


def observed(checkpoint: Any, tiny: Tiny, taps: Sequence[str], residency: Any) -> States:
    """The states of these taps through the engine."""
    samples = [Sample(key=content_key(each), fields=each) for each in tiny.samples]
    budget = Budget(residency=residency, micro_batch=len(samples))
    sink = Collected()
    with Installed().make("engine", "sli").load(checkpoint, budget) as teacher:
        torch.manual_seed(0)
        teacher.observe(samples, [Tap(path=path) for path in taps], sink)
    return sink.states


def difference(ours: States, theirs: States) -> float:
    """The largest difference of any state, as a share of the largest value of its tap; infinite for other shapes."""
    worst = 0.0
    for path, expected in theirs.items():
        found = ours.get(path, [])
        if len(found) != len(expected):
            return float("inf")
        for mine, other in zip(found, expected, strict=True):
            worst = max(worst, _apart(mine, other))
    return worst


def _apart(mine: Tensor, other: Tensor) -> float:
    ways = [other] if other.ndim not in (4, 5) else [other, other.flatten(2).transpose(1, 2)]
    return min(_distance(mine, each.float().flatten()) for each in ways)  # maps are observed position by position


def _distance(mine: Tensor, other: Tensor) -> float:
    if mine.shape != other.shape:
        return float("inf")
    if not mine.numel():
        return 0.0
    same = (mine == other) | (mine.isnan() & other.isnan())
    apart = torch.where(same, 0.0, (mine - other).abs())
    scale = max(1.0, float(np.nan_to_num(other[other.isfinite()].abs().max().item())) if other.isfinite().any() else 1)
    worst = float(apart.max()) / scale
    return worst if worst == worst else float("inf")


def first(value: Any) -> Tensor:
    """The tensor that a module passes on."""
    if isinstance(value, Tensor):
        return value
    items = list(value.values() if isinstance(value, Mapping) else value)
    found = next((item for item in items if isinstance(item, Tensor)), None)
    return first(next(item for item in items if isinstance(item, (tuple, list)))) if found is None else found


@contextmanager
def _hooked(module: nn.Module, paths: Sequence[str], found: States) -> Iterator[None]:
    def hook(path: str) -> Any:
        return lambda _, __, output: found.setdefault(path, []).append(first(output).clone())

    handles = [module.get_submodule(path).register_forward_hook(hook(path)) for path in paths]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
