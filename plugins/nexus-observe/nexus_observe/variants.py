"""Samples that a model is shown in another way than they stand in the data: one for each choice of a question, or the
question as its chat template writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_specs import Metric, NexusError, Piece, Sample, Teacher, prompted

from .numbers import Row, numbers

QUESTION = ("prompt", "text")
"""Where a sample has its question, the first that it has."""


def compares(metric: Metric) -> bool:
    """Whether a metric reads several variants of a sample (`variants`, of which it reads `observed`)."""
    return hasattr(metric, "variants")


def shown(samples: Sequence[Sample], metric: Any) -> list[Sample]:
    """What a model is shown of these samples: variants in the place of each, where a metric compares them, and prompts
    in the place of texts, where it judges answers."""
    if compares(metric):
        return [each for sample in samples for each in metric.variants(sample)]
    return list(samples) if metric.taps else list(map(prompted, samples))


class Compared:
    """A sink that turns the values of all variants of a sample into its row and keeps nothing else."""

    def __init__(self, samples: Sequence[Sample], metric: Any) -> None:
        self.metric, self.rows = metric, dict[str, Row]()
        self.paths = tuple(tap.path for tap in metric.observed)
        self.samples = {sample.key: sample for sample in samples}
        self.variants, self.owner = list[Sample](), dict[str, tuple[str, int]]()
        self.values: dict[str, dict[str, list[Any]]] = {}
        self.left: dict[str, int] = {}
        for sample in self.samples.values():                # each key once: a sample that comes twice has one row
            self._show(sample)

    def _show(self, sample: Sample) -> None:
        found: list[Sample] = self.metric.variants(sample)
        if not found:                                       # nothing to compare: as a sample without a label
            self.rows[sample.key] = ()
            return
        self.variants += found
        self.owner |= {each.key: (sample.key, place) for place, each in enumerate(found)}
        self.left[sample.key] = len(found) * len(self.paths)
        self.values[sample.key] = {path: [None] * len(found) for path in self.paths}

    def put(self, piece: Piece) -> None:
        """Measures every sample of which the last value is there."""
        for key, value in zip(piece.keys, piece.values, strict=True):
            name, place = self.owner[key]
            self.values[name][piece.tap][place] = value
            self.left[name] -= 1
            if not self.left[name]:
                outputs = {path: [values] for path, values in self.values.pop(name).items()}
                self.rows[name] = numbers(self.metric, self.metric.measure([self.samples[name]], outputs))

    def flush(self) -> None:
        """Nothing waits."""


def compared(teacher: Teacher, samples: Sequence[Sample], metric: Any) -> dict[str, Row]:
    """Key -> row, from every variant of each sample."""
    sink = Compared(samples, metric)
    if sink.variants:
        teacher.observe(sink.variants, metric.observed, sink)
    return {sample.key: sink.rows[sample.key] for sample in samples}


def conversation(sample: Sample) -> Sample:
    """The question of a sample as a turn of a user, which the teacher's chat template writes; one that is a
    conversation already stays. NexusError where it has no question."""
    fields: Mapping[str, Any] = sample.fields
    if fields.get("messages") is not None and fields.get("prompt") is None:
        return sample
    said = next((fields[name] for name in QUESTION if fields.get(name) is not None), None)
    if said is None:
        raise NexusError(
            f"chat: true writes a question by the teacher's chat template, and the sample {sample.key} has neither "
            "`prompt` nor `text`. Map one (columns: {prompt: NAME}), or take `chat` out of the card."
        )
    rest = {name: value for name, value in fields.items() if name not in QUESTION}
    turns = [{"role": "user", "content": str(said)}]
    return Sample(key=sample.key, fields={**rest, "messages": turns}, domain=sample.domain)
