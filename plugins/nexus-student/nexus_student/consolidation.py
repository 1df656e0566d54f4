"""The consolidation step: the one part that towers share, and so the one that could forget. Off unless asked for.

`h <- h + sum_k w_k tanh(g_k) XAttn_k(LN h, m_k)`: behind the core, each tower k that answers may look at what it
perceived (m_k: its latents; for a text tower the states themselves). Gates are zero until trained, which is exactly
the identity. Weights belong to one set of towers: they lie in `consolidation/<hash of the set>/`, and another set,
or a tower that was trained again, has another hash, so that nothing is ever overwritten or used for the wrong towers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from nexus_specs import NexusError
from nexus_torch.files import file_hash, read_tensors, write_json, write_tensors
from torch import Tensor, nn

from .cross_attention import GatedCrossAttention
from .specs import TOWER
from .tower import slot

FOLDER, WEIGHTS, FACTS = "consolidation", "consolidation.safetensors", "consolidation.json"
DIGITS = 16
RANK = 8


class Consolidation(nn.Module):
    """One gated cross-attention for each tower of a set."""

    def __init__(self, towers: tuple[str, ...], width: int, rank: int = RANK) -> None:
        super().__init__()
        self.names, self.width, self.rank = tuple(sorted(towers)), width, rank
        self.stitches = nn.ModuleDict({slot(name): GatedCrossAttention(width, rank) for name in self.names})

    def forward(self, hidden: Tensor, towers: Mapping[str, float], latents: Tensor | None = None) -> Tensor:
        """Final states [B, T, D] of a forward in which these towers acted with these shares."""
        for name, share in towers.items():
            if slot(name) in self.stitches:
                seen = hidden if latents is None else latents
                hidden = hidden + share * self.stitches[slot(name)](hidden, seen)
        return hidden


def version(model: Path) -> str:
    """The hash of a student's set of towers: their names and all their files."""
    digest = hashlib.sha256()
    for path in sorted((model / "towers").glob(f"*/{TOWER}")):
        digest.update(f"{path.parent.name} {file_hash(path)}\n".encode())
    return digest.hexdigest()[:DIGITS]


def check_step(step: Consolidation, towers: tuple[str, ...]) -> None:
    """NexusError where a step was made for other towers than a student has."""
    if step.names != tuple(sorted(towers)):
        raise NexusError(
            f"The consolidation step is of the towers {', '.join(step.names)}; the student has "
            f"{', '.join(sorted(towers))}. Set `consolidation` to None, or train it for these."
        )


def write_consolidation(model: Path, step: Consolidation) -> Path:
    """Writes the step for the student's present set of towers; returns its folder. An older version stays."""
    folder = model / FOLDER / version(model)
    folder.mkdir(parents=True, exist_ok=True)
    write_tensors(folder / WEIGHTS, step.state_dict())
    write_json(folder / FACTS, {"towers": list(step.names), "width": step.width, "rank": step.rank})
    return folder


def read_consolidation(model: Path) -> Consolidation:
    """The step for the student's present set of towers. NexusError where there is none."""
    folder = model / FOLDER / version(model)
    if not (folder / FACTS).is_file():
        raise NexusError(
            f"'{model}' has no consolidation for its present towers. Open it without, which changes nothing."
        )
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    step = Consolidation(tuple(facts["towers"]), facts["width"], facts["rank"])
    step.load_state_dict(read_tensors(folder / WEIGHTS))
    return step.eval()
