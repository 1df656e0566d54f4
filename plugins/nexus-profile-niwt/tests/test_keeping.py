"""What a profile keeps in scratch, and lets go of."""

from __future__ import annotations

from pathlib import Path

import torch
from nexus_profile_niwt.states import Both, States
from nexus_profile_niwt.values import Values
from nexus_specs import Piece

LAYER = "model.layers.0"


def test_what_damaged_weights_gave_is_forgotten(tmp_path: Path) -> None:
    """A file of a hub whose hash turns out to be another one at its end: the next run begins with nothing of it."""
    both = Both(Values(tmp_path), States(tmp_path, [LAYER], 1 << 20))
    both.put(Piece(keys=("a",), tap="logprob", values=[torch.zeros(3)]))
    both.put(Piece(keys=("a",), tap=LAYER, values=[torch.zeros(3, 4)]))
    both.flush()
    assert Values(tmp_path).whole(["a"], ["logprob"], [""])
    both.forget()
    assert not Values(tmp_path).found
    assert not list(tmp_path.iterdir())
    both.put(Piece(keys=("a",), tap="logprob", values=[torch.ones(3)]))
    both.flush()
    assert torch.equal(Values(tmp_path).of("")["a", "logprob"], torch.ones(3))
