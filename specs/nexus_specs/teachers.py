"""Protocols of teachers, end to end: loader, engine, metric, profiler."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .checkpoints import Checkpoint
from .data import Sample
from .models import Blueprint, Budget, Estimate, Machine
from .observation import Edit, Sink, Tap
from .work import Context, Lookup

if TYPE_CHECKING:
    from torch.nn import Module


class Architecture(Protocol):
    """Kind "architecture": knows names and meaning of one sort of checkpoint; does no I/O on weights."""

    def match(self, source: str) -> int:
        """0 not mine, 1 I open such files in general, 2 I know this very model type. Two equal best: an error."""

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads configuration and headers, never weights."""

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint; `lookup.open` for what the source stands on (the base of an adapter)."""


class Teacher(Protocol):
    """A checkpoint that runs. The student opens as one too: `profile`, `evaluate` and `verify` need no second way."""

    blueprint: Blueprint
    module: Module | None
    """None unless wholly resident: gradients and generation need all of it at once."""

    def observe(self, samples: Iterable[Sample], taps: Sequence[Tap], sink: Sink, edits: Sequence[Edit] = ()) -> None:
        """Puts a piece for every (sample, tap, edit) into the sink."""

    def generate(self, samples: Sequence[Sample]) -> Sequence[Any]:
        """Raises NotResident for a streamed teacher: every token would read the checkpoint again."""


class Engine(Protocol):
    """Kind "engine": runs any checkpoint; all I/O, quantising and placing of weights."""

    def machine(self, folder: Path) -> Machine:
        """Measures this machine: device, memory, matrix rate, and the rate of the disk that holds `folder`."""

    def estimate(self, blueprint: Blueprint, samples: int, edits: int, budget: Budget, tokens: float = 0.0) -> Estimate:
        """What a pass would cost, from the blueprint and measured rates; no weights. `tokens`: of a sample in the
        mean, 0 where that is not known."""

    def place(self, blueprint: Blueprint, budget: Budget, tokens: float = 0.0) -> Budget:
        """The budget with what is open in it settled for this model and this memory: `quantise` "auto", `micro_batch`
        0. What is not open stays. The plan asks before anything runs, and hashes what it is told. `tokens`: of the
        longest sample, 0 where that is not known."""

    def load(self, checkpoint: Checkpoint, budget: Budget) -> AbstractContextManager[Teacher]:
        """The checkpoint, loaded as the budget allows."""


class Metric(Protocol):
    """Kind "metric": gives statistics per sample and reduces them, so the same object scores teacher, student,
    ablation and release, and bootstraps.

    A metric may have `reduce_many(rows, picks)`, which scores many draws at once; and `variants(sample)`, the samples
    that a model is shown in its place (a question with each of its choices), with `observed`, the taps that are read of
    them. Its `taps` are then (), and `measure` is given, for each sample, a list with the value of each variant."""

    taps: tuple[Tap, ...]
    """Empty: it judges generated answers, which `measure` finds under "answer"."""

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> Sequence[Sequence[float]]:
        """One row of numbers for each sample, from the values of its taps. Samples without what it needs (a label)
        give an empty row, which `reduce` leaves out."""

    def reduce(self, rows: Sequence[Sequence[float]]) -> float:
        """The score of these rows."""

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """The score of what knows nothing: chance or majority, a bigram byte model of the training text."""


@dataclass(frozen=True, kw_only=True)
class LayerProfile:
    """How much one layer matters. `importance` is the increase of the loss, as a share of what there is to lose."""

    path: str
    importance: float
    low: float
    high: float
    rank: int = 0
    """Smallest rank of its output that keeps the metric."""
    critical: bool = False


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What a profiler found: JSON (`profile.json`), its bases beside it in safetensors.

    `home` is the folder that relative names are relative to; set when it is read, never written.
    """

    teacher: str
    capability: str
    blueprint: Blueprint
    """So that nothing after profiling opens the teacher to ask what it is."""
    layers: tuple[LayerProfile, ...]
    score: float = float("nan")
    bases: Mapping[str, str] = field(default_factory=dict)
    """Path -> "file#key"; `key.mean`, `key.directions`, `key.scale`."""
    masks: Mapping[str, str] = field(default_factory=dict)
    """Path -> packed hexadecimal."""
    preprocessor: str = ""
    """Folder with the teacher's tokenizer or processor files."""
    home: str = ""


class Profiler(Protocol):
    """Kind "profiler"."""

    def profile(self, teacher: Teacher, samples: Iterable[Sample], metric: Metric, context: Context) -> Profile:
        """The profile; bases are written through `context.write`."""
