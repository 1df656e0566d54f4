"""A base with its weights changed: what the engine sees of an adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Batch, Blueprint, Checkpoint, Extent, NexusError, Part, Sample, Signal
from nexus_torch.hugging_face.folder import copy_preprocessor
from nexus_torch.skeleton import holders
from nexus_torch.stacks import owner
from torch import Tensor, nn

from .changes import ADDED, Change, changes
from .modules import biasless, grow, outward, parameters
from .parameters import first_of, stem_of
from .settings import Settings
from .stored import extents_of

TOKENIZER = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")


class Foreign(NexusError):
    """An adapter changes what its base does not have."""


class Adapted:
    """Kind "checkpoint": the base's parts with the adapter's stored tensors beside those that they change."""

    def __init__(self, home: Path, settings: Settings, base: Checkpoint) -> None:
        self.home, self.base = home, base
        module = base.skeleton()
        every = (*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False))
        self.tensors = {name: tuple(each.shape) for name, each in every}
        self.depth: int = getattr(base, "depth", 0) + 1
        """How many adapters stand on each other."""
        self.ties = {name: group for name, group in holders(module).items() if len(group) > 1}
        self.outward = set(outward(module))
        self.biasless = biasless(module)
        self.added: set[str] = set()
        """Biases that the adapter adds where the base has none."""
        self.names: Mapping[str, Any] = getattr(base, "targets", {})
        """Stored key of the base -> the module's name for it, first of a pair."""
        packing = getattr(base, "packing", None)
        if packing is not None and packing.rounds:
            raise NexusError(                               # it adds to what it makes of states that are not
                f"'{home.name}' cannot be merged: its base rounds states (BitNet). Name the base alone.")  # fmt: skip
        self.packed = {name: tuple(roles.values()) for name, (_, roles) in packing.made.items()} if packing else {}
        """Weight that a quantiser packed -> the stored keys that make it."""
        self.keys = {extent.key for part in base.parts for extent in part.extents}
        self.inside: dict[str, Change] = {}
        """Module's name -> what is done to it once the base made it."""
        self.before: dict[str, Change] = {}
        """Stored key of the base -> what is done to it before: names from before weights were fused or moved."""
        self.roles: dict[str, tuple[Change, str]] = {}
        """Key of an adapter's tensor, as the engine sees it -> what it is for."""
        for change in changes(extents_of(home), settings, parameters(module)).values():
            self._take(change)
        self.untied = [set(group) for group in dict.fromkeys(self.ties.values()) if self._parted(group)]
        self.parts = tuple(self._with(part) for part in base.parts)
        self._use_own_tokenizer()
        self.blueprint = self._blueprint()

    def skeleton(self) -> nn.Module:
        """The base's module; grown where the vocabulary did, and untied where the adapter changes one of two."""
        module = self.base.skeleton()
        for name in self.inside:
            if shape := self._grown(name):
                grow(module, self.ties.get(name, (name,)), shape)
        for name in {name for group in self.untied for name in group}:
            path, _, leaf = name.rpartition(".")
            holder = module.get_submodule(path)
            holder._parameters[leaf] = nn.Parameter(torch.empty_like(holder._parameters[leaf]), requires_grad=False)
        for name in self.added:
            holder = module.get_submodule(name.removesuffix(".bias"))
            holder.bias = nn.Parameter(holder.weight.new_empty(self.tensors[name]), requires_grad=False)
        return module

    def assemble(self, part: Part, raw: Mapping[str, Any]) -> Mapping[str, Tensor]:
        """The base's tensors, changed."""
        found: dict[str, dict[str, Tensor]] = {}
        shapes = {each.key: each.shape for each in part.extents if each.key in self.roles}
        theirs = {key: each for key, each in raw.items() if key not in self.roles}
        for key in raw.keys() & self.roles.keys():
            change, role = self.roles[key]
            found.setdefault(change.name, {})[role] = raw[key].reshape(shapes.get(key, raw[key].shape))
        for key, change in self.before.items():
            if change.name in found:
                theirs = self._before(theirs, key, change, found[change.name])
        made = dict(self.base.assemble(replace(part, extents=tuple(_but(part, self.roles))), theirs))
        for group in self.untied:
            if (value := next((made[name] for name in group if name in made), None)) is not None:
                made |= dict.fromkeys(group, value)
        for name, change in self.inside.items():
            if change.name not in found:
                continue
            given = found[change.name]
            weight = self._weight(name, made, given)
            if self._shared(name) and not any(name in group for group in self.untied):
                made = {each: value for each, value in made.items() if each not in self.ties.get(name, ())}
            made[name] = change.merged(weight, given, self._first(part, change))
        return made

    def _weight(self, name: str, made: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> Tensor:
        """What the adapter changes, as the base has it. NexusError where it has not."""
        for each in self.ties.get(name, (name,)):
            if each in made:
                return made[each]
        if "whole" in given:
            return given["whole"]
        if name in self.added:
            return torch.zeros(self.tensors[name], device=given[ADDED].device)
        raise NexusError(f"The base of '{self.home}' has no weight '{name}', which the adapter changes.")

    def _first(self, part: Part, change: Change) -> int:
        """The expert that a part begins with, of those that a change is about."""
        if not change.experts:
            return 0
        whole = change.stored["lora_A"]
        cut = next(each for each in part.extents if self.roles.get(each.key) == (change, "lora_A"))
        return first_of(cut, whole, change.experts)

    def _before(
        self, theirs: dict[str, Any], key: str, change: Change, found: Mapping[str, Tensor]
    ) -> dict[str, Any]:
        """Stored tensors of the base with one of them changed; what a quantiser packed is unpacked for it, and comes
        under its own name."""
        made = self.packed.get(key, ())
        if any(each in theirs for each in made if each != key):
            plain = self.base.packing.unpack({each: theirs[each] for each in made if each in theirs})[key]
            return {each: value for each, value in theirs.items() if each not in made} | {
                key: change.merged(plain, found).float()
            }
        return theirs | {key: change.merged(theirs[key], found)} if key in theirs else theirs

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """As the base does, with the adapter's tokenizer if it has one."""
        return self.base.collate(samples)

    def read(self, output: Any, batch: Batch) -> Signal:
        """As the base does."""
        return self.base.read(output, batch)

    def generate(self, module: nn.Module, samples: Sequence[Sample]) -> Sequence[Any]:
        """As the base does."""
        return self.base.generate(module, samples)

    def save_preprocessor(self, folder: Path) -> None:
        """The base's files, and the adapter's tokenizer over them."""
        self.base.save_preprocessor(folder)
        copy_preprocessor(self.home, folder)

    def __getattr__(self, name: str) -> Any:
        """What else the base offers an engine (`lengths`, `groups`)."""
        if name in ("base", "roles") or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.base, name)

    def _take(self, change: Change) -> None:
        """Finds the tensor that a change is about."""
        if ADDED in change.stored and change.name in self.biasless and change.name not in self.tensors:
            self.added.add(change.name)
            self.tensors[change.name] = change.stored[ADDED].shape
        if change.name in self.tensors:
            name, stem = change.name, stem_of(self._key(change.name))
            change = replace(change, outward=change.name in self.outward)
            change.check(self.tensors[name])
            self.inside[name] = change
        elif change.name in self.packed or change.name in self.keys:
            stem = change.name.rpartition(".")[0]
            self.before[change.name] = change
        elif change.optional:
            return
        else:
            raise Foreign(
                f"The adapter '{self.home}' changes '{change.name}', which {self.base.blueprint.head} has not. It was "
                "made for another base or another head: name that one in adapter_config.json."
            )
        mine = f"{stem}.adapter{self.depth}_{change.name.replace('.', '_')}"
        self.roles |= {f"{mine}_{role}": (change, role) for role in change.stored}

    def _key(self, name: str) -> str:
        """The stored key that becomes a weight (so that what changes it is read with it), or the name itself."""
        group = self.ties.get(name, (name,))
        return next((key for key, (target, *_) in self.names.items() if target in group), name)

    def _parted(self, group: tuple[str, ...]) -> bool:
        """Whether the adapter changes some of what is one tensor in the base, and not all of it in one place."""
        mine = [name for name in group if name in self.inside]
        return bool(mine) and not (len(mine) == 1 and self._shared(mine[0]))

    def _shared(self, name: str) -> bool:
        """Whether what is tied to a weight is changed with it: its shape, or rows of some tokens."""
        return bool(self._grown(name)) or self.inside[name].of_rows

    def _grown(self, name: str) -> tuple[int, ...]:
        """The new shape of a weight whose shape the adapter changes; ()."""
        whole = self.inside[name].stored.get("whole")
        return whole.shape if whole is not None and whole.shape != self.tensors[name] else ()

    def _with(self, part: Part) -> Part:
        """A part with what changes it."""
        layers = frozenset(path for stack in self.base.blueprint.stacks for path in stack.layers)
        held = {extent.key for extent in part.extents}
        mine = []
        for key, (change, role) in self.roles.items():
            stored = self.packed.get(change.name, (change.name,))
            there = bool(held & set(stored)) if change.name in self.before else owner(change.name, layers) == part.path
            if there:
                mine.append(replace(change.stored[role], key=key))
        return replace(part, extents=(*part.extents, *mine))

    def _use_own_tokenizer(self) -> None:
        preprocessor = getattr(self.base, "preprocessor", None)
        if preprocessor is None or tuple(preprocessor.takes) != ("text",):
            return
        if any((self.home / name).is_file() for name in TOKENIZER):
            preprocessor.__dict__.pop("tokenizer", None)
            preprocessor.home = self.home

    def _blueprint(self) -> Blueprint:
        base = self.base.blueprint
        sizes = {part.path: sum(extent.stop - extent.start for extent in part.extents) for part in self.parts}
        stacks = tuple(
            replace(stack, layer_bytes=tuple(sizes.get(path, 0) for path in stack.layers)) for stack in base.stacks
        )
        rows = [shape[0] for name in self.inside if (shape := self._grown(name)) and len(shape) == 2]
        tokenizer = getattr(self.base, "_tokenizer", lambda: base.tokenizer)()
        grows = rows or self.untied or self.added
        more = sum(each.numel() for each in self.skeleton().parameters()) if grows else base.parameters
        return replace(
            base,
            stacks=stacks,
            bytes=sum(sizes.values()),
            parameters=more,
            active_parameters=base.active_parameters + more - base.parameters,
            vocabulary=max(rows, default=base.vocabulary),
            tokenizer=tokenizer,
            missing=tuple(name for name in base.missing if not (name == "tokenizer.json" and tokenizer)),
        )


def _but(part: Part, mine: Mapping[str, Any]) -> list[Extent]:
    return [extent for extent in part.extents if extent.key not in mine]
