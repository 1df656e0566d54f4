"""One teacher's lessons for one student: samples, the teacher's records of them, and the losses between the two.

Everything is paired by key: a record that does not match its sample stops the run. Shapes: B samples, T tokens.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from nexus_specs import Batch, Link, NexusError, Sample, Signal, Student, Tap
from nexus_torch.shards import Shards
from torch import Tensor, nn

from .labels import class_index
from .options import TrainOptions
from .rows import Rows
from .sampler import Sampler

Bound = Callable[[Signal, Signal], Tensor]


@dataclass(frozen=True, kw_only=True)
class Term:
    """One loss of the registry, bound to a teacher."""

    name: str
    weight: float
    bound: Bound
    taps: tuple[Tap, ...] = ()


class Lessons:
    """Batches of one teacher, by number."""

    def __init__(
        self,
        link: Link,
        student: Student,
        samples: Sequence[Sample],
        shards: Shards | None,
        terms: Sequence[Term],
        options: TrainOptions,
        seed: int,
    ) -> None:
        self.teacher, self.student, self.shards, self.terms = link.profile.teacher, student, shards, tuple(terms)
        self.samples = distinct(samples, self.teacher)
        lengths = [len(sample.fields.get("text", "")) for sample in self.samples]
        self.amount = sum(lengths) or len(self.samples)
        self.sampler = Sampler([sample.key for sample in self.samples], lengths, options.batch, seed)
        self.rows = Rows(student, self.samples, options.cache)
        self.labels = _labels(self.samples, link)
        self.taps = tuple({tap.path: tap for term in terms for tap in term.taps}.values())

    @property
    def heads(self) -> Mapping[str, nn.Module]:
        """Losses that have parameters of their own, trained with the student."""
        bound = {f"loss.{self.teacher}.{at}": term.bound for at, term in enumerate(self.terms)}
        return {name: loss for name, loss in bound.items() if isinstance(loss, nn.Module)}

    def batch(self, number: int) -> tuple[Batch, Signal]:
        """The student's batch, and what is known of its samples: the teacher's records and the labels."""
        positions = self.sampler.positions(number)
        keys = tuple(self.samples[at].key for at in positions)
        signal = Signal(keys=keys) if self.shards is None else self.shards.signal(keys)
        if self.labels is not None:
            signal = dataclasses.replace(signal, outputs={**signal.outputs, "label": self.labels[positions]})
        return self.rows.batch(positions), signal

    def values(self, student: Signal, teacher: Signal, progress: float) -> dict[str, Tensor]:
        """The weighted value of each loss [B], by name."""
        self._agree(student, teacher)
        found: dict[str, Tensor] = {}
        for term in self.terms:
            if hasattr(term.bound, "progress"):
                term.bound.progress = progress
            value = term.weight * checked(term.bound(student, teacher), term.name, len(teacher.keys))
            found[term.name] = found[term.name] + value if term.name in found else value
        return found

    def _agree(self, student: Signal, teacher: Signal) -> None:
        """Both sides must have read the same tokens: a misaligned record is the commonest silent error."""
        if teacher.tokens is None or student.tokens is None:
            return
        if student.tokens.shape != teacher.tokens.shape or not _equal(student.tokens, teacher.tokens, teacher.mask):
            raise NexusError(
                f"The records of '{self.teacher}' hold other tokens than the student reads for the same samples, among "
                f"them {teacher.keys[0]}. Does the tower use another tokenizer? Extract again with: "
                "nexus run --stage extract"
            )


def distinct(samples: Sequence[Sample], teacher: str) -> list[Sample]:
    """One sample for each key, in the order of the keys, so that the reader's order changes nothing."""
    found = {sample.key: sample for sample in samples}
    if not found:
        raise NexusError(f"There are no training samples for '{teacher}'. Check its data with: nexus list datasets")
    return [found[key] for key in sorted(found)]


def checked(value: Any, loss: str, count: int) -> Tensor:
    """What a loss gave, where it is one value for each sample: [B, 1] or [B, B] would be multiplied out, unnoticed."""
    if isinstance(value, Tensor) and value.shape == (count,) and value.is_floating_point():
        return value
    found = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
    raise NexusError(
        f"The loss '{loss}' gave {found}. It has to give one float a sample, a tensor [{count}]: reduce over tokens or "
        "classes, not over samples."
    )


def weights(signal: Signal, count: int) -> Tensor:
    """How much each sample counts in a batch [B]: its predicted tokens, or one."""
    if signal.mask is None or signal.hidden is None:
        return torch.ones(count)
    return (signal.mask.sum(1) - 1).clamp_min(0).float()


def _labels(samples: Sequence[Sample], link: Link) -> Tensor | None:
    if "text" in link.profile.blueprint.gives:
        return None
    return torch.tensor([class_index(sample, link.profile.blueprint.labels) for sample in samples])


def _equal(mine: Tensor, theirs: Tensor, mask: Any) -> bool:
    return torch.equal(mine, theirs) if mask is None else not bool(((mine != theirs) & mask).any())
