"""Files of tensors with the same bytes for the same content, read without memory maps.

A map of a file that is cut short kills the process (SIGBUS), and a map keeps deleted files on the disk: everything
here reads with `pread`. Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from nexus_specs import NexusError
from safetensors.torch import load, save

from . import first_calls as first_calls
from .naming import naming

DTYPES: Mapping[str, torch.dtype] = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
    "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2, "F8_E8M0": torch.float8_e8m0fnu,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64,
}  # fmt: skip
"""Names of safetensors -> torch dtypes."""

HEADER_LIMIT = 32 << 20
"""The largest header that is read, in bytes: of a hundred thousand tensors and more."""
MOST_VALUES = 1_000_000
"""Values in a header, likewise: each takes some sixty bytes once it is read."""
LARGEST_READ = 1 << 30
"""Bytes asked for at once: the system gives less than 2 GiB to one call."""


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> str:
    """Writes a safetensors file whole or not at all, and returns its SHA-256.

    No metadata: the format keeps it in a hash map, whose order would change the bytes from run to run.
    """
    data = save({name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)})
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def write_json(path: Path, value: Any) -> None:
    """Writes JSON with sorted keys, whole or not at all."""
    write_bytes(path, (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Writes, flushes and renames, so that a kill leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    waiting = path.with_name(path.name + ".part")
    with naming(path), waiting.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    waiting.replace(path)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """All tensors of a small file, by name. NexusError for a file that is damaged or not there."""
    try:
        return dict(load(path.read_bytes()))
    except OSError as error:
        raise NexusError(f"'{path}' cannot be read: {error.strerror}. Run the stage that writes it again.") from error
    except Exception as error:
        raise NexusError(f"'{path}' is not a readable safetensors file ({error}). Run its stage again.") from error


def file_hash(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The entries of a safetensors header by tensor name, and the offset at which the tensors begin."""
    try:
        if stat.S_ISFIFO(path.stat().st_mode):              # opening a pipe waits for whoever writes, without end
            raise NexusError(f"'{path}' is a pipe, not a file. Fetch the file.")
        with path.open("rb") as file:
            length, size = int.from_bytes(file.read(8), "little"), os.fstat(file.fileno()).st_size
            if not 0 < length <= min(HEADER_LIMIT, size - 8):
                raise NexusError(f"'{path}' does not begin with a safetensors header. Fetch or convert the file again.")
            entries = json.loads(few(path, file.read(length)))
    except OSError as error:
        raise NexusError(f"'{path}' cannot be read ({error.strerror}). Put the file back.") from error
    except (ValueError, RecursionError) as error:
        raise NexusError(f"'{path}' has a damaged safetensors header. Fetch the file again.") from error
    if not isinstance(entries, dict):
        raise NexusError(f"'{path}' has a damaged safetensors header: no table of tensors. Fetch the file again.")
    entries.pop("__metadata__", None)
    return entries, 8 + length


def few(path: object, header: bytes) -> bytes:
    """A header, unless it holds more values than any checkpoint: each becomes some sixty bytes. NexusError then."""
    if (count := sum(header.count(mark) for mark in (b",", b"[", b"{"))) > MOST_VALUES:
        raise NexusError(f"'{path}' has a header of {count:,} values, more than any checkpoint. Fetch the file again.")
    return header


class TensorFile:
    """One safetensors file of which rows are read on demand, in constant memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries, self.start = read_header(path)
        self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def rows(self, name: str, first: int, last: int) -> torch.Tensor:
        """Rows `first` to `last` of the tensor `name`: Tensor [last - first, ...]."""
        entry = self.entries[name]
        dtype, (_, *inner) = DTYPES[entry["dtype"]], entry["shape"]
        width = dtype.itemsize * math.prod(inner)
        begin, size = self.start + entry["data_offsets"][0] + first * width, (last - first) * width
        return self._read(begin, size, dtype, (last - first, *inner))

    def tensor(self, name: str) -> torch.Tensor:
        """The whole tensor."""
        entry = self.entries[name]
        first, last = entry["data_offsets"]
        return self._read(self.start + first, last - first, DTYPES[entry["dtype"]], tuple(entry["shape"]))

    def _read(self, begin: int, size: int, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
        data, at = bytearray(size), 0
        view = memoryview(data)
        while at < size:
            got = os.preadv(self.file, [view[at : at + LARGEST_READ]], begin + at)
            if got == 0:
                raise NexusError(f"'{self.path}' is shorter than its header says. Run the stage that writes it again.")
            at += got
        return torch.frombuffer(data, dtype=dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)

    def __del__(self) -> None:
        if hasattr(self, "file"):
            os.close(self.file)
