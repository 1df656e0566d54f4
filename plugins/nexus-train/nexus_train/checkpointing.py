"""The state of a unit that is being trained: one safetensors file in scratch, so it is whole or the one before.

Resuming from it is bit-equal to not having stopped: parameters, buffers, both optimisers, the random state, the step
and the figures so far. Batches need no state, they follow from the step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from nexus_specs import NexusError
from nexus_torch.files import read_tensors, write_tensors
from torch import Tensor

NAME, FACTS, RANDOM = "training.safetensors", "facts", "random"


@dataclass(frozen=True, kw_only=True)
class State:
    """What is saved: tensors by name, and facts that JSON holds exactly."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any] = field(default_factory=dict)


def save(folder: Path, fingerprint: str, state: State) -> None:
    """Writes the state, and the random state with it."""
    facts = json.dumps({"fingerprint": fingerprint, **state.facts}).encode()
    extra = {FACTS: torch.frombuffer(bytearray(facts), dtype=torch.uint8), **_random()}
    # safetensors refuses tensors that share memory, as rotary buffers and tied heads do.
    apart = {name: tensor.detach().clone() for name, tensor in state.tensors.items()}
    write_tensors(folder / NAME, {**apart, **extra})


def load(folder: Path, fingerprint: str) -> State | None:
    """The saved state, with the random state restored; None where there is none of this very unit."""
    try:
        tensors = read_tensors(folder / NAME)
    except NexusError:
        return None
    facts = json.loads(bytes(tensors.pop(FACTS).tolist()))
    if facts.pop("fingerprint") != fingerprint:
        return None
    torch.set_rng_state(tensors.pop(RANDOM))
    if (device := tensors.pop(f"{RANDOM}/device", None)) is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(device)
    return State(tensors=tensors, facts=facts)


def _random() -> dict[str, Tensor]:
    state = {RANDOM: torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state[f"{RANDOM}/device"] = torch.cuda.get_rng_state()
    return state
