"""One checkpoint seen twice: through transformers' plain forward with hooks, and through Nexus' loader and engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import nexus_engine_sli.batching
import nexus_engine_sli.weights.units
import numpy as np
import torch
from nexus_specs import Budget, Installed, Piece, Sample, Tap, content_key
from nexus_torch.hugging_face.configuration.reading import text_part
from nexus_torch.hugging_face.inputs.seeing import hidden_patch
from torch import Tensor, nn

from .checkpoint import Tiny
from .following import follows, joined
from .inputs import run
from .making import Arguments

TABLE = 1 << 10
"""Bytes of an embedding or a head that comes and goes on its own: those of real models do, so those here do, too."""
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
    if hidden_patch(module.config):
        module.config.mask_ratio = 0.0                      # the loader's hides no patches: what is seen is no chance
    return module


def plain(module: nn.Module, paths: Sequence[str], batch: Mapping[str, Any]) -> tuple[States, Any]:
    """The states of these modules in transformers' own forward of a batch, and its output."""
    found: States = {}
    with _hooked(module, paths, found):
        output = run(module, batch)
    return joined(found) if follows(module) else found, output


class Collected:
    """A sink that keeps everything, in the order of its coming, as one flat tensor a piece."""

    def __init__(self, batches: Mapping[str, int]) -> None:
        """`batches`: key of a sample -> the number of its batch."""
        self.states: States = {}
        self.batches = batches

    def put(self, piece: Piece) -> None:
        """Takes a copy: a model may write into what it passed on. ValueError for a piece of another length than its
        keys, which no sink can take apart."""
        if len(piece.keys) != len(piece.values):
            raise ValueError(f"a piece of {piece.tap} has {len(piece.keys)} keys and {len(piece.values)} values")
        whole = torch.cat([each.flatten().float() for each in piece.values])
        batch = self.batches[piece.keys[0]]
        path = f"{piece.tap} of batch {batch}" if batch else piece.tap
        self.states.setdefault(path, []).append(whole.clone() if len(piece.values) == 1 else whole)

    def flush(self) -> None:
        """Nothing is to be written."""


def observed(
    checkpoint: Any, arguments: Sequence[Arguments], together: int, taps: Sequence[str], residency: Any,
    table: int = TABLE,
) -> States:  # fmt: skip
    """The states of these taps through the engine, `together` samples a batch; small ones stay as few as that. Those
    of the batches behind the first have its number behind their path. `table`: bytes from which one comes and goes."""
    samples = [Sample(key=content_key(each), fields=each) for each in arguments]
    sink = Collected({sample.key: at // together for at, sample in enumerate(samples)})
    if len(sink.batches) < len(samples):
        raise ValueError("two samples are alike")
    budget = Budget(residency=residency, micro_batch=together)
    with (
        mock.patch.object(nexus_engine_sli.batching, "MORE", 1),
        mock.patch.object(nexus_engine_sli.weights.units, "LARGE", table),
        Installed().make("engine", "sli").load(checkpoint, budget) as teacher,
    ):
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
    ways = [other]
    if other.ndim in (4, 5):                                # maps are observed position by position
        ways.append(other.flatten(2).transpose(1, 2))
    if other.ndim == 4:                                     # streams that come before the samples (Gemma 3n)
        ways.append(other.permute(1, 2, 0, 3))
    if other.ndim == 3:                                     # and so are states of models that keep time first
        ways.append(other.transpose(0, 1))
        ways.append(other.transpose(1, 2))                  # or channels before tokens (convolutions of FastSpeech 2)
    return min(_distance(mine, each.float().flatten()) for each in ways)


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
