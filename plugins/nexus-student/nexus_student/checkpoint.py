"""A student as a checkpoint: an engine loads it, observes it and lets it answer like any other model.

Its samples are of one tower a batch, so `groups` says which belong together; the router decides unless a tower is
forced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nexus_specs import Batch, Blueprint, Extent, Lookup, NexusError, Part, Sample, Signal
from nexus_torch.files import read_header
from nexus_torch.skeleton import without_weights
from torch import Tensor, nn

from .answering import answer
from .config import NexusConfig
from .cores import CORE, read_tokenizer
from .folders import VOCABULARY, build_tower, read_spec, stored
from .model import NexusModel, NexusOutput
from .places import Place
from .reading import TextReader, text_batch
from .router.ladder import Decision, Router
from .student import signal_of, tower_batch, tower_blueprint
from .tower import slot


class NexusCheckpoint:
    """Kind "checkpoint" of a student."""

    def __init__(self, place: Place, lookup: Lookup) -> None:
        self.place, self.lookup = place, lookup
        self.base = lookup.open(str(place.core))
        self.specs = {name: read_spec(folder) for name, folder in place.towers.items()}
        self.router = Router.read(place.towers)
        self.readers: dict[str, TextReader | None] = {}
        self.components: dict[str, Any] = {}
        model = self.skeleton()
        self.names, extents = _tower_extents(model, place.towers)
        self.parts: tuple[Part, ...] = _parts(self.base.parts, extents)
        self.blueprint = self._blueprint(model)

    def skeleton(self) -> nn.Module:
        """The model with its towers, on the meta device."""
        core = self.base.skeleton()
        with without_weights():
            model = NexusModel(NexusConfig(core=core.config), core)
            for name, folder in self.place.towers.items():
                model.attach(name, build_tower(folder, model, self.lookup))
        return model.eval()

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """The core's tensors as its own loader has them, the towers' by name."""
        ours = {self.names[key]: tensor for key, tensor in raw.items() if key in self.names}
        rest = {key: tensor for key, tensor in raw.items() if key not in self.names}
        path = part.path.removeprefix(f"{CORE}.")
        base = next(each for each in self.base.parts if each.path == path)
        return ours | {f"{CORE}.{name}": tensor for name, tensor in self.base.assemble(base, rest).items()}

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

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """A batch for the towers that answer all of these samples."""
        decisions = {each.key: each for each in map(self.decide, samples)}
        if len(decisions) != 1:
            raise NexusError("These samples belong to different towers. Collate each of `groups(samples)` on its own.")
        towers = next(iter(decisions.values())).towers
        if len(towers) == 1:
            name = next(iter(towers))
            return tower_batch(self._component(name), self.specs[name], self._reader(name), samples)
        return text_batch(self._reader(""), samples, tower=dict(towers))

    def read(self, output: NexusOutput, batch: Batch) -> Signal:
        """The forward's output in standard terms."""
        return signal_of(output, batch)

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """One answer for each sample: text, or the name of a class."""
        assert isinstance(module, NexusModel)
        return [answer(module, self, sample).value for sample in samples]

    def save_preprocessor(self, folder: Path) -> None:
        """The tokenizer of the forced tower, else of the core."""
        folder.mkdir(parents=True, exist_ok=True)
        reader = self._reader(self.place.forced)
        if reader is not None:
            reader.tokenizer.save_pretrained(folder)

    def reader(self, towers: Mapping[str, float]) -> TextReader | None:
        """The tokenizer of the towers that answer together."""
        return self._reader(next(iter(towers), ""))

    def _component(self, name: str) -> Any:
        if name not in self.components:
            spec = self.specs[name]
            self.components[name] = self.lookup.make("tower", spec.component, **spec.config)
        return self.components[name]

    def _reader(self, name: str) -> TextReader | None:
        own = bool(name) and self.specs[name].words > 0
        key = name if own else ""
        if key not in self.readers:
            folder = self.place.towers[name] / VOCABULARY if own else self.place.core
            tokenizer = read_tokenizer(folder)
            self.readers[key] = None if tokenizer is None else TextReader(tokenizer, self.base.blueprint.context)
        return self.readers[key]

    def _blueprint(self, model: NexusModel) -> Blueprint:
        if self.place.forced:
            return tower_blueprint(model, self.place.forced, self._reader(self.place.forced), self.base.blueprint)
        stacks = tuple(replace(stack, path=f"{CORE}.{stack.path}") for stack in self.base.blueprint.stacks)
        size = sum(parameter.numel() for parameter in model.parameters())
        return replace(
            self.base.blueprint,
            family=model.config.model_type,
            head=type(model).__name__,
            takes=tuple(sorted({"text", *(each for spec in self.specs.values() for each in spec.takes)})),
            gives=tuple(sorted({"text", *(each for spec in self.specs.values() for each in spec.gives)})),
            stacks=stacks,
            parameters=size,
            active_parameters=size,
            bytes=sum(extent.stop - extent.start for part in self.parts for extent in part.extents),
        )


def _tower_extents(model: NexusModel, towers: Mapping[str, Path]) -> tuple[dict[str, str], tuple[Extent, ...]]:
    """Our key of each stored tensor -> its name in the model; and where the bytes lie."""
    names: dict[str, str] = {}
    extents = []
    for name, folder in towers.items():
        headers: dict[str, tuple[dict[str, Any], int]] = {}
        for (file, key), parameter in stored(model.tower(name), model.core).items():
            if file not in headers:
                headers[file] = read_header(folder / file)
            entries, start = headers[file]
            if key not in entries:
                raise NexusError(f"'{folder / file}' lacks {key}: it was made for another core or by another version.")
            first, last = entries[key]["data_offsets"]
            ours = f"towers/{name}/{file}#{key}"
            names[ours] = f"towers.{slot(name)}.{parameter}"
            extents.append(
                Extent(key=ours, file=str(folder / file), start=start + first, stop=start + last,
                       dtype=entries[key]["dtype"], shape=tuple(entries[key]["shape"]))
            )  # fmt: skip
    return names, tuple(extents)


def _parts(base: Sequence[Part], towers: tuple[Extent, ...]) -> tuple[Part, ...]:
    """The core's parts, the towers with what belongs to no layer."""
    first, *layers = base
    return (
        Part(path=first.path, extents=(*first.extents, *towers)),
        *(Part(path=f"{CORE}.{part.path}", extents=part.extents) for part in layers),
    )
