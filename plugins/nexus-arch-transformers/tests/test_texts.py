"""Texts that a tokenizer cannot cut, tokens that a model has no row for, samples that are not alike: said in words."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Checkpoint, Installed, NexusError, Sample, content_key
from nexus_torch.hugging_face.text.embedded import check_tokens
from nexus_torch.hugging_face.text.vocabulary import check_tokenizer

GROWING: dict[str, Any] = {
    "a long replacement": {"type": "Replace", "pattern": {"String": " "}, "content": "x" * 3_000_000},
    "many that double": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"} for _ in range(30)
    ]},
    "a long beginning": {"type": "Prepend", "prepend": "x" * 100_000},
}  # fmt: skip


@pytest.fixture
def changed(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A decoder whose tokenizer.json says something else."""

    def make(**values: Any) -> Path:
        home = tmp_path / "decoder"
        shutil.copytree(checkpoint_folder("llama"), home)
        told = json.loads((home / "tokenizer.json").read_text())
        (home / "tokenizer.json").write_text(json.dumps(told | values))
        return home

    return make


def opened(home: Path) -> Checkpoint:
    return Transformers().open(str(home), Installed())


@pytest.mark.parametrize("name", GROWING)
def test_replacements_that_blow_a_text_up_are_refused(name: str, changed: Callable[..., Path]) -> None:
    home = changed(normalizer=GROWING[name])
    with pytest.raises(NexusError, match="makes a text more than 64 times as long"):
        check_tokenizer(home)
    assert "tokenizer.json" in opened(home).blueprint.missing


@pytest.mark.parametrize("charsmap", [b"\x10\0\0\0" + 16 * b"\xff", 68 * b"\xff"], ids=["at a text", "at loading"])
def test_a_library_that_panics_is_an_error_in_words(
    charsmap: bytes, changed: Callable[..., Path], texts: list[Sample]
) -> None:
    told = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
    home = changed(normalizer=told)
    with pytest.raises(NexusError, match="decoder"):
        opened(home).collate(texts)


def test_a_tokenizer_without_its_unknown_is_an_error_in_words(
    changed: Callable[..., Path], texts: list[Sample]
) -> None:
    model = {"type": "WordLevel", "vocab": {"<s>": 0, "</s>": 1, "x": 2}, "unk_token": "[UNK]"}
    checkpoint = opened(changed(model=model, added_tokens=[]))
    with pytest.raises(NexusError, match=r"The tokenizer in '.*decoder' cannot cut these texts: "):
        checkpoint.collate(texts)
    with pytest.raises(NexusError, match="cannot cut these texts"):
        checkpoint.lengths(texts)  # type: ignore[attr-defined]


def test_a_word_that_was_added_and_never_learned_is_named(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path, words: Any
) -> None:
    home = tmp_path / "grown"
    shutil.copytree(checkpoint_folder("llama"), home)
    tokenizer = words()
    tokenizer.add_tokens([f"<new{number}>" for number in range(40)])
    tokenizer.save_pretrained(home)
    checkpoint = opened(home)
    known = [Sample(key="a", fields={"text": "x = 1"})]
    assert checkpoint.collate(known)["input_ids"].max() < 300
    with pytest.raises(NexusError, match=r"makes the id 3\d\d \('<new39>'\), and the model has 300 rows"):
        checkpoint.collate([Sample(key="b", fields={"text": "x = <new39>"})])


def test_samples_with_and_without_a_picture_are_never_one_batch(checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint: Any = opened(checkpoint_folder("vit"))
    checkpoint.preprocessor.takes = ("image", "text")
    picture = np.zeros((8, 8, 3), np.uint8)
    fields = [{"image": picture, "text": "a"}, {"text": "b"}, {"image": picture, "text": "c"}, {"image": picture}]
    samples = [Sample(key=content_key(each), fields=each) for each in fields]
    assert checkpoint.groups(samples) == [[0, 2], [1], [3]]
    with pytest.raises(NexusError, match="image and text and others with text: what some of them have would be lost"):
        checkpoint.collate(samples[:2])
    assert checkpoint.groups([Sample(key="a", fields={"x": 1}), Sample(key="b", fields={"y": 2})]) == [[0, 1]]


def carrying(**fields: Any) -> Sample:
    return Sample(key=content_key(fields), fields=fields)


def test_arguments_that_only_some_samples_carry_are_never_lost(checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint: Any = opened(checkpoint_folder("llama"))
    samples = [carrying(input_ids=[1, 5]), carrying(input_ids=[1, 6], position_ids=[0, 7]), carrying(text="x = 1")]
    assert checkpoint.groups(samples) == [[0], [1], [2]]
    with pytest.raises(NexusError, match="no numbers under 'position_ids', which others of its batch have"):
        checkpoint.collate(samples[:2])


def test_ids_of_unequal_length_have_a_mask(checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint: Any = opened(checkpoint_folder("llama"))
    samples = [carrying(input_ids=[1, 5, 7, 9][: 2 + number]) for number in range(3)]
    assert checkpoint.groups(samples) == [[0, 1, 2]]
    assert checkpoint.collate(samples)["attention_mask"].tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    own = [carrying(input_ids=[1, 5], attention_mask=[1, 0]), carrying(input_ids=[1, 5, 6], attention_mask=[1, 1, 1])]
    assert checkpoint.collate(own)["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]


def test_an_encoders_texts_are_filled_up_behind_whatever_its_tokenizer_says(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """Before them, padding would move their positions: what a text gives would depend on its batch."""
    home = shutil.copytree(checkpoint_folder("bert"), tmp_path / "encoder")
    told = json.loads((home / "tokenizer_config.json").read_text())
    (home / "tokenizer_config.json").write_text(json.dumps(told | {"padding_side": "left"}))
    mask = opened(home).collate([carrying(text="x = 1"), carrying(text="x = 1 and y = 2 and z")])["attention_mask"]
    assert (mask[0, 0], mask[0, -1]) == (1, 0)


def test_padding_is_known_where_a_forward_takes_no_mask(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """xLSTM: the states and scores of a short text had rows of padding behind them."""
    import transformers

    home = shutil.copytree(checkpoint_folder("llama"), tmp_path / "recurrent")
    config = transformers.xLSTMConfig(
        vocab_size=300, hidden_size=32, embedding_dim=32, num_hidden_layers=1, num_blocks=1, num_heads=2, eos_token_id=1
    )
    transformers.xLSTMForCausalLM(config).save_pretrained(home)
    checkpoint: Any = opened(home)
    batch = checkpoint.collate([carrying(text="x = 1"), carrying(text="x = 1 and y = 2 and z")])
    assert "attention_mask" not in batch
    logits = torch.zeros(*batch["input_ids"].shape, 300)
    mask = checkpoint.read(transformers.utils.ModelOutput(logits=logits), batch).mask
    assert batch.side["mask"].equal(mask)
    assert (mask[0, -1], mask[1, -1]) == (False, True)


@pytest.mark.parametrize(
    "kind", ["BltForCausalLM", "MusicgenMelodyForConditionalGeneration", "T5GemmaForSequenceClassification"]
)
def test_what_patches_or_words_before_a_song_are_goes_alone(kind: str) -> None:
    """Nobody can tell their padding in the states: those of a batch had rows of it. And T5Gemma's class is told by the
    position behind a text, where padding follows."""
    import transformers
    from nexus_torch.hugging_face.configuration.classes import is_alone

    found = getattr(transformers, kind)
    assert is_alone(found.config_class(), found)


def test_without_a_mask_only_equal_lengths_go_together(checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint: Any = opened(checkpoint_folder("llama"))
    checkpoint.preprocessor.arguments -= {"attention_mask"}
    samples = [carrying(input_ids=ids) for ids in ([1, 5], [1, 5, 7], [1, 9])]
    assert checkpoint.groups(samples) == [[0, 2], [1]]


@pytest.mark.parametrize("ids", [[1, 99_999], [1, -4]], ids=str)
def test_a_samples_id_without_a_row_is_named(ids: list[int], checkpoint_folder: Callable[[str], Path]) -> None:
    with pytest.raises(NexusError, match=rf"A sample has the id {ids[1]} in 'input_ids'; '.*' has rows for 0 to 299"):
        opened(checkpoint_folder("llama")).collate([carrying(input_ids=ids)])


def test_a_place_that_is_looked_up_nowhere_needs_no_row() -> None:
    batch, rows = {"input_ids": torch.tensor([[1, 300]])}, {"input_ids": 300}
    sample = [carrying(text="x")]
    assert check_tokens(batch, rows, sample, {"vision": {"image_token_id": 300}}, "a") is None
    assert check_tokens(batch, rows, sample, {"image_token_id": 301, "eos_token_id": None}, "a") == 300


def test_a_pattern_that_tries_every_way_ends_in_words(
    changed: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """And in nothing else: the library's own report of its panic stays away from the terminal."""
    told = {"type": "Replace", "pattern": {"Regex": "(a|a)+$"}, "content": "b"}
    checkpoint = opened(changed(normalizer=told))
    with pytest.raises(NexusError, match=r"cannot cut these texts: .*retry-limit"):
        checkpoint.collate([carrying(text="a" * 500 + "!")])
    assert capfd.readouterr().err == ""
    checkpoint.collate([carrying(text="short")])
