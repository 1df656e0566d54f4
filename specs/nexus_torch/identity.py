"""Whether a tensor is another one's copy: hashes that do not depend on the stored dtype."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from nexus_specs import Extent, NexusError
from torch import Tensor

from . import hub
from .files import DTYPES, TensorFile

DIGITS = 32
"""Hexadecimal digits that are kept of a SHA-256."""
CHUNK, LEAST = 1 << 20, 2
"""Values that are hashed at a time; fewest values of a tensor that can be somebody's."""
HALF = 16
"""Bits by which bfloat16 is shorter than float32: the lower ones."""
Floats = np.ndarray[Any, np.dtype[np.float32]]


def tensor_hash(tensor: Tensor) -> str:
    """The hash of the values in float32 and of the shape; "" for a tensor of one value throughout (a bias of zeros, a
    norm of ones), which is nobody's."""
    return _hashed(tensor.shape, tensor.detach().flatten().split(CHUNK))


def _hashed(shape: Iterable[int], parts: Iterable[Tensor]) -> str:
    """The same of a tensor that comes in parts, flat and in order: what is in memory is one of them."""
    digest = hashlib.sha256(repr(tuple(shape)).encode())
    first, count, uniform = None, 0, True
    for part in parts:
        values = _floats(part.cpu())
        first = values[:1] if first is None else first
        uniform = uniform and bool((values == first).all())
        count += len(values)
        digest.update(values.data)
    return "" if count < LEAST or uniform else digest.hexdigest()[:DIGITS]


def _floats(part: Tensor) -> Floats:
    """Flat values in float32, by one thread: whoever has more of them hashes several tensors at a time."""
    if part.dtype == torch.bfloat16:
        widened: np.ndarray[Any, np.dtype[np.uint32]] = part.view(torch.uint16).numpy().astype(np.uint32) << HALF
        return widened.view(np.float32)
    if part.dtype.itemsize == 1:
        values: Floats = _codes(part.dtype)[part.view(torch.uint8).numpy()]
        return values
    return np.ascontiguousarray(part.numpy(), dtype=np.float32)


@cache
def _codes(dtype: torch.dtype) -> Floats:
    """The value of each code of eight bits."""
    values: Floats = torch.arange(1 << 8).to(torch.uint8).view(dtype).float().numpy()
    return values


def file_hashes(path: Path) -> Iterator[tuple[str, str]]:
    """Name and hash of every tensor of a safetensors file, one in memory at a time; "" as `tensor_hash` gives it."""
    file = TensorFile(path)
    for name, entry in file.entries.items():
        yield name, tensor_hash(file.tensor(name)) if entry["shape"] else ""


def stored_hashes(extents: Iterable[Extent]) -> list[str]:
    """The hashes of all tensors behind these ranges: sorted, each once, without "".

    Left out is what cannot be read here (`legible`).
    """
    found = set()
    with ExitStack() as stack:
        files: dict[str, BinaryIO] = {}
        for extent in filter(legible, extents):
            if extent.file not in files and (path := _local(extent.file)) is not None:
                files[extent.file] = stack.enter_context(path.open("rb"))
            if extent.stop > extent.start:
                found.add(_hashed(extent.shape, _parts(files[extent.file], extent, DTYPES[extent.dtype])))
    return sorted(found - {""})


def legible(extent: Extent) -> bool:
    """Whether the values of a stored tensor can be read here: its type is one of safetensors', and its file is on this
    machine (one that was streamed from a hub through a disk that does not hold it is gone)."""
    return extent.dtype in DTYPES and _local(extent.file) is not None


def _parts(file: BinaryIO, extent: Extent, dtype: torch.dtype) -> Iterator[Tensor]:
    """The values behind a range, some at a time: the largest tensor of a large teacher has gigabytes."""
    file.seek(extent.start)
    left = extent.stop - extent.start
    while left:
        wanted = min(left, CHUNK * dtype.itemsize)
        if len(data := bytearray(file.read(wanted))) < wanted:
            raise NexusError(f"'{extent.file}' ends within the tensor '{extent.key}'. Fetch it again.")
        left -= wanted
        yield torch.frombuffer(data, dtype=dtype)


def _local(file: str) -> Path | None:
    """Where a file lies on this machine, if it does: a path as it is, what is on a hub in the shared cache."""
    address = hub.Address.parse(file)
    path = Path(file) if address is None else hub.snapshot_folder(address.hub) / address.file
    return path if path.exists() else None


def elements(path: Path) -> int:
    """How many numbers a safetensors file holds, from its header."""
    return sum(math.prod(entry["shape"]) for entry in TensorFile(path).entries.values())
