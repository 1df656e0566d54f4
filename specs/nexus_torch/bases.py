"""Bases on disk and in use: `(h - mean) @ directions / scale`. Shapes: D width, R rank."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from nexus_specs import Basis
from torch import Tensor

from .files import read_tensors, write_tensors


def project(hidden: Tensor, basis: Basis) -> Tensor:
    """States [..., D] in the basis: [..., R], in float32, whatever either is kept in."""
    return (hidden.float() - basis.mean.float()) @ basis.directions.float() / basis.scale


def write_bases(bases: Mapping[str, Basis], path: Path) -> dict[str, str]:
    """Writes bases by module path to one file; returns what belongs into `Profile.bases`: path -> "file#key"."""
    tensors: dict[str, Tensor] = {}
    for name, basis in bases.items():
        tensors[f"{name}.mean"] = basis.mean.float()
        tensors[f"{name}.directions"] = basis.directions.float()
        tensors[f"{name}.scale"] = torch.tensor([basis.scale], dtype=torch.float32)
    write_tensors(path, tensors)
    return {name: f"{path.name}#{name}" for name in sorted(bases)}


def read_bases(home: Path, references: Mapping[str, str]) -> dict[str, Basis]:
    """Bases by module path, from references "file#key" relative to a folder; each file is read once."""
    files: dict[str, dict[str, Tensor]] = {}
    found = {}
    for name, reference in references.items():
        file, _, key = reference.partition("#")
        if file not in files:
            files[file] = read_tensors(home / file)
        found[name] = _basis(files[file], key)
    return found


def _basis(tensors: Mapping[str, Tensor], key: str) -> Basis:
    mean, directions = tensors[f"{key}.mean"], tensors[f"{key}.directions"]
    return Basis(mean=mean, directions=directions, scale=float(tensors[f"{key}.scale"]))
