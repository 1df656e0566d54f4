"""How samples become batches of a student's towers: who answers, in which tokens, through which collator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_specs import Lookup, NexusError, Sample
from nexus_torch.padding import Collated

from .cores import read_context, read_tokenizer
from .folders import VOCABULARY
from .places import Place
from .reading import TextReader, text_batch
from .router.ladder import Decision, Router
from .specs import TowerSpec, read_spec


class Inputs:
    """The way into one student; reads small files as they are needed, never weights."""

    def __init__(self, place: Place, lookup: Lookup) -> None:
        self.place, self.lookup = place, lookup
        self.specs: dict[str, TowerSpec] = {name: read_spec(folder) for name, folder in place.towers.items()}
        self.router = Router.read(place.towers)
        self.limit = read_context(place.core)
        self._readers: dict[str, TextReader | None] = {}
        self._components: dict[str, Any] = {}

    def decide(self, sample: Sample) -> Decision:
        """Who answers a sample."""
        if self.place.forced:
            return Decision({self.place.forced: 1.0}, "forced")
        return self.router.decide(sample.fields)

    def groups(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]]:
        """Indices of samples that the same towers answer, in the samples' order."""
        found: dict[tuple[tuple[str, float], ...], list[int]] = {}
        for index, sample in enumerate(samples):
            found.setdefault(self.decide(sample).key, []).append(index)
        return list(found.values())

    def collate(self, samples: Sequence[Sample]) -> Collated:
        """A batch for the towers that answer all of these samples."""
        decisions = {each.key: each for each in map(self.decide, samples)}
        if len(decisions) != 1:
            raise NexusError("These samples belong to different towers. Collate each of `groups(samples)` on its own.")
        return self.batch(next(iter(decisions.values())).towers, samples)

    def batch(self, towers: Mapping[str, float], samples: Sequence[Sample]) -> Collated:
        """The samples as the arguments of a forward with these towers."""
        if len(towers) != 1:
            return text_batch(self.reader(towers), samples, tower=dict(towers))
        name = next(iter(towers))
        return tower_batch(self._component(name), self.specs[name], self.reader(towers), samples)

    def reader(self, towers: Mapping[str, float]) -> TextReader | None:
        """The tokenizer of towers that answer together; the core's where they have none, None where it has none."""
        name = next(iter(towers), "")
        own = bool(name) and self.specs[name].words > 0
        key = name if own else ""
        if key not in self._readers:
            tokenizer = read_tokenizer(self.place.towers[name] / VOCABULARY if own else self.place.core)
            self._readers[key] = None if tokenizer is None else TextReader(tokenizer, self.limit)
        return self._readers[key]

    def _component(self, name: str) -> Any:
        if name not in self._components:
            spec = self.specs[name]
            self._components[name] = self.lookup.make("tower", spec.component, **spec.config)
        return self._components[name]


def tower_batch(component: Any, spec: TowerSpec, reader: TextReader | None, samples: Sequence[Sample]) -> Collated:
    """What a forward with this tower takes."""
    missing = next((name for name in spec.takes for sample in samples if name not in sample.fields), None)
    if missing:
        raise NexusError(f"The tower '{spec.name}' takes {', '.join(spec.takes)}; a sample has no '{missing}'.")
    media = component.collate(samples) if spec.perceives else {}
    if "text" not in spec.gives:
        return Collated({"tower": spec.name, **media}, keys=tuple(sample.key for sample in samples))
    batch = text_batch(reader, samples, tower=spec.name)
    batch.update(media)
    return batch
