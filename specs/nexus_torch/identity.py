"""Whether a tensor is another one's copy: hashes that do not depend on the stored dtype."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from nexus_specs import Extent
from torch import Tensor

from .files import TensorFile

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
    """The hashes of all tensors behind these ranges of local safetensors files: sorted, each once, without ""."""
    files: dict[str, TensorFile] = {}
    found = set()
    for extent in extents:
        if extent.file not in files:
            files[extent.file] = TensorFile(Path(extent.file))
        found.add(tensor_hash(files[extent.file].tensor(extent.key)))
    return sorted(found - {""})


def elements(path: Path) -> int:
    """How many numbers a safetensors file holds, from its header."""
    return sum(math.prod(entry["shape"]) for entry in TensorFile(path).entries.values())
