"""Accuracy. Shapes: C classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from nexus_specs import NexusError, Sample, Tap

from .options import AccuracyOptions
from .ratio import Ratio, largest, numbers
from .references import known


class Accuracy(Ratio):
    """Kind "metric": the share of labelled samples whose largest output is the label's; a row is [correct]."""

    taps = (Tap(path="output"),)

    def __init__(self, **options: Any) -> None:
        self.options = AccuracyOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "output" [C] of each sample; an empty row where there is no label."""
        pairs = zip(samples, outputs["output"], strict=True)
        return [self._row(sample, output) for sample, output in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """On held-out: the commonest label of training, or chance if that is more."""
        taught = Counter(label for sample in train if (label := known(sample)) is not None)
        labels = [label for sample in held_out if (label := known(sample)) is not None]
        if not labels:
            raise NexusError("accuracy has nothing to score: no held-out sample has a label (columns: {label: NAME}).")
        chance = 1 / (self.options.classes or len(self.options.labels) or len({*taught, *labels}))
        commonest = min(taught, key=lambda label: (-taught[label], str(label))) if taught else None
        return max(chance, labels.count(commonest) / len(labels))

    def _row(self, sample: Sample, output: Any) -> tuple[float, ...]:
        if known(sample) is None:
            return ()
        scores = numbers(output)
        place = self._index(sample)
        if not 0 <= place < scores.size:
            raise NexusError(
                f"The label {place} of {_where(sample)} is none of the {scores.size} classes of the output: 0 to "
                f"{scores.size - 1}. Mend the labels: where they count from 1, every answer would be wrong."
            )
        return (float(largest(scores) == place),)

    def _index(self, sample: Sample) -> int:
        label, names = sample.fields["label"], list(self.options.labels)
        if isinstance(label, str):
            if label not in names:
                raise NexusError(
                    f"The label '{label}' of {_where(sample)} is a word that the metric does "
                    f"not know. Known: {', '.join(names) or 'none'}. Name the classes in the order of the teacher's "
                    "output: metric: {name: accuracy, options: {labels: [...]}}"
                )
            return names.index(label)
        if not hasattr(label, "__int__") or int(label) != label:
            said = f"The label {label!r:.60} of {_where(sample)} is no class: write a whole number or a class's name."
            raise NexusError(said)
        return int(label)


def _where(sample: Sample) -> str:
    """Where a sample stands, for people."""
    return str(sample.fields.get("source", sample.key))
