"""What a model is called with while a loader makes its answers: on its device, in its dtype; refusals in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_engine_sli.calling import feeding, placed
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.planning import predicting
from nexus_specs import Budget, Checkpoint, Installed, NexusError, Piece, Sample, Tap, content_key
from nexus_specs.testing import ListSink
from torch import nn

SIZES: dict[str, Any] = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 48,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 48, "max_target_positions": 32, "num_mel_bins": 80,
}  # fmt: skip
TOKENS = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)


@torch.no_grad()
def test_a_narrow_model_that_hears_answers(tmp_path: Path, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whisper's `generate` calls its encoder itself."""
    monkeypatch.setattr(predicting, "WIDENED", 0)
    torch.manual_seed(0)
    listening = hf.WhisperFeatureExtractor()
    model = hf.WhisperForConditionalGeneration(hf.WhisperConfig(vocab_size=300, **SIZES, **TOKENS)).bfloat16().eval()
    for each in (model, listening, tokenizer):
        each.save_pretrained(tmp_path)
    sound = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    fields = {"audio": sound, "sampling_rate": 16000, "max_new_tokens": 6}
    with Sli().load(Installed().open(str(tmp_path)), Budget(precision="bfloat16")) as teacher:
        found = teacher.generate([Sample(key=content_key(fields), fields=fields)])
        assert teacher.module is not None
        assert teacher.module.dtype == torch.bfloat16
        assert "generate" not in vars(teacher.module)
    features = listening(sound, sampling_rate=16000, return_tensors="pt").input_features.bfloat16()
    expected = model.generate(input_features=features, do_sample=False, max_new_tokens=6)
    assert found == [tokenizer.decode(expected[0].tolist(), skip_special_tokens=True)]


def test_what_is_given_is_placed() -> None:
    batch = {"sound": torch.ones(2), "ids": torch.ones(2, dtype=torch.long), "count": 3}
    kinds = {name: getattr(each, "dtype", each) for name, each in placed(batch, "cpu", torch.bfloat16).items()}
    assert kinds == {"sound": torch.bfloat16, "ids": torch.long, "count": 3}
    assert placed(batch, "cpu", torch.float32)["sound"] is batch["sound"]
    model = nn.Linear(2, 1).bfloat16()
    with feeding(model, "cpu", torch.bfloat16):
        assert model(input=batch["sound"]).dtype == torch.bfloat16
    assert not model._forward_pre_hooks


def test_a_sample_that_a_model_cannot_answer(
    opened: Callable[[str], Checkpoint], inputs: Callable[[str], Sequence[Sample]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own code says why, in whatever way."""
    checkpoint, samples = opened("pictures"), inputs("pictures")[:1]
    with Sli().load(checkpoint, Budget()) as teacher:
        monkeypatch.setattr(teacher.module, "forward", lambda **_: torch.ones(2) @ torch.ones(3))
        with pytest.raises(NexusError, match=rf"ViTForImageClassification cannot run the sample '{samples[0].key}'"):
            teacher.generate(samples)


@pytest.mark.parametrize("residency", ["resident", "stream"])
@pytest.mark.parametrize("path", ["logits", "model.layers.0"])
def test_what_a_sink_raises_is_not_laid_to_a_sample(
    opened: Callable[[str], Checkpoint], inputs: Callable[[str], Sequence[Sample]], residency: str, path: str
) -> None:
    class Broken(ListSink):
        def put(self, piece: Piece) -> None:
            raise ValueError(f"no place for {piece.tap}")

    with Sli().load(opened("decoder"), Budget(residency=residency)) as teacher:
        with pytest.raises(ValueError, match=f"^no place for {path}$"):
            teacher.observe(inputs("decoder")[:2], [Tap(path=path)], Broken())
        found = ListSink()
        teacher.observe(inputs("decoder")[:2], [Tap(path=path)], found)
        assert found.pieces


def test_samples_of_one_name_are_answered_each(
    opened: Callable[[str], Checkpoint], inputs: Callable[[str], Sequence[Sample]]
) -> None:
    first, second = (Sample(key="0" * 32, fields=each.fields) for each in inputs("decoder")[2:4])
    with Sli().load(opened("decoder"), Budget()) as teacher:
        alone = [*teacher.generate([first]), *teacher.generate([second])]
        assert alone[0] != alone[1]
        assert list(teacher.generate([first, second])) == alone
