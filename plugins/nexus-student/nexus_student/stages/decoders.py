"""Decoders of others that an assembled student's towers need, as the towers' own files say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..places import TOWERS
from ..specs import TOWER, read_spec
from .sizes import copies


def needed(model: Path) -> list[dict[str, Any]]:
    """Each decoder of each tower, with its "tower"; by the towers' names."""
    specs = [read_spec(path.parent) for path in sorted((model / TOWERS).glob(f"*/{TOWER}"))]
    return [{"tower": spec.name, **each} for spec in specs for each in spec.decoders]


def held(model: Path, decoders: Sequence[Mapping[str, Any]]) -> list[str]:
    """Tensors of decoders that lie in the student's own files, in words."""
    known = frozenset(hashed for each in decoders for hashed in each["tensors"])
    found = copies(model, known) if known else ()
    return [f"{name} is a tensor of a decoder, which is loaded from its source: no weight of a tower" for name in found]
