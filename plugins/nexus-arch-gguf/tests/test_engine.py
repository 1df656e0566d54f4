"""The engine reads and streams a GGUF file as any other checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import Budget, Installed, Piece, Sample, Tap


class Kept:
    """A sink that keeps pieces by sample and tap."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], torch.Tensor] = {}

    def put(self, piece: Piece) -> None:
        for key, value in zip(piece.keys, piece.values, strict=True):
            self.found[key, piece.tap] = value

    def flush(self) -> None:
        return None


@pytest.mark.parametrize("residency", ["resident", "stream"])
@pytest.mark.parametrize(("row", "kind"), [("llama", "F32"), ("qwen3_moe", "Q8_0")])
def test_observed_as_the_model_itself(
    residency: Any, row: str, kind: str, written: Callable[..., Path], texts: list[Sample], loaded: Any, tmp_path: Path
) -> None:
    lookup = Installed()
    if "sli" not in lookup.components("engine"):
        pytest.skip("the engine 'sli' is not installed")
    checkpoint = lookup.open(str(written(row, kind)))
    kept, taps = Kept(), [Tap(path="model.layers.2"), Tap(path="logits")]
    budget = Budget(scratch=tmp_path, memory=1 << 30, residency=residency)
    with lookup.make("engine", "sli").load(checkpoint, budget) as teacher:
        teacher.observe(texts, taps, kept)
    module, _ = loaded(checkpoint)
    for sample in texts:
        with torch.no_grad():
            expected = module(**checkpoint.collate([sample])).logits[0]
        torch.testing.assert_close(kept.found[sample.key, "logits"].float(), expected, rtol=0, atol=2e-4)
