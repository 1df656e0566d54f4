"""A Diffusers folder on disk: its index, its configurations, and where the bytes of every tensor lie."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nexus_specs import Extent, NexusError
from nexus_torch import hub
from nexus_torch.hugging_face.configuration.pickled import refusal
from nexus_torch.hugging_face.folder import has_weights as stored
from nexus_torch.hugging_face.folder import refuse_unlike
from nexus_torch.hugging_face.header import file_extents

INDEX, CONFIG = "model_index.json", "config.json"
LARGEST = 16 << 20
"""Bytes of the largest configuration that is read."""
STEMS = ("diffusion_pytorch_model", "model")
"""What diffusers and transformers call their weight files."""
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object. NexusError for what is none, or absurdly large."""
    try:
        if path.stat().st_size > LARGEST:
            raise NexusError(f"'{path}' has {path.stat().st_size} bytes: no configuration is so large. Fetch it again.")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NexusError(f"'{path}' cannot be read ({error.strerror}). Fetch it from where the weights are.") from error
    except (ValueError, RecursionError) as error:
        raise NexusError(f"'{path}' is not JSON ({error}). Fetch it again.") from error
    if not isinstance(data, dict):
        raise NexusError(f"'{path}' holds a {type(data).__name__}, not an object with named values. Fetch it again.")
    return data


def described(home: Path) -> dict[str, Any]:
    """The index of a pipeline's folder, else the configuration of a model's; {} where neither is readable."""
    for name in (INDEX, CONFIG):
        if (home / name).is_file():
            try:
                return read_json(home / name)
            except NexusError:
                return {}
    return {}


def extents(home: Path, loading: str) -> list[Extent]:
    """Every stored tensor of one component, from headers alone; `loading` is the Python that would read its pickles."""
    if names := hub.weights(home):                          # on a hub, where only headers are read
        return [each for name in names for each in file_extents(hub.place(home, name))]
    found = [each for path in weight_files(home, loading) for each in file_extents(str(path))]
    if (index := _index(home)) is not None:
        refuse_unlike(index, read_json(index)["weight_map"], found)
    return found


def has_weights(home: Path) -> bool:
    """Whether one component has weights, or names some: pickled and incomplete ones count, so that they are spoken
    of."""
    named = ("*.safetensors.index*.json", "*.gguf")
    return stored(home) or any(next(home.glob(each), None) is not None for each in named)


def dtype_of(pipeline: Path) -> str:
    """The dtype that the text encoders of a pipeline name ("bfloat16"), which its other models are published in and do
    not say; "" where there are none."""
    for place in sorted(pipeline.glob(f"text_encoder*/{CONFIG}")):
        said = described(place.parent)
        if isinstance(found := said.get("dtype") or said.get("torch_dtype"), str):
            return found.removeprefix("torch.")
    return ""


def weight_files(home: Path, loading: str) -> list[Path]:
    """The safetensors files of one component: the plain ones, else the ones of one variant (fp16)."""
    for stem in STEMS:
        if (home / f"{stem}.safetensors").is_file():
            return [home / f"{stem}.safetensors"]
        if (index := _index_of(home, stem)) is not None:
            return _listed(home, index)
    others = [path for stem in STEMS for path in home.glob(f"{stem}.*.safetensors")]
    variants = sorted(path for path in others if not _SHARD.search(path.stem))
    if variants:
        return variants[:1]
    raise NexusError(_no_weights(home, loading))


def _index(home: Path) -> Path | None:
    """The index of the files that `weight_files` gives, if they have one."""
    for stem in STEMS:
        if (home / f"{stem}.safetensors").is_file():
            return None
        if (index := _index_of(home, stem)) is not None:
            return index
    return None


def _index_of(home: Path, stem: str) -> Path | None:
    """Of files of one name: that of the plain ones, else of a variant."""
    indices = sorted(home.glob(f"{stem}.safetensors.index*.json"), key=lambda path: len(path.name))
    return indices[0] if indices else None


def _listed(home: Path, index: Path) -> list[Path]:
    table = read_json(index).get("weight_map")
    if not isinstance(table, Mapping) or not all(isinstance(name, str) for name in table.values()):
        raise NexusError(f"'{index}' has no weight_map of names. Fetch it again.")
    names = sorted(set(table.values()))
    if outside := [name for name in names if Path(name).name != name]:
        raise NexusError(f"'{index}' names '{outside[0]}', outside its folder. Do not trust this checkpoint.")
    if missing := [name for name in names if not (home / name).is_file()]:
        raise NexusError(f"'{home}' lacks {', '.join(missing)}, which {index.name} lists. Fetch what is missing.")
    return [home / name for name in names]


def _no_weights(home: Path, loading: str) -> str:
    if parts := sorted(path.name for path in home.glob("*.safetensors") if _SHARD.search(path.stem)):
        stem = _SHARD.sub("", Path(parts[0]).stem)
        return (
            f"'{home}' holds {parts[0]}, one of several files, and no {stem}.safetensors.index.json, which says what "
            "lies where. Fetch it into the folder."
        )
    if packed := sorted(path.name for path in home.glob("*.gguf")):
        return (
            f"'{home}' holds {packed[0]}: denoisers in GGUF are not read. Fetch {STEMS[0]}.safetensors into it, from "
            "where the packed file was made of."
        )
    pickled = sorted(path.name for path in (*home.glob("*.bin"), *home.glob("*.pt"), *home.glob("*.ckpt")))
    if not pickled:
        return f"'{home}' holds no weights (*.safetensors). Fetch {STEMS[0]}.safetensors into it."
    program = f"{loading}.from_pretrained({{place}}, use_safetensors=False).save_pretrained({{place}})"
    return refusal(home, pickled, program)
