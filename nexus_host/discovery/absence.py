"""What is said of a source that no loader opens: what it is, and what to type next."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from nexus_specs import Lookup, NexusError, locate, reader_for

from ..words import did_you_mean, listed
from .addresses import meant_by, of_repository

_CONFIG, _GGUF = "config.json", ".gguf"
_WHOLE = (_CONFIG, "model_index.json", "adapter_config.json")
"""What the folder of a checkpoint holds, one of these."""
_EXAMPLE = '"model_type": "bert", say'
_BARE = re.compile(r"[\w-][\w.-]*")
_INSIDE = re.compile(r"[A-Za-z0-9][\w.-]*(?:/[\w.#-]+){2,}")
"""What may be meant for a folder of a repository: OWNER/NAME/FOLDER."""
_CACHED = re.compile(r"models--([\w.-]+?)--([\w.-]+)")
"""A folder of the hub's cache."""
_POINTER = b"version https://git-lfs.github.com/spec/"
_PICKLED = (b"PK\x03\x04", b"\x80")
"""How files of `torch.save` and of pickle begin."""
_LARGEST = 32 << 20
"""Bytes of a config.json that is looked into."""
_MADE_UP = ("/proc/", "/sys/")
"""Where a file says that it has no bytes, and gives as many as are asked for."""
_FOLDERS = 50
_LOOKED_AT, _SHOWN = 1000, 5
"""Names of a folder that are looked at, and that are shown."""
_EXPORTED = "Name the folder or the repository that it was made from, with config.json and *.safetensors in it"
_ENDINGS: Mapping[tuple[str, ...], str] = {
    (".zip", ".tar", ".tgz", ".tar.gz", ".7z", ".rar"): "an archive. Unpack it, and name the folder of the checkpoint",
    (".onnx",): f"a program for ONNX, which is not read. {_EXPORTED}",
    (".tflite",): f"a program for TensorFlow Lite, which is not read. {_EXPORTED}",
    (".h5", ".hdf5", ".keras", ".pb"): f"a model of TensorFlow or Keras, which is not read. {_EXPORTED}",
    (".msgpack",): f"a model of Flax, which is not read. {_EXPORTED}",
    (".npz", ".npy"): f"arrays of numpy, and nothing says of which model. {_EXPORTED}",
    (".mlmodel", ".mlpackage"): f"a program for Core ML, which is not read. {_EXPORTED}",
    (".engine", ".plan", ".trt"): f"a program for TensorRT, which is not read. {_EXPORTED}",
}
_PICKLES = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".ckpt", ".joblib")
_PICKLE = (
    "it is a pickle, as torch.save writes it, which can run code when opened, so it is not read. Name the folder that "
    "holds it with its config.json: the command that converts it once is shown for that"
)
_TOKENS = "That is a tokenizer without its model."
_TOKENIZERS = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")


def absence(lookup: Lookup, source: str) -> str:
    """What is the matter with a source that nothing opens, and what to do."""
    try:
        path = locate(source)
    except FileNotFoundError as error:
        return f"{error}. Install it with pip."
    if path.is_dir():
        said = _of_folder(path)
        whole = _TOKENS in said or (path / _CONFIG).exists() or (path / _CONFIG).is_symlink()
        return said if whole else f"{said}{_data(lookup, source)}"
    if path.exists():
        return _of_file(path, _data(lookup, source))
    if path.is_symlink():
        return "it is a link to nothing. Mend the link, or name the folder itself."
    return meant_by(source) or of_repository(source) or _of_nothing(path, source)


def pointers(source: str) -> str:
    """What is said of a checkpoint of which git fetched only pointers; "" where it is whole, or not on this machine."""
    try:
        path = locate(source)
        files = [path] if path.is_file() else _files(path) if path.is_dir() else []
        found = next((file for file in files if _begins(file, _POINTER)), None)
    except OSError:
        return ""
    if found is None:
        return ""
    return (
        f"'{found}' is a pointer of Git LFS, not the file itself. In that folder type: git lfs install && git lfs pull"
    )


def without_end(source: str) -> Path | None:
    """What in a folder, or in folders in it, leads to what is no file and says that it is one; None where nothing
    does."""
    try:
        path = locate(source)
        inside = list(islice(path.iterdir(), _LOOKED_AT)) if path.is_dir() else []
        folders = [each for each in inside[:_FOLDERS] if each.is_dir() and not each.is_symlink()]
        deeper = (each for folder in folders for each in islice(folder.iterdir(), _LOOKED_AT))
        links = (each for each in (path, *inside, *deeper) if each.is_symlink())
        return next((each for each in links if os.path.realpath(each).startswith(_MADE_UP)), None)
    except (OSError, ValueError):
        return None


def _of_nothing(path: Path, source: str) -> str:
    near = did_you_mean(path.name, [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else [])
    if _BARE.fullmatch(source) and not near:
        return (
            f"there is no folder '{source}' here, and on the hub a name has an owner: OWNER/{source} "
            f"(https://huggingface.co/models?search={source} finds it)."
        )
    inner = f" (of a folder in it: hub:{source})" if _INSIDE.fullmatch(source) and not near else ""
    kinds = f"Name a folder, package:NAME/PATH, or OWNER/NAME on the hub{inner}."
    return f"there is nothing at {path.absolute()}.{near} {kinds}"


def _of_file(path: Path, data: str) -> str:
    if not path.is_file():
        return "it is no file that can be read. Name the folder of a checkpoint."
    if any((path.parent / name).is_file() for name in _WHOLE):
        return f"it is one file of a checkpoint. Name its folder: {path.parent}."
    name = path.name.lower()
    if name.endswith(_PICKLES) and _begins(path, *_PICKLED):
        return f"{_PICKLE}."
    for endings, word in _ENDINGS.items():
        if name.endswith(endings):
            return f"it is {word}."
    return f"it is a file.{data} Name the folder that holds {_CONFIG} and the weights (*.safetensors)."


def _of_folder(path: Path) -> str:
    if (path / _CONFIG).is_file():
        return _unknown(path / _CONFIG)
    if (path / _CONFIG).exists() or (path / _CONFIG).is_symlink():
        return f"its {_CONFIG} is no file that can be read. Put the file there."
    names = sorted(each.name for each in islice(path.iterdir(), _LOOKED_AT))
    if files := [name for name in names if name.lower().endswith(_GGUF)]:
        return f"the folder has no {_CONFIG}, and several models. Name one of its files, as {path / files[0]}."
    if said := _cached(path, names):
        return said
    if {"status.json", "artefacts"} <= set(names):
        return f"it is the folder of a run. Name its release, {path / 'release'}; `nexus show {path}` shows the run."
    if "artefact.json" in names:
        return f"it is what one unit of a run made, no checkpoint. `nexus show {path}` shows it."
    if inner := [name for name in names if any((path / name / each).is_file() for each in _WHOLE)]:
        more = f", of {len(inner)}" if len(inner) > 1 else ""
        return f"the folder has no {_CONFIG}, and a folder in it has. Name that: {path / inner[-1]}{more}."
    shown = f"{listed(names[:_SHOWN])}{', …' if len(names) > _SHOWN else ''}"
    tokens = f" {_TOKENS}" * (bool(names) and not {*names} - _company(names))
    return f"the folder has no {_CONFIG} (it holds {shown}).{tokens} Name the folder of one checkpoint."


def _company(names: Collection[str]) -> set[str]:
    """What stands beside a tokenizer without being a model; nothing where no tokenizer is there."""
    if not {*names} & {*_TOKENIZERS}:
        return set()
    return {name for name in names if name.lower().endswith((".json", ".txt", ".model", ".md", ".jinja"))}


def _cached(path: Path, names: Sequence[str]) -> str:
    """What is said of the hub's cache, and of a repository in it."""
    if (found := _CACHED.fullmatch(path.name)) and "snapshots" in names:
        commits = sorted(each.name for each in (path / "snapshots").iterdir())
        folder = f", or its folder: {path / 'snapshots' / commits[-1]}" if commits else ""
        return f"it is a folder of the hub's cache. Name what is in it: {found[1]}/{found[2]}{folder}."
    known = ["/".join(found.groups()) for name in names if (found := _CACHED.fullmatch(name))]
    return f"it is the hub's cache. Name what is in it: {listed(known[:_SHOWN])}." if known else ""


def _data(lookup: Lookup, source: str) -> str:
    """What is said of a file or a folder that a reader reads; "" for any other."""
    try:
        reader = reader_for(source, lookup)
    except (NexusError, OSError):
        return ""
    return f" The reader '{reader}' reads it as data: nexus add CHECKPOINT --data {source}."


def _unknown(config: Path) -> str:
    """What a config.json names that no loader knows."""
    try:
        told = json.loads(config.read_text(encoding="utf-8")) if config.stat().st_size <= _LARGEST else None
    except (OSError, ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        return f"its {_CONFIG} cannot be read. Fetch it again."
    named = told.get("model_type")
    if named is None and "pretrained_cfg" in told:
        return "it is a model of timm, which is not read. Name one in transformers' own layout, or add a plugin."
    if not isinstance(named, str):
        return f"its {_CONFIG} names no model_type. Fetch it again, or add the one it is of ({_EXAMPLE})."
    own = " The code that it brings along is never run, unless the registry trusts its commit." * ("auto_map" in told)
    return f"it is of the model type {named[:60]!r}, which no loader knows.{own} Update transformers or add a plugin."


def _files(folder: Path) -> Iterator[Path]:
    return (each for each in islice(folder.iterdir(), _LOOKED_AT) if each.is_file())


def _begins(file: Path, *starts: bytes) -> bool:
    with file.open("rb") as opened:
        return opened.read(max(map(len, starts))).startswith(starts)
