"""A GGUF model: one file or all its splits, with metadata that is read when it is asked for."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from nexus_specs import NexusError, locate
from numpy.typing import NDArray

from .beginnings import OLD
from .beside import beside
from .bytes import Cursor
from .remote import SUFFIX, check_one, is_model, listed, on_hub, there
from .scanner import MAGIC, MANY, Scan, Stored, scan
from .types import ARRAY, BLOCKS, SCALARS, STRING, TensorInfo

SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf")
"""Names of splits, as `gguf-split` writes them."""
MOST_SPLITS = 1000
NUMPY: Mapping[str, str] = {
    "B": "u1", "b": "i1", "H": "u2", "h": "i2", "I": "u4", "i": "i4", "f": "f4", "?": "?", "Q": "u8", "q": "i8",
    "d": "f8",
}  # fmt: skip
"""Letters of `struct` -> types of numpy."""
PACKED: Mapping[str, str] = {"d": "f8", "Q": "u8", "q": "i8"}
"""Letters of `array` -> types of numpy."""
PIECE = 1 << 18
"""Bytes of a long value that are read at once."""
LARGEST_TEXT = 8 << 20
"""Bytes of one string value: chat templates have less than 100,000."""
LARGEST_FACTORS = 1 << 20
"""Bytes of a tensor that the configuration needs: a number or two for each column of a head."""


class Source:
    """The metadata and tensors of one model."""

    def __init__(self, path: Path) -> None:
        self.path = path
        scans = [scan(each) for each in files(path)]
        self.metadata: Mapping[str, Any] = scans[0].metadata
        self.places: Mapping[str, tuple[Path, TensorInfo]] = _together(scans)
        self.tensors: Mapping[str, TensorInfo] = {name: info for name, (_, info) in self.places.items()}
        self.architecture = self.text("general.architecture")
        count = self.whole("split.count", 1)
        if len(scans) == 1 and count > 1:
            number = self.whole("split.no", 0) + 1
            raise NexusError(
                f"'{path}' is split {number} of {count} of a model, and renamed: the others are found by its name. "
                f"Call it NAME-{number:05d}-of-{count:05d}.gguf, as the others are called."
            )

    @cached_property
    def longest(self) -> int:
        """The largest dimension of a tensor."""
        return max((length for each in self.tensors.values() for length in each.shape), default=0)

    def get(self, key: str, default: Any = None) -> Any:
        """A value, arrays as lists, of very many numbers as an `array.array`; "{arch}" in the key is the architecture.
        `default` where it is not there."""
        name = key.replace("{arch}", self.architecture) if "{arch}" in key else key
        if name not in self.metadata:
            return default
        value = self.metadata[name]
        return self._read(name, value) if isinstance(value, Stored) else value

    def pieces(self, key: str) -> Iterator[bytes]:
        """The bytes of a value as they stand in the file, some at a time."""
        value = self.metadata[key]
        if not isinstance(value, Stored):
            yield repr(value).encode()
            return
        with Cursor(self.path_of_metadata, value.start, value.stop) as cursor:
            cursor.field = f"metadata '{key}'"
            while left := value.stop - cursor.position:
                yield cursor.take(min(left, PIECE))

    def text(self, key: str, default: str = "") -> str:
        """A value that must be a text of one line: a name."""
        found = self.get(key, default)
        if not isinstance(found, str):
            raise NexusError(f"'{self.path}': the metadata '{key}' is {type(found).__name__}, and should be text.")
        if not found.isprintable():
            raise NexusError(f"'{self.path}': the metadata '{key}' is {found!r:.80}, which no name is. Fetch it again.")
        return found

    def whole(self, key: str, default: int | None = None) -> int:
        """A value that must be a whole number, zero or more."""
        found = self.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            said = "is missing" if found is None else f"is {found!r}, and should be a whole number"
            name = key.replace("{arch}", self.architecture)
            raise NexusError(f"'{self.path}': the metadata '{name}' {said}. Convert the model again.")
        return found

    def tensor(self, name: str) -> NDArray[np.uint8]:
        """The raw bytes of one small tensor (rotary factors, which the configuration needs), [rows, bytes of a row]."""
        path, info = self.places[name]
        block, size = BLOCKS[info.kind]
        with Cursor(path, info.start, info.stop) as cursor:
            cursor.field = f"tensor '{name}'"
            if info.stop - info.start > LARGEST_FACTORS:
                raise cursor.wrong(f"{info.stop - info.start} bytes; the configuration takes up to {LARGEST_FACTORS}")
            data = np.frombuffer(cursor.take(info.stop - info.start), dtype=np.uint8)
        return data.reshape(math.prod(info.shape[:-1]), (info.shape[-1] if info.shape else 1) // block * size)

    def _read(self, key: str, value: Stored) -> Any:
        with Cursor(self.path_of_metadata, value.start, value.stop) as cursor:
            cursor.field = f"metadata '{key}'"
            if value.kind == STRING:
                if value.stop - value.start > LARGEST_TEXT:
                    raise cursor.wrong(f"a text of {value.stop - value.start} bytes")
                return cursor.take(value.stop - value.start).decode("utf-8", "replace")
            inner = value.kind - ARRAY - 1
            if inner == STRING:
                return [cursor.take(cursor.number("Q")).decode("utf-8", "replace") for _ in range(value.count)]
            numbers = np.frombuffer(cursor.take(value.stop - value.start), dtype=f"<{NUMPY[SCALARS[inner]]}")
            if value.count <= MANY:
                return numbers.tolist()
            code = "d" if numbers.dtype.kind == "f" else "Q" if numbers.dtype.kind == "u" else "q"
            packed = array(code)
            packed.frombytes(memoryview(numbers.astype(PACKED[code])).cast("B"))
            return packed

    @property
    def path_of_metadata(self) -> Path:
        """The file that holds the metadata: the first."""
        return files(self.path)[0]


def located(source: str) -> Path | None:
    """The GGUF file that a source means: itself, or the only model of a folder; the first of several, which `chosen`
    speaks of, beside a config.json. None for anything else. NexusError for a choice, and for a file that is not in its
    folder."""
    try:
        path = locate(source).absolute()
    except (FileNotFoundError, ModuleNotFoundError):
        return None
    if not path.exists():
        _check_named(source, path)
        return on_hub(source)
    if path.is_file():
        return path if path.suffix.lower() == SUFFIX or _begins(path) else None
    heads = models(path)
    if len(heads) > 1 and not (path / "config.json").is_file():
        raise _several(source, path, heads)
    return heads[0] if heads else None


def _check_named(source: str, path: Path) -> None:
    """NexusError for a GGUF file that a folder of others has not."""
    if path.suffix.lower() != SUFFIX or not path.parent.is_dir():
        return
    if there := sorted(each.name for each in path.parent.iterdir() if each.suffix.lower() == SUFFIX):
        raise NexusError(
            f"'{source}' is not there: the folder '{path.parent}' has no '{path.name}'. Its GGUF files: "
            f"{listed(there)}."
        )


def chosen(source: str, path: Path) -> Path:
    """The located file. NexusError where others lie beside it and nothing says which is meant."""
    try:
        folder = locate(source).absolute()
    except (FileNotFoundError, ModuleNotFoundError):        # a package that is not here
        return path
    if not folder.exists():
        check_one(source)
        return path
    heads = models(folder)
    if len(heads) > 1:
        raise _several(source, folder, heads)
    return path


def _several(source: str, folder: Path, heads: Sequence[Path]) -> NexusError:
    """What to say of a folder with several models."""
    shown = listed([each.name for each in heads])
    return NexusError(f"'{source}' holds {len(heads)} GGUF models. Name one, as {folder / heads[0].name}: {shown}.")


def models(folder: Path) -> list[Path]:
    """The models of a folder, splits by their first; none where it is another loader's: config.json and safetensors.
    What lies beside a model (a tower, an adapter) is one only where there is nothing else."""
    theirs = (folder / "config.json").exists() and next(folder.glob("*.safetensors"), None) is not None
    if not folder.is_dir() or theirs:
        return []
    called = sorted(each for each in folder.iterdir() if each.suffix.lower() == SUFFIX)
    found = [each for each in called if each.is_file()] or called       # what is no file is told when it is opened
    heads = [each for each in found if (m := SPLIT.fullmatch(each.name)) is None or int(m["number"]) == 1]
    named = [each for each in heads if is_model(each.name)]
    found = [each for each in named if not beside(each)] if len(named) > 1 else named
    return found or named or heads


def _begins(path: Path) -> bool:
    """Whether a file without the ending is one all the same (Ollama's blobs), or was one before GGUF."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (MAGIC, *OLD)
    except OSError:
        return False


def files(path: Path) -> list[Path]:
    """The file, or all splits that it belongs to, in order. NexusError where one is missing."""
    match = SPLIT.fullmatch(path.name)
    if match is None:
        return [path]
    count = int(match["count"])
    if not 1 <= count <= MOST_SPLITS:
        raise NexusError(f"'{path}' says that it is one of {count} splits; 1 to {MOST_SPLITS} are allowed.")
    names = [path.with_name(f"{match['stem']}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1)]
    if missing := [each.name for each in names if not there(each)]:
        shown = ", ".join(missing[:4])
        raise NexusError(f"'{path.parent}' lacks {shown}, split(s) of this model. Fetch what is missing.")
    return names


def _together(scans: list[Scan]) -> dict[str, tuple[Path, TensorInfo]]:
    found: dict[str, tuple[Path, TensorInfo]] = {}
    for each in scans:
        if twice := next((name for name in each.tensors if name in found), None):
            raise NexusError(f"'{each.path}': the tensor '{twice}' is in another split too. Fetch the splits again.")
        found |= {name: (each.path, info) for name, info in each.tensors.items()}
    for number, each in enumerate(scans if len(scans) > 1 else ()):
        allowed = {"split.no": number, "split.count": len(scans), "split.tensors.count": len(found)}
        wrong = [key for key, right in allowed.items() if each.metadata.get(key, right) != right]
        if wrong:
            raise NexusError(
                f"'{each.path}' does not belong where its name puts it: its metadata '{wrong[0]}' is "
                f"{each.metadata[wrong[0]]!r:.40}, and this is split {number + 1} of {len(scans)}, which hold "
                f"{len(found)} tensors. Fetch the splits again, and leave their names as they are."
            )
    return found
