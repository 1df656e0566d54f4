"""Texts to tokens, and whether tensors are copies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from nexus_specs import Extent, NexusError
from nexus_torch import identity
from nexus_torch.files import read_header, write_tensors
from nexus_torch.identity import file_hashes, stored_hashes, tensor_hash
from nexus_torch.text import byte_spans, start_token, tokenise, tokenizer_hash

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")


def byte_tokenizer(**special: str) -> object:
    letters = ["<s>", *sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())]
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={each: at for at, each in enumerate(letters)}, merges=[]))
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, **special)


def test_a_start_token_stands_first_and_padding_last() -> None:
    found = tokenise(byte_tokenizer(bos_token="<s>"), ["abc", "é", ""], start=0)
    assert found.ids.shape == (3, 4)
    assert found.ids[:, 0].tolist() == [0, 0, 0]
    assert found.mask.sum(1).tolist() == [4, 3, 1]
    assert found.spans[0].tolist() == [[0, 0], [0, 1], [1, 2], [2, 3]]
    assert found.spans[1].tolist()[:3] == [[0, 0], [0, 2], [0, 2]]


def test_texts_are_cut_at_the_limit() -> None:
    found = tokenise(byte_tokenizer(bos_token="<s>"), ["abcdef", "a"], start=0, limit=3)
    assert found.mask.sum(1).tolist() == [3, 2]


def test_spans_are_of_bytes() -> None:
    assert byte_spans("aé☃b", [(0, 1), (1, 2), (2, 3), (3, 4)]) == [(0, 1), (1, 3), (3, 6), (6, 7)]


@pytest.mark.parametrize("name", ["bos_token", "eos_token", "cls_token"])
def test_which_token_starts(name: str) -> None:
    assert start_token(byte_tokenizer(**{name: "<s>"})) == 0


def test_none_starts() -> None:
    with pytest.raises(NexusError, match="no bos, eos or cls token"):
        start_token(byte_tokenizer())


def test_equal_hash_same_tokens(tmp_path: Path) -> None:
    one = byte_tokenizer(bos_token="<s>")
    before = tokenizer_hash(one)
    one(["ab", "c"], padding=False, truncation=True, max_length=1)
    assert tokenizer_hash(one) == before
    one.save_pretrained(tmp_path)
    assert tokenizer_hash(transformers.AutoTokenizer.from_pretrained(tmp_path)) == before
    one.add_tokens(["new"])
    assert tokenizer_hash(one) != before


def test_a_slow_tokenizer_is_its_words() -> None:
    class Slow:
        def get_vocab(self) -> dict[str, int]:
            return {"a": 0}

    assert len(tokenizer_hash(Slow())) == 16


def test_a_copy_is_found_whatever_its_dtype(tmp_path: Path) -> None:
    weight = torch.randn(3, 4).bfloat16()
    assert tensor_hash(weight) == tensor_hash(weight.float()) == tensor_hash(weight.double())
    assert tensor_hash(weight) != tensor_hash(weight.reshape(4, 3))
    assert tensor_hash(torch.ones(5)) == tensor_hash(torch.zeros(2, 2)) == tensor_hash(torch.tensor([3.0])) == ""
    write_tensors(tmp_path / "a.safetensors", {"w": weight, "one": torch.ones(3), "scalar": torch.tensor(1.5)})
    assert dict(file_hashes(tmp_path / "a.safetensors")) == {"w": tensor_hash(weight), "one": "", "scalar": ""}


def test_a_tensor_in_parts_has_the_hash_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weight, alike = torch.randn(7, 5).bfloat16(), torch.ones(6)
    write_tensors(tmp_path / "a.safetensors", {"w": weight, "one": alike, "last": torch.tensor([1.0, 1.0, 1.0, 2.0])})
    whole = sorted(filter(None, dict(file_hashes(tmp_path / "a.safetensors")).values()))
    assert len(whole) == 2
    monkeypatch.setattr(identity, "CHUNK", 3)
    assert tensor_hash(weight) in whole
    entries, start = read_header(tmp_path / "a.safetensors")
    extents = [
        Extent(key=key, file=str(tmp_path / "a.safetensors"), start=start + entry["data_offsets"][0],
               stop=start + entry["data_offsets"][1], dtype=entry["dtype"], shape=tuple(entry["shape"]))
        for key, entry in entries.items()
    ]  # fmt: skip
    assert stored_hashes(extents) == whole
    os.truncate(tmp_path / "a.safetensors", start + 4)
    with pytest.raises(NexusError, match="ends within the tensor"):
        stored_hashes(extents)
