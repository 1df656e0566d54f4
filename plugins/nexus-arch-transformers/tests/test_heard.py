"""What models of speech write: doubled letters stay, where frames are put together and where tokens are written one by
one."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Installed
from nexus_specs.testing import sample
from nexus_torch.hugging_face.inputs.hearing import tell_cut, window
from nexus_torch.hugging_face.outputs.answering import written
from tokenizers import Tokenizer, models

LETTERS = ("<pad>", "<s>", "</s>", "<unk>", "|", *string.ascii_lowercase)
FRAMES = ("h", "h", "e", "<pad>", "l", "<pad>", "l", "l", "o", "|", "|", "r")


@pytest.fixture(scope="module")
def speller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav2vec 2.0 that spells, with its own tokenizer."""
    folder = tmp_path_factory.mktemp("ctc")
    (folder / "vocab.json").write_text(json.dumps({letter: at for at, letter in enumerate(LETTERS)}))
    tokenizer = hf.Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    hf.Wav2Vec2Processor(hf.Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(folder)
    config = hf.Wav2Vec2Config(
        vocab_size=len(LETTERS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=[8] * 7, num_conv_pos_embedding_groups=2, num_conv_pos_embeddings=4,
    )  # fmt: skip
    torch.manual_seed(0)
    hf.Wav2Vec2ForCTC(config).save_pretrained(folder)
    return folder


def test_letters_on_both_sides_of_a_blank_are_two(speller: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the tokenizer itself decodes these frames: a blank between two equal tokens keeps them apart."""
    says = [LETTERS.index(letter) for letter in FRAMES]
    plain = hf.Wav2Vec2ForCTC.forward

    def forward(self: Any, *given: Any, **named: Any) -> Any:
        output = plain(self, *given, **named)
        output.logits = torch.nn.functional.one_hot(torch.tensor([says]), len(LETTERS)).float()
        return output

    monkeypatch.setattr(hf.Wav2Vec2ForCTC, "forward", forward)
    checkpoint = Transformers().open(str(speller), Installed())
    sound = sample(audio=np.random.default_rng(0).standard_normal(4000).astype("float32"))
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        assert teacher.generate([sound]) == ["hello r"]
    assert hf.AutoTokenizer.from_pretrained(speller).decode(says) == "hello r"


def test_a_transducer_writes_the_same_token_twice() -> None:
    """What a transducer writes are no frames: ParakeetTokenizer drops repeats all the same unless it is told."""
    vocabulary = {letter: at for at, letter in enumerate(LETTERS)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer = hf.ParakeetTokenizer(tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>")
    tokens = [LETTERS.index(letter) for letter in "hello"]
    assert tokenizer.decode(tokens) == "h e l o"
    assert written(tokenizer, tokens) == "h e l l o"


def test_a_sound_that_is_longer_than_what_is_heard_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Once: Whisper's extractor cuts at 30 seconds, the spectrogram transformer's at ten, wav2vec 2.0's nowhere."""
    whisper, ast = hf.WhisperFeatureExtractor(), hf.ASTFeatureExtractor()
    assert (window(whisper), round(window(ast), 2), window(hf.Wav2Vec2FeatureExtractor())) == (30, 10.24, np.inf)
    tell_cut([np.zeros(16000 * 30), np.zeros(16000)], whisper, "whisper-x")
    assert capsys.readouterr().err == ""
    for _ in range(2):
        tell_cut([np.zeros(16000), np.zeros(16000 * 47)], whisper, "whisper-x")
    assert capsys.readouterr().err.startswith("'whisper-x' hears 30 s at once, and a sound has 47 s: ")
