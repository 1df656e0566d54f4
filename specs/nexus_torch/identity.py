"""Whether a tensor is another one's copy: hashes that do not depend on the stored dtype."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import torch
from nexus_specs import Extent
from torch import Tensor

from . import hub
from .files import DTYPES, TensorFile

DIGITS = 32
"""Hexadecimal digits that are kept of a SHA-256."""


def tensor_hash(tensor: Tensor) -> str:
    """The hash of the values in float32 and of the shape; "" for a tensor of one value throughout (a bias of zeros, a
    norm of ones), which is nobody's."""
    values = tensor.detach().to("cpu", torch.float32).contiguous()
    if values.numel() < 2 or bool((values == values.flatten()[0]).all()):
        return ""
    digest = hashlib.sha256(repr(tuple(values.shape)).encode())
    digest.update(values.numpy().tobytes())
    return digest.hexdigest()[:DIGITS]


def file_hashes(path: Path) -> Iterator[tuple[str, str]]:
    """Name and hash of every tensor of a safetensors file, one in memory at a time; "" as `tensor_hash` gives it."""
    file = TensorFile(path)
    for name, entry in file.entries.items():
        yield name, tensor_hash(file.tensor(name)) if entry["shape"] else ""


def stored_hashes(extents: Iterable[Extent]) -> list[str]:
    """The hashes of all tensors behind these ranges: sorted, each once, without "".

    Left out is what nothing can be compared with: numbers packed in blocks (GGUF's quantised types), and files that
    were streamed from a hub through a disk that does not hold them.
    """
    found = set()
    with ExitStack() as stack:
        files: dict[str, BinaryIO | None] = {}
        for extent in extents:
            if extent.file not in files:
                path = _local(extent.file)
                files[extent.file] = stack.enter_context(path.open("rb")) if path else None
            file, dtype = files[extent.file], DTYPES.get(extent.dtype)
            if file is not None and dtype is not None and extent.stop > extent.start:
                file.seek(extent.start)
                data = bytearray(file.read(extent.stop - extent.start))
                found.add(tensor_hash(torch.frombuffer(data, dtype=dtype).reshape(extent.shape)))
    return sorted(found - {""})


def _local(file: str) -> Path | None:
    """Where a file lies on this machine: a path as it is, what is on a hub in the shared cache, if it was kept."""
    address = hub.Address.parse(file)
    if address is None:
        return Path(file)
    path = hub.snapshot_folder(address.hub) / address.file
    return path if path.exists() else None


def elements(path: Path) -> int:
    """How many numbers a safetensors file holds, from its header."""
    return sum(math.prod(entry["shape"]) for entry in TensorFile(path).entries.values())
