"""Students and towers as folders: what is written, and which stored tensor is which parameter."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Protocol

import torch
from nexus_specs import Installed, Lookup, NexusError, plain
from nexus_torch.files import file_hash, read_tensors, write_json, write_tensors
from torch import Tensor

from .consolidation import Consolidation, check_step, write_consolidation
from .cores import CORE, core_blueprint, quiet, read_tokenizer
from .lora import CONFIG, WEIGHTS, peft_config, stored_embedding_names, stored_names
from .specs import SCHEMA, TOWER, read_spec
from .tower import TowerModule

OWN, VOCABULARY = "own.safetensors", "vocabulary"
EMBEDDING = f"{VOCABULARY}/embedding.safetensors"


class Body(Protocol):
    """What a tower is built for."""

    core: Any
    layers: tuple[str, ...]
    linears: tuple[str, ...]


class Whole(Body, Protocol):
    """A student with its towers, of which some may still lie in its folder."""

    config: Any
    folder: Path | None
    consolidation: Consolidation | None

    @property
    def tower_names(self) -> tuple[str, ...]:
        """All towers, loaded or not."""

    def tower(self, name: str) -> TowerModule:
        """A tower, loaded when it is first asked for."""


def build_tower(folder: Path, model: Body, lookup: Lookup | None) -> TowerModule:
    """A tower of a folder for this core, its weights not yet read."""
    spec = read_spec(folder)
    component = (lookup or Installed()).make("tower", spec.component, **spec.config)
    own = component.build(core_blueprint(model.core, None), ())
    return TowerModule(spec, model.core, model.linears, len(model.layers), own)


def open_tower(folder: Path, model: Body, lookup: Lookup | None) -> TowerModule:
    """A tower of a folder with its weights."""
    tower = build_tower(folder, model, lookup)
    names = stored(tower, model.core)
    for file in {file for file, _ in names}:
        tensors = read_tensors(folder / file)
        missing = [key for where, key in names if where == file and key not in tensors]
        if missing:
            raise NexusError(
                f"'{folder / file}' lacks {missing[0]}: it was made for another core or by another version."
            )
        tower.load_state_dict(
            {names[file, key]: each for key, each in tensors.items() if (file, key) in names}, strict=False
        )
    return tower


def stored(tower: TowerModule, core: Any) -> dict[tuple[str, str], str]:
    """(file, stored name) -> the tower's parameter or buffer."""
    found: dict[tuple[str, str], str] = {}
    for path, name in tower.paths.items():
        found |= {(WEIGHTS, key): f"lora.{name}.{side}" for side, key in stored_names(path).items()}
    if tower.words is not None:
        keys = stored_embedding_names(embedding_path(core))
        found |= {(WEIGHTS, key): f"words.{side}" for side, key in keys.items()}
    own = [name for name in tower.state_dict() if name.split(".")[0] in ("own", "cross")]
    found |= {(OWN, name): name for name in own}
    if tower.vocabulary is not None:
        found[EMBEDDING, "embedding"] = "vocabulary.embedding"
    return found


def embedding_path(core: Any) -> str:
    """The path of a core's embedding."""
    words = core.get_input_embeddings()
    return next(path for path, module in core.named_modules() if module is words)


def write_tower(
    folder: Path, tower: TowerModule, core: Any, tokenizer: Any | None, dtype: torch.dtype = torch.float32
) -> None:
    """Writes a tower's own files and nothing else; the same tower gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    state, files = tower.state_dict(), {}
    names = stored(tower, core)
    for file in sorted({file for file, _ in names}):
        tensors = {key: state[name] for (where, key), name in names.items() if where == file}
        files[file] = write_tensors(folder / file, {key: _stored(each, dtype) for key, each in tensors.items()})
    if any(file == WEIGHTS for file, _ in names):
        _write_peft_config(folder, tower, core)
        files[CONFIG] = file_hash(folder / CONFIG)
    if tower.vocabulary is not None and tokenizer is not None:
        tokenizer.save_pretrained(folder / VOCABULARY)
        files |= {f"{VOCABULARY}/{path.name}": file_hash(path) for path in sorted((folder / VOCABULARY).glob("*.json"))}
    facts = {name: value for name, value in plain(tower.spec).items() if value or name != "decoders"}
    write_json(folder / TOWER, {"schema": SCHEMA, "parameters": tower.sizes(core), "files": files} | facts)


def _write_peft_config(folder: Path, tower: TowerModule, core: Any) -> None:
    rank = tower.spec.adapter.rank
    targets = [*tower.paths] + ([embedding_path(core)] if tower.words is not None else [])
    config = peft_config(sorted(targets), rank, tower.spec.alpha * rank, tied=tower.words is not None)
    write_json(folder / CONFIG, config)


def _stored(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.detach().to(dtype) if tensor.is_floating_point() else tensor.detach()


def write_core(folder: Path, core: Any, tokenizer: Any | None) -> None:
    """Writes a core as a Hugging Face folder, with its tokenizer."""
    with quiet():
        core.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


def write_student(model: Whole, folder: Path) -> None:
    """Writes a whole student: config.json, `core/`, `towers/`, and the consolidation step if it has one."""
    if model.consolidation is not None:
        check_step(model.consolidation, model.tower_names)
    folder.mkdir(parents=True, exist_ok=True)
    model.config.save_pretrained(folder)
    source = model.folder
    write_core(folder / CORE, model.core, None if source is None else read_tokenizer(source / CORE))
    for name in model.tower_names:
        copy_or_write(model, name, folder / "towers" / name)
    if model.consolidation is not None:
        write_consolidation(folder, model.consolidation)


def copy_or_write(model: Whole, name: str, folder: Path) -> None:
    """A tower that came from a folder is copied, byte for byte; one that is new is written."""
    origin = None if model.folder is None else model.folder / "towers" / name
    if origin is not None and origin.exists():
        shutil.copytree(origin, folder, dirs_exist_ok=True)
    else:
        write_tower(folder, model.tower(name), model.core, None)
