"""The engine reads and streams a GGUF file as any other checkpoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import Budget, Installed, NexusError, Piece, Sample, Tap


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


SIZES = {"KB": 10**3, "MB": 10**6}
DIVIDED = [
    ("llama", "Q4_0", ""), ("mixtral", "Q8_0", "#"), ("qwen3_moe", "Q4_0", "#"), ("deepseek_v3", "Q8_0", "#"),
    ("gpt_oss", "Q8_0", "#"), ("llama4", "Q4_0", "#"), ("bloom", "Q4_0", ""), ("dbrx", "Q8_0", ""),
    ("mamba2", "Q8_0", ""), ("t5-v1_1", "Q4_0", ""), ("gemma3", "F32", ""),
]  # fmt: skip


def observed(file: Path, texts: list[Sample], **budget: Any) -> tuple[dict[tuple[str, str], torch.Tensor], Any]:
    """What is observed, and where the weights were."""
    lookup, kept = Installed(), Kept()
    checkpoint = lookup.open(str(file))
    layers = [layer for stack in checkpoint.blueprint.stacks for layer in stack.layers]
    taps = [Tap(path=path) for path in (*layers, "logits")]
    with lookup.make("engine", "sli").load(checkpoint, Budget(micro_batch=2, **budget)) as teacher:
        teacher.observe(texts, taps, kept)
    return kept.found, teacher.room  # type: ignore[attr-defined]


@pytest.mark.parametrize(("row", "kind", "mark"), DIVIDED, ids=[row for row, *_ in DIVIDED])
def test_layers_that_are_too_large_come_in_parts(
    row: str, kind: str, mark: str, written: Callable[..., Path], texts: list[Sample], tmp_path: Path
) -> None:
    """Attention and MLP, one projection, some of the experts; bit for bit, each tensor read once."""
    if "sli" not in Installed().components("engine"):
        pytest.skip("the engine 'sli' is not installed")
    file = written(row, kind)
    whole, _ = observed(file, texts, residency="resident")
    with pytest.raises(NexusError, match="The least that would do is") as said:
        observed(file, texts, residency="stream", memory=1)
    found = re.search(r"would do is ([\d.]+)(KB|MB)", str(said.value))
    assert found is not None
    least = round(float(found[1]) * SIZES[found[2]])
    parts, room = observed(file, texts, residency="stream", memory=least, scratch=tmp_path)
    layers = {part.path for part in room.placing.checkpoint.parts}
    assert {unit for unit in room.units if unit not in layers and mark in unit}, list(room.units)
    layers_again = [each for each in room.loads if room.loads.count(each) > 1 and not room.units[each].table]
    assert not layers_again
    assert whole.keys() == parts.keys()
    for key in whole:
        assert key[1] == "logits" or torch.equal(whole[key], parts[key]), key
        torch.testing.assert_close(whole[key], parts[key], rtol=1e-5, atol=1e-5)
