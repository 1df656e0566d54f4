"""Makes students: a new core, a core from a checkpoint, a frozen core with a new tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from nexus_specs import Blueprint, Budget, Installed, NexusError, Profile, Student, Tower, TowerComponent, decoders_of
from nexus_torch.decoders import settled
from nexus_torch.files import read_tensors
from nexus_torch.profiles import preprocessor

from .attention import for_training
from .config import NexusConfig
from .cores import core_blueprint, core_folder, core_hash, fetch_core, new_core, open_core, read_tokenizer
from .folders import write_core
from .fused import fuse
from .model import NexusModel
from .options import StudentOptions
from .reading import TextReader
from .sizing import body, proposal
from .specs import TowerSpec
from .student import VOCABULARIES, CoreStudent, TowerStudent
from .tower import TowerModule, slot
from .vocabulary import Vocabulary


class NexusMaker:
    """Kind "student", name "nexus"."""

    def __init__(self, **options: Any) -> None:
        self.options = StudentOptions(**options)

    def propose(self, teachers: Sequence[Blueprint], budget: Budget, tier: int) -> Mapping[str, Any]:
        """Options for a new core that suits these teachers and this memory."""
        return asdict(self.options) | proposal(teachers, budget, tier)

    def size(self) -> int:
        """Parameters of a new core, its words left out."""
        return body(self.options.layers, self.options.width, self.options.intermediate)

    def create(self, profiles: Sequence[Profile]) -> Mapping[str, Student]:
        """An untrained core: one student for each core teacher, in its vocabulary, all sharing one body."""
        if not profiles:
            return {}
        readers = {each.teacher: self._reader(each) for each in profiles}
        words = {each.teacher: _words(each, readers[each.teacher]) for each in profiles}
        home = self._home(words)
        core = new_core(self.options, words[home], readers[home].tokenizer)
        model = NexusModel(NexusConfig(core=core.config), core)
        for_training(core)
        fuse(core)
        for teacher in sorted(readers.keys() - {home}):
            model.vocabularies[slot(teacher)] = Vocabulary(words[teacher], self.options.width)
        return {teacher: CoreStudent(model, teacher, readers, home) for teacher in readers}

    def adopt(self, source: str, folder: Path) -> None:
        """Writes a core that starts from a checkpoint; without a source an untrained one, for towers that perceive."""
        if source:
            write_core(folder / "core", *fetch_core(source))
        else:
            write_core(folder / "core", new_core(self.options, 2, None), None)

    def load(self, core: Path, tower: Tower, profiles: Sequence[Profile], *, name: str, component: str) -> Student:
        """The frozen core with a new tower, ready to be trained. Without profiles: a text tower on the core's words."""
        folder = core_folder(core)
        module, tokenizer = open_core(folder), read_tokenizer(folder)
        model = NexusModel(NexusConfig(core=module.config), module).requires_grad_(False)
        for_training(module)
        fuse(module)
        blueprint = core_blueprint(module, tokenizer)
        spec, reader = self._spec(tower, blueprint, profiles, name, component, tokenizer)
        own = tower.build(blueprint, profiles)
        decoders = tuple(settled(each) for each in decoders_of(tower))
        config, core_is = dict(tower.config()), core_hash(folder)
        spec = replace(spec, config=config, perceives=own is not None, core=core_is, decoders=decoders)
        _check_head(spec, own)
        new = TowerModule(spec, module, model.linears, len(model.layers), own)
        if new.vocabulary is not None:
            _warm_start(new.vocabulary, folder, profiles)
        model.attach(name, new)
        dtype = torch.bfloat16 if self.options.compress else torch.float32
        return TowerStudent(model, tower, name, reader if new.answers_in_text else None, dtype)

    def _spec(
        self, tower: Tower, core: Blueprint, profiles: Sequence[Profile], name: str, component: str, tokenizer: Any
    ) -> tuple[TowerSpec, TextReader | None]:
        adapter = tower.adapter(core, profiles)
        takes, gives = modalities(component, profiles)
        own = adapter.vocabulary == "own"
        if own and not profiles:
            raise NexusError(f"The tower '{name}' wants a vocabulary of its own, and no teacher gives it one.")
        limit = core.context
        reader = None if tokenizer is None else TextReader(tokenizer, limit)
        if own:
            reader = TextReader.of(preprocessor(profiles[0]), limit)
        spec = TowerSpec(
            name=name,
            component=component,
            adapter=adapter,
            alpha=self.options.alpha,
            takes=takes,
            gives=gives,
            labels=profiles[0].blueprint.classes if profiles and "text" not in gives else (),
            words=_words(profiles[0], reader) if own and reader is not None else 0,
            tokenizer=reader.hash if reader is not None and "text" in takes else "",
            teachers=tuple(profile.teacher for profile in profiles),
        )
        return spec, reader

    def _reader(self, profile: Profile) -> TextReader:
        return TextReader.of(
            preprocessor(profile), min(self.options.context, profile.blueprint.context or self.options.context)
        )

    def _home(self, words: Mapping[str, int]) -> str:
        named = self.options.tokenizer
        if named and named not in words:
            raise NexusError(
                f"student.options.tokenizer: '{named}' teaches no core here. Allowed: {', '.join(sorted(words))}."
            )
        return named or max(sorted(words), key=words.__getitem__)


def modalities(component: str, profiles: Sequence[Profile]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a tower takes and gives: as its component says, else as its teachers do, else text."""
    offered = Installed().components("tower").get(component)
    if isinstance(offered, TowerComponent):
        return offered.takes, offered.gives
    takes = {name for profile in profiles for name in profile.blueprint.takes}
    gives = {name for profile in profiles for name in profile.blueprint.gives}
    return tuple(sorted(takes or {"text"})), tuple(sorted(gives or {"text"}))


def _check_head(spec: TowerSpec, own: Any) -> None:
    """A tower that perceives and gives no text must answer itself."""
    if own is not None and ("text" in spec.gives) == hasattr(own, "decode"):
        wrong = "has a `decode`, though it gives text" if "text" in spec.gives else "has no `decode` to answer with"
        raise NexusError(
            f"The module of the tower component '{spec.component}' (gives {', '.join(spec.gives)}) {wrong}."
        )


def _words(profile: Profile, reader: TextReader) -> int:
    """Size of a vocabulary: every id that the tokenizer or the teacher's head may give."""
    return max(reader.words, profile.blueprint.vocabulary)


def _warm_start(vocabulary: Vocabulary, core: Path, profiles: Sequence[Profile]) -> None:
    """The embedding with which the core's training ended, where a teacher of this vocabulary taught the core."""
    for profile in profiles:
        for folder in (core, core.parent):
            path = folder / VOCABULARIES / f"{profile.teacher}.safetensors"
            if path.exists():
                words = read_tensors(path)["embedding"]
                if words.shape == vocabulary.embedding.shape:
                    vocabulary.embedding.data.copy_(words)
                    return
