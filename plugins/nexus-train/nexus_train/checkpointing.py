"""The states of a unit that is being trained: safetensors files in scratch, the latest and the one before it.

Resuming from one is bit-equal to not having stopped: parameters, buffers, both optimisers, the random state, the step
and the figures so far. Batches need no state, they follow from the step. A file's name holds the hash of its bytes, so
that a damaged one is found before it is used: the one before it is used then.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nexus_torch.files import file_hash, read_tensors, write_tensors
from torch import Tensor

from .amount import KEPT

log = logging.getLogger("nexus.train")
NAME, FACTS, RANDOM = "training.safetensors", "facts", "random"


@dataclass(frozen=True, kw_only=True)
class State:
    """What is saved: tensors by name, and facts that JSON holds exactly."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any] = field(default_factory=dict)


def save(folder: Path, fingerprint: str, state: State) -> None:
    """Writes the state, and the random state with it. `state.facts["step"]` says which one it is."""
    facts = json.dumps({"fingerprint": fingerprint, **state.facts}).encode()
    extra = {FACTS: torch.frombuffer(bytearray(facts), dtype=torch.uint8), **_random()}
    # safetensors refuses tensors that share memory, as rotary buffers and tied heads do.
    apart = {name: tensor.detach().clone() for name, tensor in state.tensors.items()}
    digest = write_tensors(folder / NAME, {**apart, **extra})
    (folder / NAME).replace(folder / f"training-{state.facts['step']:08d}-{digest}.safetensors")
    for path in _saved(folder)[KEPT:]:
        path.unlink()


def load(folder: Path, fingerprint: str) -> State | None:
    """The latest state that is intact, with the random state restored; None where there is none of this very unit."""
    tensors = next(_intact(folder), None)
    if tensors is None:
        return None
    facts = json.loads(bytes(tensors.pop(FACTS).tolist()))
    if facts.pop("fingerprint") != fingerprint:
        for path in _saved(folder):
            path.unlink()
        return None
    torch.set_rng_state(tensors.pop(RANDOM))
    if (device := tensors.pop(f"{RANDOM}/device", None)) is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(device)
    return State(tensors=tensors, facts=facts)


def _saved(folder: Path) -> list[Path]:
    """Files of states, the latest first."""
    return sorted(folder.glob("training-*.safetensors"), reverse=True)


def _intact(folder: Path) -> Iterator[dict[str, Tensor]]:
    for path in _saved(folder):
        _, step, digest = path.stem.split("-")
        if file_hash(path) == digest:
            yield read_tensors(path)
        else:
            log.warning("The state after step %d in '%s' is damaged; the one before it is used.", int(step), path)
            path.unlink()


def _random() -> dict[str, Tensor]:
    state = {RANDOM: torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state[f"{RANDOM}/device"] = torch.cuda.get_rng_state()
    return state
