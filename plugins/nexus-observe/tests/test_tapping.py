"""Command `taps`: states of chosen layers, with no registry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_observe.tapping import Taps, size
from nexus_specs import Installed, NexusError
from nexus_torch.shards import Shards
from scipy.io import wavfile


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(f"Line {at} of a corpus that a teacher is asked." for at in range(60)))
    return path


def taps(sources: Mapping[str, Path], texts: Path, out: Path, **more: Any) -> int:
    options = {"source": str(sources["prose"]), "data": str(texts), "out": out, "threads": 1, **more}
    return Taps(**options)(Installed())


def test_numbers_and_paths_name_layers_however_it_is_held(
    sources: Mapping[str, Path], texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = "0,-1,model.layers.1.mlp"
    for name, residency in (("streamed", "stream"), ("whole", "resident")):
        more = {"taps": chosen, "memory": "64MiB", "residency": residency, "micro_batch": 2}
        assert taps(sources, texts, tmp_path / name, **more) == 0
    found, other = Shards(tmp_path / "streamed"), Shards(tmp_path / "whole")
    assert found.states == ("model.layers.0", "model.layers.1.mlp", "model.layers.2")
    assert found.keys == other.keys
    for key in found.keys:
        one, two = found.signal([key]), other.signal([key])
        assert all(torch.equal(one.states[path], two.states[path]) for path in found.states)
    assert "stream: layer by layer" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*.part"))


def test_what_does_not_fit_is_said(sources: Mapping[str, Path], texts: Path, tmp_path: Path) -> None:
    with pytest.raises(NexusError, match="has the layers 0 to 2"):
        taps(sources, texts, tmp_path / "out", taps="8")
    with pytest.raises(NexusError, match=r"no such module\. Did you mean 'model\.layers\.1\.mlp'"):
        taps(sources, texts, tmp_path / "out", taps="model.layer.1.mlp")
    with pytest.raises(NexusError, match=r"--taps logit: .*Did you mean 'logits'"):
        taps(sources, texts, tmp_path / "out", taps="logit")
    assert not list(tmp_path.glob(".*.part")), "nothing is left behind of what never began"
    with pytest.raises(NexusError, match="there is no such file"):
        taps(sources, tmp_path / "none.txt", tmp_path / "out", taps="0")
    with pytest.raises(NexusError, match=r"--out .*: nothing can be written there"):
        taps(sources, texts, texts / "out", taps="0")
    with pytest.raises(NexusError, match="--memory: 'much' is no size; write a number of bytes, or one like 8GB"):
        size("much")
    with pytest.raises(NexusError, match="--memory: '0' is nothing"):
        size("0")
    with pytest.raises(NexusError, match=r"--disk: '9{40}' is more than any machine has"):
        size("9" * 5000, "--disk")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(NexusError, match="exists already"):
        taps(sources, texts, tmp_path / "full", taps="0")
    assert size("2GiB") == 2 << 30


def test_a_description_alone_is_refused_before_the_data_are_read(
    sources: Mapping[str, Path], texts: Path, tmp_path: Path
) -> None:
    described = tmp_path / "described"
    described.mkdir()
    (described / "config.json").write_bytes((sources["prose"] / "config.json").read_bytes())
    texts.write_bytes(b"\xff")
    with pytest.raises(NexusError, match=r"lacks weights \(\*\.safetensors\), tokenizer\.json: it can be"):
        Taps(source=str(described), data=str(texts), out=tmp_path / "out", taps="1")(Installed())
    assert not list(tmp_path.glob(".out*"))


def test_a_teacher_that_hears_has_no_tokens_of_its_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sounds").mkdir()
    for at in range(3):
        tone = (3000 * np.sin(np.arange(4000) / (at + 3))).astype("<i2")
        wavfile.write(tmp_path / "sounds" / f"{at}.wav", 16000, tone)
    hearing = tmp_path / "hearing"
    config = hf.Wav2Vec2Config(
        vocab_size=6, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        conv_dim=(8, 8), conv_stride=(5, 4), conv_kernel=(10, 8), num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    hf.Wav2Vec2ForCTC(config).save_pretrained(hearing)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(hearing)
    (hearing / "vocab.json").write_text(json.dumps({each: at for at, each in enumerate(("<pad>", "<unk>", *"ab|c"))}))
    hf.Wav2Vec2CTCTokenizer(str(hearing / "vocab.json"), pad_token="<pad>", unk_token="<unk>").save_pretrained(hearing)
    given = {"source": str(hearing), "data": str(tmp_path / "sounds"), "threads": 1}
    assert Taps(**given, out=tmp_path / "out", taps="0,-1")(Installed()) == 0
    assert Shards(tmp_path / "out").names == ("state:wav2vec2.encoder.layers.0", "state:wav2vec2.encoder.layers.1")
    assert "3 samples, state:wav2vec2.encoder.layers.0, state:wav2vec2" in capsys.readouterr().out
    with pytest.raises(NexusError, match=r"no 'tokens or spans or logprob' to observe\. It has: logits"):
        Taps(**given, out=tmp_path / "nothing")(Installed())
