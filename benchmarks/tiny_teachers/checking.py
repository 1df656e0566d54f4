"""Inspects, opens and observes a tiny teacher, and compares it with the reference forward."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from nexus_specs import Blueprint, Budget, Installed, Lookup, Sample, Tap
from nexus_specs.installed import loader
from torch import Tensor, nn

from .layered import Collected, unlike
from .tiny import Tiny


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a check found."""

    loader: str
    blueprint: Blueprint
    observed: int
    """Layers whose output was observed and equal."""
    difference: float
    """The largest difference from the reference, over every layer and the final output."""


@dataclass
class Seen:
    """The state that every layer gave at its last call."""

    last: bool = False
    outputs: dict[str, Tensor] = field(default_factory=dict)

    @contextmanager
    def watching(self, module: nn.Module, paths: Sequence[str]) -> Iterator[None]:
        """Hooks on the layers while this lasts."""
        handles = [module.get_submodule(path).register_forward_hook(self._hook(path)) for path in paths]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, path: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            parts = output if self.last and isinstance(output, tuple) else (output,)
            self.outputs[path] = first_tensor(parts[-1]).detach().clone()

        return hook


def first_tensor(value: Any) -> Tensor:
    """The first tensor in an output of any form."""
    if isinstance(value, Tensor):
        return value
    items = value.values() if isinstance(value, Mapping) else value
    return next(first_tensor(item) for item in items if item is not None and not isinstance(item, (int, float, str)))


@torch.no_grad()
def check(tiny: Tiny, folder: Path, lookup: Lookup | None = None, *, streamed: bool = False) -> Found:
    """Builds the teacher in `folder`, then everything; `streamed`: once more layer by layer, equal to the bit.
    AssertionError where something differs."""
    made = tiny.build(folder)
    source = source_of(tiny, folder)
    found = lookup or Installed()
    name, architecture = loader(found, source)
    blueprint = architecture.inspect(source)
    checkpoint = architecture.open(source, found)
    assert checkpoint.blueprint == blueprint, "inspect and open give two blueprints"
    samples = list(tiny.samples())
    batch = checkpoint.collate(samples)
    reference = reference_of(made, blueprint, folder)
    layers = [layer for stack in blueprint.stacks for layer in stack.layers]
    expected, observed = Seen(last=tiny.last), Seen()
    with expected.watching(reference, layers):
        wanted = _parts(reference(**batch), range(len(tiny.outputs)))
    taps = [Tap(path=path) for path in layers if path in expected.outputs]
    engine = found.make("engine", "sli")
    with engine.load(checkpoint, Budget(micro_batch=len(samples), residency="resident")) as teacher:
        with observed.watching(teacher.module, layers):
            given = _parts(teacher.module(**batch), tiny.outputs)
        _observed(teacher, samples, taps)
        _answers(checkpoint, teacher.module, samples[0])
    assert set(observed.outputs) == set(expected.outputs), "other layers ran than in the reference"
    pairs = [(observed.outputs[path], expected.outputs[path]) for path in expected.outputs]
    if streamed:
        other = unlike(engine, checkpoint, samples, [tap.path for tap in taps])
        assert not other, f"{tiny.name}, layer by layer, gives something else: {', '.join(other)}"
    difference = max(apart(one, other) for one, other in [*pairs, *zip(given, wanted, strict=True)])
    assert difference <= tiny.tolerance, f"{tiny.name} differs by {difference:.1e} from the reference"
    _every_stack_ran(tiny, blueprint, expected)
    return Found(loader=name, blueprint=blueprint, observed=len(taps), difference=difference)


def _answers(checkpoint: Any, module: nn.Module, sample: Sample) -> None:
    """What it generates is of the kind that its blueprint says it gives: words for text, numbers for the rest."""
    asked = Sample(key=sample.key, fields={**sample.fields, "max_new_tokens": 3})
    (answer,) = checkpoint.generate(module, [asked])
    if checkpoint.blueprint.gives[0] == "text":
        assert isinstance(answer, (str, list)), f"the answer is {type(answer).__name__}, no text"
    else:
        assert isinstance(answer, Tensor), f"the answer is {type(answer).__name__}, no array"
        assert answer.numel() > 1, f"the answer is one number: {answer}"


def _observed(teacher: Any, samples: Sequence[Sample], taps: Sequence[Tap]) -> None:
    """Has the engine give every tap of every sample: all of it is there, and finite."""
    sink = Collected()
    teacher.observe(samples, taps, sink)
    for tap in taps:
        for sample in samples:
            value = sink.values.get((tap.path, sample.key))
            assert value is not None, f"'{tap.path}' gave nothing for a sample"
            assert bool(torch.isfinite(value).all()), f"'{tap.path}' gave numbers that are not finite"


def _every_stack_ran(tiny: Tiny, blueprint: Blueprint, expected: Seen) -> None:
    quiet = {stack.path for stack in blueprint.stacks if not any(layer in expected.outputs for layer in stack.layers)}
    unsaid = [path for path in quiet if not f"{path}.".startswith(tiny.silent or ("-",))]
    assert not unsaid, f"{tiny.name}: {', '.join(unsaid)} did not run"


def source_of(tiny: Tiny, folder: Path) -> str:
    """What a user would type for the folder."""
    below = tiny.inner.replace("{folder}", str(folder))
    return f"{folder}{'' if below.startswith('#') or not below else '/'}{below}"


def reference_of(made: Any, blueprint: Blueprint, folder: Path) -> nn.Module:
    """The module that says what is right: the builder's, or what transformers itself loads."""
    if isinstance(made, nn.Module):
        return made.eval()
    kind = getattr(hf, blueprint.head)
    module: nn.Module = kind.from_pretrained(folder, dtype=torch.float32).eval()
    return module


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the size of what is compared where that is above 1; infinite for shapes
    that differ and for what is not a number."""
    if one.shape != other.shape and (one.ndim == other.ndim or one.numel() != other.numel()):
        return math.inf
    other = other.reshape(one.shape)  # a diffusion teacher gives its timesteps a dimension
    size = max(1.0, float(other.abs().max())) if other.numel() else 1.0
    found = float((one.float() - other.float()).abs().max()) / size if one.numel() else 0.0
    return math.inf if math.isnan(found) else found


def _parts(output: Any, places: Iterable[int]) -> list[Tensor]:
    """The tensors at some places of an output."""
    if isinstance(output, Tensor):
        return [output]
    return [first_tensor(output) if place == 0 else output[place] for place in places]
