"""A vocabulary of 131,072: next-token logits are thinned out some rows at a time, and never there whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_observe.extracting import ShardSink
from nexus_observe.options import ExtractOptions
from nexus_observe.tapping import Taps
from nexus_specs import Budget, Installed, Sample, Tap, content_key
from nexus_torch.shards import Shards, ShardWriter

VOCABULARY = 131072
BLOCK = 64 * VOCABULARY * 4
TEXTS = [f"{'rows of logits ' * (5 + 2 * at)}{at}" for at in range(4)]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, sources: Mapping[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    torch.manual_seed(0)
    config = hf.LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=256, initializer_range=0.2,
    )  # fmt: skip
    hf.LlamaForCausalLM(config).save_pretrained(folder)
    hf.AutoTokenizer.from_pretrained(sources["prose"]).save_pretrained(folder)
    return folder


def test_the_command_thins_logits_out_block_by_block(
    wide: Path, tmp_path: Path, largest: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Sli().machine(tmp_path)
    monkeypatch.setattr(Sli, "machine", lambda *_: machine)  # measuring takes large tensors of its own
    data = tmp_path / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    how = {"data": str(data), "out": tmp_path / "out", "taps": "logits", "micro_batch": 4, "threads": 1}
    with largest:
        Taps(source=str(wide), **how)(Installed())
    found = Shards(tmp_path / "out")
    lengths = [len(found.signal([key]).tokens[0]) for key in found.keys]
    assert max(lengths) * len(TEXTS) * VOCABULARY * 2 > 2 * BLOCK, "there would be far more"
    assert largest.bytes <= BLOCK
    for key in found.keys:
        outputs = found.signal([key]).outputs
        assert outputs["ids"].shape[-1] == 32
        assert ((outputs["probabilities"].sum(-1) - 1).abs() < 2e-3).all()


class Told:
    """A context that is told how far it is."""

    def report(self, done: int, total: int, **figures: float) -> bool:
        return True


def test_the_stage_thins_logits_out_block_by_block(wide: Path, tmp_path: Path, largest: Any) -> None:
    samples = [Sample(key=content_key({"text": text}), fields={"text": text}) for text in TEXTS]
    installed, context = Installed(), Told()
    writer = ShardWriter(
        tmp_path / "shards", [each.key for each in samples], ("ids", "probabilities"), teacher="wide",
        vocabulary=VOCABULARY,
    )  # fmt: skip
    sink = ShardSink(context, writer, ExtractOptions(), 0)  # type: ignore[arg-type]
    engine = installed.make("engine", "sli")
    with engine.load(installed.open(str(wide)), Budget(micro_batch=4)) as teacher, largest:
        teacher.observe(samples, [Tap(path="logits")], sink)
    assert largest.bytes <= BLOCK
    writer.finish()
    model = hf.LlamaForCausalLM.from_pretrained(wide).eval()
    found = Shards(tmp_path / "shards")
    for sample in samples[:2]:
        tokens = installed.open(str(wide)).collate([sample])["input_ids"]
        with torch.no_grad():
            expected = model(tokens).logits[0].softmax(-1).topk(16)
        outputs = found.signal([sample.key]).outputs
        torch.testing.assert_close(outputs["probabilities"][0, :, :16], expected.values, atol=1e-4, rtol=1e-2)
