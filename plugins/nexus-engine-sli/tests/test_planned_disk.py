"""The disk that a plan names against the disk that a run takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.memory.spilling import Spill
from nexus_specs import Budget, Installed, Sample, Tap, content_key
from nexus_specs.testing import ListSink

SAMPLES, TOKENS, WIDTH, MB = 600, 256, 256, 10**6


def test_states_take_the_disk_that_was_predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """States of 157 MB, of which the memory holds some 64."""
    config = hf.LlamaConfig(
        vocab_size=300, hidden_size=WIDTH, num_hidden_layers=2, num_attention_heads=2, head_dim=16,
        intermediate_size=64, max_position_embeddings=TOKENS,
    )  # fmt: skip
    hf.LlamaForCausalLM(config).save_pretrained(tmp_path / "teacher")
    checkpoint = Installed().open(str(tmp_path / "teacher"))
    budget = Budget(residency="stream", memory=100 * MB, micro_batch=8, scratch=tmp_path / "scratch", disk=10**9)
    estimate = Sli().estimate(checkpoint.blueprint, SAMPLES, 0, budget, tokens=TOKENS)
    taken: list[int] = []
    close = Spill.close

    def closed(spill: Spill) -> None:
        taken.append(spill.end)
        close(spill)

    monkeypatch.setattr(Spill, "close", closed)
    rows = np.random.default_rng(0).integers(300, size=(SAMPLES, TOKENS))
    samples = [Sample(key=content_key({"at": at}), fields={"input_ids": row}) for at, row in enumerate(rows)]
    with Sli().load(checkpoint, budget) as teacher:
        teacher.observe(samples, [Tap(path="logprob")], ListSink())
    assert len(taken) == 1
    assert estimate.disk > 50 * MB
    assert estimate.disk == pytest.approx(taken[0], rel=0.25), "rotary tables are states too, and no plan knows them"
    plenty = Budget(residency="stream", memory=1000 * MB, micro_batch=8)
    assert Sli().estimate(checkpoint.blueprint, SAMPLES, 0, plenty, tokens=TOKENS).disk == 0
