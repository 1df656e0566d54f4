"""One model class of diffusers: made small, saved by diffusers, opened by Nexus, observed, streamed, compared."""

from __future__ import annotations

import contextlib
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import diffusers
import torch
from nexus_arch_diffusers.architecture import Diffusers
from nexus_arch_diffusers.checkpoint import ModelCheckpoint
from nexus_specs import Batch, Budget, Installed, Piece, Sample, Tap
from nexus_torch.padding import Collated
from torch import Tensor, nn
from torch._dynamo.exc import Unsupported

from . import newest, rarer, special
from .inputs import arguments
from .shrinking import shrunk

SAMPLES = [Sample(key=str(at), fields={}) for at in range(3)]
"""Each a batch of its own, all under way together where layers are streamed. The first is the class's own."""
CONFIGURATIONS = {**special.CONFIGURATIONS, **rarer.CONFIGURATIONS, **newest.CONFIGURATIONS}
ARGUMENTS = {**special.ARGUMENTS, **rarer.ARGUMENTS, **newest.ARGUMENTS}
THEIRS, OURS = "diffusers", "nexus"
"""Whose a failure is: diffusers' where a class has no forward, or says itself that it does not do this or lacks a
library; ours is all else, our configuration and our arguments too."""
CLOSE = 1e-5
LARGEST = 30_000_000
"""Parameters: what is not small by then was not shrunk."""


class Pieces(dict[tuple[str, str], list[Any]]):
    """A sink that keeps, by sample and tap, whatever comes in its order."""

    def put(self, piece: Piece) -> None:
        """Keeps the only sample's. ValueError for a piece that is of no sample alone."""
        (key,), (value,) = piece.keys, piece.values
        self.setdefault((key, piece.tap), []).append(value.clone())

    def first(self, tap: str) -> Any:
        """What came first of a tap, of the first sample."""
        return self[SAMPLES[0].key, tap][0]

    def flush(self) -> None:
        """Nothing waits."""


class Prepared:
    """A checkpoint whose samples are these arguments, whatever they are."""

    def __init__(self, checkpoint: ModelCheckpoint, given: Mapping[str, Any]) -> None:
        self.inner, self.given = checkpoint, given

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def groups(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]]:
        """One sample."""
        return [range(len(samples))]

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """The arguments, other numbers for each sample; a denoiser's main input and timestep for one timestep."""
        (sample,), collator = samples, self.inner.collator
        wrapped = (collator.main, collator.time) if collator.time else ()
        given = {name: _other(each, 1 + int(sample.key) / 8) for name, each in self.given.items()}
        return Collated({name: _one(each) if name in wrapped else each for name, each in given.items()})


def compared(name: str) -> dict[str, Any]:
    """The row of one class: what stands, the largest difference, and why not."""
    row = {"class": name, "opened": False, "agree": False, "streamed": False, "layers": 0, "difference": float("nan"),
           "widths": False, "whose": "", "reason": ""}  # fmt: skip
    try:
        module, given, expected = _native(name)
    except Exception as error:
        whose = THEIRS if isinstance(error, (NotImplementedError, ImportError, Unsupported)) else OURS
        return row | {"whose": whose, "reason": f"diffusers: {type(error).__name__}: {_brief(error)}"}
    with tempfile.TemporaryDirectory() as folder:
        try:
            module.save_pretrained(folder)
            layers = [layer for stack in Diffusers().inspect(folder).stacks for layer in stack.layers]
            states = _seen(module, given, layers)
            row |= {"layers": len(layers)}
            _ours(row, folder, given, expected, states)
        except Exception as error:
            row |= {"whose": OURS, "reason": f"{type(error).__name__}: {_brief(error)}"}
    if not (row["agree"] and row["streamed"] and row["widths"]):
        row["whose"] = row["whose"] or OURS
        row["reason"] = row["reason"] or f"differs by {row['difference']:.2g}"
    return row


def _native(name: str) -> tuple[Any, dict[str, Any], Tensor]:
    """The model, arguments that it takes, and what it answers."""
    kind = getattr(diffusers, name)
    torch.manual_seed(0)
    module = kind(**shrunk(kind, CONFIGURATIONS.get(name, {}))).eval()
    if name in newest.TILED:
        module.enable_tiling()
    if (size := sum(each.numel() for each in module.parameters())) > LARGEST:
        raise ValueError(f"not small: {size:,} parameters")
    failure: Exception | None = None
    for parameter in module.parameters():
        if parameter.numel() > 1 and not bool(parameter.any()):
            nn.init.normal_(parameter, std=0.02)
    for given in arguments(module, ARGUMENTS.get(name, {})):
        try:
            with torch.no_grad():
                return module, given, _answered(module, given)
        except Exception as error:  # the one that came furthest says most
            failure = error if failure is None or _depth(error) > _depth(failure) else failure
    assert failure is not None
    raise failure


def _answered(module: nn.Module, given: Mapping[str, Any]) -> Tensor:
    """What it answers; what it draws is drawn alike each time."""
    torch.manual_seed(0)
    output = module(**given)
    if output is None:
        raise NotImplementedError("its forward gives nothing")
    return _first(output)


def _ours(
    row: dict[str, Any], folder: str, given: Mapping[str, Any], expected: Tensor, states: Mapping[str, Tensor]
) -> None:
    """Fills the row, as far as it gets."""
    checkpoint = Diffusers().open(folder, Installed())
    assert isinstance(checkpoint, ModelCheckpoint)
    row["opened"] = True
    taps = [Tap(path=path) for path in ("prediction", *states)]
    resident = _observed(checkpoint, given, taps, "resident")
    found = resident.first("prediction")
    found = found[0] if checkpoint.collator.time else found
    layers = [_apart(resident.first(layer), state) for layer, state in states.items()]
    worst = max([_apart(found, expected[0]), *layers])
    stated = {layer: width for stack in checkpoint.blueprint.stacks
              for layer, width in zip(stack.layers, stack.widths, strict=True)}  # fmt: skip
    seen = {layer: resident.first(layer).shape[-1] for layer in states}
    wrong = {layer: (stated[layer], width) for layer, width in seen.items() if stated[layer] not in (-1, width)}
    row |= {"agree": worst <= CLOSE, "difference": worst, "widths": not wrong,
            "reason": f"widths: {wrong}" if wrong else ""}  # fmt: skip
    streamed = _observed(checkpoint, given, taps, "stream")
    unlike = sorted({tap for at, tap in resident if not _same(resident[at, tap], streamed.get((at, tap), []))})
    row["streamed"] = not unlike
    if unlike:
        row["reason"] = row["reason"] or f"stream: not exact at {unlike[0]}"


def _observed(checkpoint: ModelCheckpoint, given: Mapping[str, Any], taps: Sequence[Tap], residency: Any) -> Pieces:
    """What the engine gives of all samples."""
    pieces, budget = Pieces(), Budget(residency=residency, micro_batch=1)
    with Installed().make("engine", "sli").load(Prepared(checkpoint, given), budget) as teacher:
        torch.manual_seed(0)
        teacher.observe(SAMPLES, taps, pieces)
    return pieces


def _same(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    """Whether they are equal to the bit."""
    return len(ours) == len(theirs) and all(map(torch.equal, ours, theirs))


def _seen(module: nn.Module, given: Mapping[str, Any], layers: Sequence[str]) -> dict[str, Tensor]:
    """What each layer of diffusers' own model gives, the picture's stream of two; layers that it calls."""
    from nexus_arch_diffusers.streams import _context_first

    states: dict[str, Tensor] = {}
    with contextlib.ExitStack() as stack:
        for layer in layers:
            inner = module.get_submodule(layer)
            second = _context_first(type(inner))

            def hook(_: nn.Module, __: Any, output: Any, layer: str = layer, second: bool = second) -> None:
                swap = second and isinstance(output, tuple) and len(output) > 1
                state = output[1] if swap else _tensor(output)
                if layer not in states and isinstance(state, Tensor):
                    states[layer] = state.clone()

            stack.callback(inner.register_forward_hook(hook).remove)
        with torch.no_grad():
            _answered(module, given)
    return states


def _apart(found: Tensor, expected: Tensor) -> float:
    """The largest difference as a share of the largest value (of 1, where all are smaller), whatever the arrangement:
    positions of a map are rows of a state."""
    expected = expected.reshape(-1, *expected.shape[2:]) if expected.ndim == 3 and found.ndim == 2 else expected
    if expected.ndim >= 4 and found.ndim == 2:
        expected = expected.flatten(2).transpose(1, 2).reshape(found.shape)
    scale = max(1.0, float(expected.float().abs().max()))
    return float((found.float() - expected.reshape(found.shape).float()).abs().max()) / scale


def _other(value: Any, factor: float) -> Any:
    """Every floating number of an argument, larger by a factor."""
    if isinstance(value, (list, tuple)):
        return type(value)(_other(each, factor) for each in value)
    return value * factor if isinstance(value, Tensor) and value.is_floating_point() and factor != 1 else value


def _one(value: Any) -> Any:
    return [value] if isinstance(value, list) else value.reshape(1, 1) if value.ndim <= 1 else value[None]


def _first(output: Any) -> Tensor:
    found = output if isinstance(output, Tensor) else output[0]
    return torch.stack(list(found)) if isinstance(found, (list, tuple)) else found


def _tensor(output: Any) -> Any:
    items = output.values() if isinstance(output, Mapping) else output
    return output if isinstance(output, Tensor) else next((each for each in items if isinstance(each, Tensor)), None)


def _depth(error: Exception) -> int:
    """How many calls deep it arose."""
    return len(list(traceback.walk_tb(error.__traceback__)))


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


__all__ = ["Path", "compared"]
