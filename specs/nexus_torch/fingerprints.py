"""Hashes of tensors by value, to find a teacher's weights in a student: equal in float32 is equal in any dtype."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from nexus_specs import Extent
from torch import Tensor

from .files import TensorFile

SMALLEST = 16
"""Tensors of fewer elements say nothing about where they come from."""


def tensor_hash(tensor: Tensor) -> str:
    """SHA-256 of shape and float32 values; "" for tensors that anybody could have (constant, or very small)."""
    values = tensor.detach().float().contiguous()
    if values.numel() < SMALLEST or bool((values == values.flatten()[0]).all()):
        return ""
    digest = hashlib.sha256(str(list(values.shape)).encode())
    digest.update(values.cpu().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def file_tensor_hashes(path: Path) -> dict[str, str]:
    """Name -> hash of every telling tensor of a safetensors file, read one at a time."""
    file = TensorFile(path)
    found = {name: tensor_hash(file.tensor(name)) for name in sorted(file.entries)}
    return {name: hashed for name, hashed in found.items() if hashed}


def stored_hashes(extents: Iterable[Extent]) -> dict[str, str]:
    """Key -> hash of every telling tensor behind these ranges of local safetensors files."""
    files: dict[str, TensorFile] = {}
    found = {}
    for extent in sorted(extents, key=lambda each: (each.file, each.start)):
        if extent.file not in files:
            files[extent.file] = TensorFile(Path(extent.file))
        if hashed := tensor_hash(files[extent.file].tensor(extent.key)):
            found[extent.key] = hashed
    return found


def elements(path: Path) -> int:
    """How many numbers a safetensors file holds, from its header."""
    shapes = (torch.Size(entry["shape"]) for entry in TensorFile(path).entries.values())
    return sum(shape.numel() for shape in shapes)
