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
from nexus_torch.stacks import owner
from torch import Tensor, nn

from .answering import answer
from .config import NexusConfig
from .cores import CORE
from .folders import build_tower, stored
from .inputs import Inputs
from .model import NexusModel, NexusOutput
from .places import Place
from .student import signal_of, tower_blueprint
from .tower import slot


class NexusCheckpoint:
    """Kind "checkpoint" of a student."""

    def __init__(self, place: Place, lookup: Lookup) -> None:
        self.place, self.lookup = place, lookup
        self.base = lookup.open(str(place.core))
        self.inputs = Inputs(place, lookup)
        model = self.skeleton()
        self.names, extents = _tower_extents(model, place.towers)
        self.blueprint = self._blueprint(model, extents)
        own = [layer for stack in self.blueprint.stacks for layer in stack.layers if not layer.startswith(f"{CORE}.")]
        self.parts: tuple[Part, ...] = _parts(self.base.parts, extents, self.names, own)

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
        base = next((each for each in self.base.parts if each.path == path), None)
        theirs = {} if base is None else self.base.assemble(base, rest)
        return ours | {f"{CORE}.{name}": tensor for name, tensor in theirs.items()}

    def groups(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]]:
        """Indices of samples that the same towers answer, in the samples' order."""
        return self.inputs.groups(samples)

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """A batch for the towers that answer all of these samples."""
        return self.inputs.collate(samples)

    def read(self, output: NexusOutput, batch: Batch) -> Signal:
        """The forward's output in standard terms."""
        return signal_of(output, batch)

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """One answer for each sample: text, or the name of a class."""
        assert isinstance(module, NexusModel)
        return [answer(module, self.inputs, sample).value for sample in samples]

    def save_preprocessor(self, folder: Path) -> None:
        """The tokenizer of the forced tower, else of the core."""
        folder.mkdir(parents=True, exist_ok=True)
        reader = self.inputs.reader({self.place.forced: 1.0} if self.place.forced else {})
        if reader is not None:
            reader.tokenizer.save_pretrained(folder)

    def _blueprint(self, model: NexusModel, extents: Sequence[Extent]) -> Blueprint:
        if self.place.forced:
            return tower_blueprint(
                model, self.place.forced, self.inputs.reader({self.place.forced: 1.0}), self.base.blueprint
            )
        stacks = tuple(replace(stack, path=f"{CORE}.{stack.path}") for stack in self.base.blueprint.stacks)
        size = sum(parameter.numel() for parameter in model.parameters())
        return replace(
            self.base.blueprint,
            family=model.config.model_type,
            head=type(model).__name__,
            takes=tuple(sorted({"text", *(each for spec in self.inputs.specs.values() for each in spec.takes)})),
            gives=tuple(sorted({"text", *(each for spec in self.inputs.specs.values() for each in spec.gives)})),
            stacks=stacks,
            parameters=size,
            active_parameters=size,
            bytes=self.base.blueprint.bytes + sum(extent.stop - extent.start for extent in extents),
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


def _parts(
    base: Sequence[Part], towers: Sequence[Extent], names: Mapping[str, str], layers: Sequence[str]
) -> tuple[Part, ...]:
    """The core's parts; a tower's own layers before them, and the rest of it with what belongs to no layer."""
    groups: dict[str, list[Extent]] = {layer: [] for layer in ("", *layers)}
    for extent in towers:
        groups[owner(names[extent.key], frozenset(layers))].append(extent)
    first, *rest = base
    return (
        Part(path=first.path, extents=(*first.extents, *groups.pop(""))),
        *(Part(path=layer, extents=tuple(found)) for layer, found in groups.items()),
        *(Part(path=f"{CORE}.{part.path}", extents=part.extents) for part in rest),
    )
