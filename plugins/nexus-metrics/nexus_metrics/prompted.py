"""Zero-shot classification: a picture is of the class whose words are nearest to it in a space of pictures and texts.

Shapes: C classes, P prompts of each, D numbers of an embedding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from nexus_specs import NexusError, Sample, Tap
from numpy.typing import NDArray

from .judged import Encoder, grey
from .options import PromptOptions
from .ratio import Ratio, largest, numbers
from .references import known


class ZeroShotAccuracy(Ratio):
    """Kind "metric": whether a picture's embedding is nearest, by cosine, to the words of its own class. The words of
    each class stand in every template, and the mean of their unit embeddings stands for it (Radford et al. 2021, arXiv
    2103.00020, section 3.1.4). They are embedded by the named encoder, the teacher's own: a student is judged in the
    space that it learned. A row is [correct]."""

    name, example = "zero_shot_accuracy", "the teacher's own checkpoint (google/siglip2-so400m-patch16-512)"
    taps = (Tap(path="embedding"),)

    def __init__(self, **options: Any) -> None:
        self.options = PromptOptions(**options)

    def measure(self, samples: Sequence[Sample], outputs: Mapping[str, Sequence[Any]]) -> list[tuple[float, ...]]:
        """From "embedding" [D] and the field `field` of each sample, a class's name or number; an empty row without."""
        pairs = zip(samples, outputs["embedding"], strict=True)
        return [self._row(sample, numbers(each).ravel()) for sample, each in pairs]

    def floor(self, train: Iterable[Sample], held_out: Sequence[Sample]) -> float:
        """Chance, or the commonest class of training if that is more."""
        taught = Counter(place for each in train if (place := self._place(each)) is not None)
        places = [place for each in held_out if (place := self._place(each)) is not None]
        if not places:
            raise NexusError(f"{self.name} has nothing to score: no held-out sample has a {self.options.field}.")
        commonest = min(taught, key=lambda place: (-taught[place], place)) if taught else None
        chance = 1 / len(self._names)
        return chance if commonest is None else max(chance, places.count(commonest) / len(places))

    @cached_property
    def encoder(self) -> Encoder:
        """The checkpoint that embeds the words."""
        return Encoder(self.options.encoder, self.name, self.example)

    @cached_property
    def classes(self) -> NDArray[np.float64]:
        """What stands for each class: [C, D], of length 1."""
        vectors = np.array([[self._words(each.format(name)) for each in self.options.templates]
                            for name in self._names])  # [C, P, D]  # fmt: skip
        return _unit(_unit(vectors).mean(1))

    @property
    def _names(self) -> tuple[str, ...]:
        if len(self.options.labels) < 2:
            raise NexusError(
                f"{self.name} needs the words of the classes, in the order of their numbers: "
                f"metric: {{name: {self.name}, options: {{labels: [cat, dog], encoder: PATH}}}}"
            )
        return tuple(self.options.labels)

    def _words(self, text: str) -> NDArray[np.float64]:
        return self.encoder.pair(image=grey(), text=text)[1]  # encoders of both take both

    def _row(self, sample: Sample, vector: NDArray[np.float64]) -> tuple[float, ...]:
        place = self._place(sample)
        if place is None:
            return ()
        if vector.shape != self.classes.shape[1:]:
            raise NexusError(
                f"The embedding has {vector.size} numbers, those of the encoder's words {self.classes.shape[1]}: they "
                "are not of one space. Name the teacher's own checkpoint as the encoder."
            )
        return (float(largest(self.classes @ vector) == place),)

    def _place(self, sample: Sample) -> int | None:
        """The number of a sample's class."""
        label = known(sample, self.options.field)
        if label is None:
            return None
        if isinstance(label, str):
            if label not in self._names:
                raise NexusError(f"The class '{label}' is none of {self.name}'s labels: {', '.join(self._names[:8])} …")
            return self._names.index(label)
        if not 0 <= int(label) < len(self._names):
            raise NexusError(f"The class {label} has no name: {self.name} was given {len(self._names)} labels.")
        return int(label)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of length 1 along the last axis."""
    found: NDArray[np.float64] = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return found
