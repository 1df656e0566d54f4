"""Layers whose holder runs their forward itself, and whose states are [B, D, T]: SqueezeBERT's can be tapped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from nexus_specs import Budget, Installed, Sample, Tap, content_key
from nexus_specs.testing import ListSink


@torch.no_grad()
def test_layers_of_squeezebert(words: Callable[[], Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "embedding_size": 32, "intermediate_size": 64}
    config = hf.SqueezeBertConfig(vocab_size=400, num_hidden_layers=2, num_attention_heads=4, **sizes)
    model = hf.SqueezeBertModel(config).eval()
    model.save_pretrained(tmp_path)
    words().save_pretrained(tmp_path)
    samples = [Sample(key=content_key(each), fields=each) for each in ({"text": "one of them"}, {"text": "two"})]
    states = model(**Installed().open(str(tmp_path)).collate(samples), output_hidden_states=True).hidden_states
    for residency in ("resident", "stream"):
        sink, budget = ListSink(), Budget(residency=residency, micro_batch=2)  # type: ignore[arg-type]
        with Installed().make("engine", "sli").load(Installed().open(str(tmp_path)), budget) as teacher:
            teacher.observe(samples, [Tap(path=f"encoder.layers.{at}") for at in (0, 1)], sink)
        for at in (0, 1):
            for row, sample in enumerate(samples):
                found = sink.value(sample.key, f"encoder.layers.{at}")
                assert found.shape[1] == 32
                torch.testing.assert_close(found, states[at + 1][row, : len(found)], rtol=1e-6, atol=1e-6)
