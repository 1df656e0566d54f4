"""PEFT opens what we write."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from nexus_student.model import NexusModel
from transformers import AutoModelForCausalLM

peft = pytest.importorskip("peft", reason="peft is not installed")
IDS = torch.tensor([[0, 5, 9, 17, 60, 33]])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["prose", "code"])
def test_peft_computes_the_same(world: Any, name: str) -> None:
    ours = NexusModel.from_pretrained(world.model, lookup=world.desk)
    core = AutoModelForCausalLM.from_pretrained(world.core / "core")
    theirs = peft.PeftModel.from_pretrained(core, world.model / "towers" / name).eval()
    with torch.no_grad():
        words = ours.tower(name).vocabulary_for(ours.core)
        expected = ours(IDS, tower=name, signal=True).last_hidden_state
        decoder = theirs.base_model.model.model
        found = decoder(inputs_embeds=words.embed(IDS)) if name == "prose" else decoder(input_ids=IDS)
        # another processor's products round to 1.4e-5 behind the recurrent layer; a tower is a hundred times that
        assert torch.allclose(found.last_hidden_state, expected, atol=1e-4)
        assert not torch.allclose(expected, ours(IDS, signal=True).last_hidden_state, atol=1e-2)
