"""A Hugging Face folder on disk: configuration, tokenizer files, and where every tensor's bytes lie."""

from __future__ import annotations

import codecs
import json
import re
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nexus_specs import Extent, NexusError, locate

from nexus_torch import hub
from nexus_torch.hub.snapshots import VARIANT

from .configuration.limits import LARGEST_FILE, LARGEST_INDEX, MOST_VALUES
from .configuration.originals import elsewhere
from .configuration.pickled import found, refusal
from .header import file_extents

CONFIG, ONE_FILE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
LONGEST = 200
"""Letters of a file's name."""
Spared = Callable[[Sequence[str], set[str]], set[str]]
_SHARD = re.compile(r"-\d{5}-(?=of-\d{5}\.safetensors$)")
PREPROCESSOR_FILES = (
    CONFIG, "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "tokenizer.model",
    "sentencepiece.bpe.model", "sentencepiece.model", "spm.model", "spm_char.model", "source.spm", "target.spm",
    "vocab.bpe", "bpe.codes", "tokenizer.tiktoken", "tiktoken.model", "tekken.json", "preprocessor_config.json",
    "processor_config.json", "video_preprocessor_config.json", "chat_template.jinja", "chat_template.json",
)  # fmt: skip
"""Files beside the weights that say how inputs become tensors."""
MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
"""What some editors put before a text."""


def configuration(source: str) -> dict[str, Any]:
    """The parsed config.json of a source; {} where there is none that can be read. NexusError where the hub has no
    such thing."""
    path = folder(source) / CONFIG
    try:
        return parsed(path)
    except NexusError:
        return {}


def parsed(path: Path) -> dict[str, Any]:
    """The object in a small JSON file. NexusError for what is no such file, is too large or too deep."""
    data = _read(path)
    if not isinstance(data, dict):
        raise NexusError(f"'{path}' holds no JSON object. Fetch the file again.")
    return data


def parsed_list(path: Path) -> list[Any]:
    """The list in one. NexusError likewise."""
    data = _read(path)
    if not isinstance(data, list):
        raise NexusError(f"'{path}' holds no JSON list. Fetch the file again.")
    return data


def _read(path: Path) -> Any:
    try:
        if not stat.S_ISREG(path.stat().st_mode):           # a pipe is waited for without end
            raise NexusError(f"'{path}' is no file. Put the file there.")
        largest = LARGEST_INDEX if path.name.startswith(INDEX.removesuffix("json")) else LARGEST_FILE
        if path.stat().st_size > largest:
            raise NexusError(f"'{path}' has {path.stat().st_size:,} bytes; a {path.name} has at most {largest:,}.")
        return json.loads(_few(path, unmarked(path)))
    except OSError as error:
        raise NexusError(f"'{path}' cannot be read ({error.strerror}). Put it back, or mend `source`.") from error
    except (ValueError, RecursionError) as error:
        what = "too deep" if isinstance(error, RecursionError) else str(error)[:200]
        raise NexusError(f"'{path}' is no JSON ({what}). Fetch the file again.") from error


def unmarked(path: Path) -> bytes:
    """What stands in a text file. NexusError where a byte order mark stands first."""
    data = path.read_bytes()
    if data.startswith(MARKS):
        raise NexusError(f"'{path}' begins with a byte order mark, and transformers reads none: save it as UTF-8.")
    return data


def _few(path: Path, data: bytes) -> bytes:
    """The bytes of a JSON file, unless they are too many values: a few bytes each become a hundred in memory."""
    if (count := sum(data.count(mark) for mark in (b",", b"[", b"{"))) > MOST_VALUES:
        raise NexusError(f"'{path}' holds {count:,} values; at most {MOST_VALUES:,} are read. Fetch the file again.")
    if len(data) > LARGEST_FILE and not data.isascii():     # such a text takes up to four times its bytes
        raise NexusError(f"'{path}' holds more than the names of tensors and files. Fetch the file again.")
    return data


def folder(source: str) -> Path:
    """The folder behind a source: a path, a package: resource, or a name on the hub ("owner/name", "hub:owner/name",
    "@revision" behind it), whose small files are fetched then. A path that does not exist where nothing does.
    NexusError where the hub has no such thing or does not show it."""
    try:
        path = locate(source).absolute()
    except (FileNotFoundError, ModuleNotFoundError):
        return Path(source)
    return path if path.exists() or hub.parse(source) is None else hub.snapshot(source)


def extents(home: Path, spared: Spared | None = None) -> list[Extent]:
    """Every stored tensor of the folder, from the headers alone: where its bytes lie. NexusError where weights are
    missing or unsafe. `spared`: those of an index's tensors that no file need hold, beside those that they do."""
    files = stored_files(home)
    found = [extent for file in files for extent in file_extents(file)]
    if {Path(file).name for file in files} == {ONE_FILE}:
        return found
    if (index := _index(home)) is not None:
        refuse_unlike(index, parsed(index).get("weight_map"), found, spared)
    else:
        _refuse_twice(found)
    return found


def _refuse_twice(found: Sequence[Extent]) -> None:
    """NexusError for a tensor that two files hold of which no index says that they belong together: they are two
    models, or two savings of one."""
    first: dict[str, Extent] = {}
    for extent in found:
        if (other := first.setdefault(extent.key, extent)) is not extent:
            raise NexusError(
                f"'{other.file}' and '{Path(extent.file).name}' beside it both hold the tensor '{extent.key}', and no "
                f"{INDEX} says which of them is read. Leave one of them, named {ONE_FILE}, or fetch the index."
            )


def refuse_unlike(index: Path, places: Any, found: Sequence[Extent], spared: Spared | None = None) -> None:
    """NexusError for a tensor that an index places in one of its files, and that none of them holds (`found` are those
    that they do); and for one that a file holds, and that the index has no entry for: then they are not of one
    checkpoint. One that lies in another of its files is read there, and one that is `spared` not missed, as the
    libraries do."""
    if not isinstance(places, dict):
        return
    home, known = index.parent, {extent.key for extent in found}
    unlisted = [extent for extent in found if extent.key not in places]
    for name in sorted(_siblings(home, places) if not unlisted else ()):
        unlisted += file_extents(str(home / name))
    if unlisted:
        more = f" and for {len(unlisted) - 1} more" if len(unlisted) > 1 else ""
        raise NexusError(
            f"'{index}' has no entry for the tensor '{unlisted[0].key}', which '{unlisted[0].file}' holds"
            f"{more}. Fetch both again."
        )
    lacking = [key for key in places if key not in known]
    allowed = spared(lacking, known) if lacking and spared else set()
    if lacking := [key for key in lacking if key not in allowed]:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise NexusError(
            f"'{home / str(places[lacking[0]])}' lacks the tensor '{lacking[0]}'{more}, which {index.name} places in "
            "it. Fetch both again."
        )


def _siblings(home: Path, places: dict[str, Any]) -> set[str]:
    """Shards beside those that an index names, of the same set by their names (`model-00003-of-00009.safetensors`)."""
    named = {name for name in places.values() if isinstance(name, str)}
    sets = {_SHARD.sub("-*-", name) for name in named if _SHARD.search(name)}
    here = {path.name for pattern in sets for path in home.glob(pattern)}
    return {name for name in here - named if _SHARD.sub("-*-", name) in sets}


def has_weights(home: Path) -> bool:
    """Whether a folder has weights at all, or names some: pickled and incomplete ones count, so that they are spoken
    of."""
    kinds = ("*.safetensors", INDEX)
    return bool(hub.weights(home) or found(home)) or any(next(home.glob(kind), None) is not None for kind in kinds)


def stored_files(home: Path) -> list[str]:
    """The safetensors files of a folder, in order: paths, or addresses of what is on the hub alone."""
    if names := hub.weights(home):
        return [hub.place(home, name) for name in names]
    return [str(path) for path in weight_files(home)]


def weight_files(home: Path) -> list[Path]:
    """The safetensors files of a folder, in order."""
    if (home / ONE_FILE).is_file():
        return [home / ONE_FILE]
    if (index := _index(home)) is not None:
        names = _indexed(index)
        if missing := [name for name in names if not (home / name).is_file()]:
            raise NexusError(f"'{home}' lacks {', '.join(missing)}, which {index.name} lists. Fetch what is missing.")
        return [home / name for name in names]
    files = sorted(home.glob("*.safetensors"))
    variants = [path for path in files if VARIANT.fullmatch(path.name) and not _SHARD.search(path.name)]
    if variants or files:
        return variants[:1] or files
    raise NexusError(_no_weights(home))


def _index(home: Path) -> Path | None:
    """The index of several files: the plain one, else that of a variant (`model.safetensors.index.fp16.json`)."""
    if (home / INDEX).is_file():
        return home / INDEX
    return min(home.glob(f"{ONE_FILE}.index.*.json"), key=lambda path: (len(path.name), path.name), default=None)


def _indexed(index: Path) -> list[str]:
    """The files that an index names: plain names, in the folder itself."""
    places = parsed(index).get("weight_map")
    names = list(places.values()) if isinstance(places, dict) else []
    wrong = [each for each in names if not isinstance(each, str) or Path(each).name != each or len(each) > LONGEST]
    if wrong or not names:
        what = f"names {wrong[0]!r:.80}, which is no file of this folder" if wrong else "names no files"
        raise NexusError(f"'{index}' {what}. Fetch the index again.")
    return sorted(set(names))


def copy_preprocessor(home: Path, target: Path) -> None:
    """Copies tokenizer and processor files and the configuration, never weights."""
    target.mkdir(parents=True, exist_ok=True)
    for name in PREPROCESSOR_FILES:
        if (home / name).is_file():
            shutil.copyfile(home / name, target / name)


def _no_weights(home: Path) -> str:
    if pickled := found(home):
        return refusal(home, pickled)
    others = f": what is there, {named}, is not read" if (named := elsewhere(home)) else ""
    return f"'{home}' has a {CONFIG} but no weights (*.safetensors){others}. Fetch model.safetensors into it."
