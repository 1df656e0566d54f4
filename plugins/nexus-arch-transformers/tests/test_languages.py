"""Translators that must be told both languages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Installed, NexusError, Sample
from nexus_specs.testing import sample

CODES = ["eng_Latn", "fra_Latn", "deu_Latn"]


@pytest.fixture(scope="module")
def nllb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny NLLB with its own tokenizer."""
    folder = tmp_path_factory.mktemp("nllb")
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
    tokenizer = hf.NllbTokenizer(
        vocab={piece: at for at, piece in enumerate(pieces)}, merges=[], additional_special_tokens=CODES
    )
    tokenizer.save_pretrained(folder)
    config = hf.M2M100Config(
        vocab_size=len(tokenizer) + 4, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=32,
        decoder_start_token_id=2,
    )  # fmt: skip
    torch.manual_seed(0)
    hf.M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def french(**more: Any) -> Sample:
    return sample(text="house", source_language="eng_Latn", target_language="fra_Latn", **more)


def test_texts_and_targets_are_marked_with_their_languages(nllb: Path) -> None:
    checkpoint = Transformers().open(str(nllb), Installed())
    words = hf.AutoTokenizer.from_pretrained(nllb)
    english, french_, german = (words.convert_tokens_to_ids(code) for code in CODES)
    batch = checkpoint.collate([french(target="maison")])
    assert batch["input_ids"][0, 0] == english
    assert batch["decoder_input_ids"][0, :2].tolist() == [2, french_]
    back = sample(text="maison", target="haus", source_language="fra_Latn", target_language="deu_Latn")
    batch = checkpoint.collate([back])
    assert batch["input_ids"][0, 0] == french_
    assert batch["decoder_input_ids"][0, 1] == german
    plain = checkpoint.collate([sample(text="house")])
    assert plain["input_ids"][0, 0] == english, "as before, once nobody says which"


def test_answers_begin_with_the_language(nllb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[list[int]] = []
    plain = hf.M2M100ForConditionalGeneration.generate

    def generate(self: Any, **given: Any) -> Any:
        tokens = plain(self, **given)
        made.append(tokens[0].tolist())
        return tokens

    monkeypatch.setattr(hf.M2M100ForConditionalGeneration, "generate", generate)
    checkpoint = Transformers().open(str(nllb), Installed())
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        teacher.generate([french(max_new_tokens=3)])
    assert made[0][:2] == [2, hf.AutoTokenizer.from_pretrained(nllb).convert_tokens_to_ids("fra_Latn")]


def test_samples_of_several_languages_are_never_one_batch(nllb: Path) -> None:
    checkpoint = Transformers().open(str(nllb), Installed())
    mixed = [french(), sample(text="haus", source_language="deu_Latn"), french(target="maison")]
    assert [list(each) for each in checkpoint.groups(mixed)] == [[0, 2], [1]]
    with pytest.raises(NexusError, match="several languages"):
        checkpoint.collate(mixed)


def test_a_language_that_is_not_there_is_named(nllb: Path, checkpoint_folder: Any) -> None:
    checkpoint = Transformers().open(str(nllb), Installed())
    with pytest.raises(NexusError, match=r"has no language 'fr'\. Some that it has: .*fra_Latn"):
        checkpoint.collate([sample(text="x", target_language="fr")])
    other = Transformers().open(str(checkpoint_folder("llama")), Installed())
    with pytest.raises(NexusError, match="marks no languages: leave source_language and target_language out"):
        other.collate([french()])


def test_every_kind_of_translator_has_its_codes(tmp_path: Path) -> None:
    from nexus_torch.hugging_face.text.languages import language_id

    (tmp_path / "vocab.json").write_text(json.dumps({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "▁a": 4}))
    many = hf.MBart50Tokenizer(vocab=[("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁a", -1.0)])
    assert language_id(many, "fr_XX", "mbart") == many.convert_tokens_to_ids("fr_XX")
    with pytest.raises(NexusError, match="'mbart' has no language 'xx'"):
        language_id(many, "xx", "mbart")
