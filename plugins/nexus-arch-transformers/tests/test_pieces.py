"""Vocabularies of SentencePiece and of tiktoken, and tokenizers that are programs: read without their libraries, or
refused in words."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from nexus_specs import Installed, NexusError, Sample
from nexus_torch.hugging_face.text.pieces import proto

WORDS = ("<unk>", "<s>", "</s>", "▁", "▁hello", "▁wor", "ld", "h", "e", "l", "o", "w", "r", "d")
NORMAL, UNKNOWN, CONTROL = 1, 2, 3


def whole(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def message(*fields: tuple[int, Any]) -> bytes:
    """Fields of a message of protocol buffers: numbers, fractions, texts, messages."""
    found = b""
    for number, value in fields:
        if isinstance(value, int):
            found += whole(number << 3) + whole(value % (1 << 64))
        elif isinstance(value, float):
            found += whole(number << 3 | 5) + struct.pack("<f", value)
        else:
            data = value.encode() if isinstance(value, str) else value
            found += whole(number << 3 | 2) + whole(len(data)) + data
    return found


def sentencepiece() -> bytes:
    """What the library writes of a vocabulary of WORDS, as it learns unigrams."""
    kinds = [UNKNOWN, CONTROL, CONTROL, *[NORMAL] * (len(WORDS) - 3)]
    both = enumerate(zip(WORDS, kinds, strict=True))
    pieces = [(1, message((1, word), (2, -1.0 * at), (3, kind))) for at, (word, kind) in both]
    return message(*pieces, (2, message((3, 1), (43, -1))), (3, message((1, "identity"), (3, 1))))


@pytest.fixture
def worded(tmp_path: Path) -> Callable[..., list[int]]:
    """The ids that a folder makes of a text, with these files for its tokenizer."""

    def ids(kind: Any, config: Any, files: dict[str, bytes], text: str = "hello world") -> list[int]:
        kind(config).save_pretrained(tmp_path)
        for name, data in files.items():
            (tmp_path / name).write_bytes(data)
        checkpoint = Installed().make("architecture", "transformers").open(str(tmp_path), Installed())
        found: list[int] = checkpoint.collate([Sample(key="a", fields={"text": text})])["input_ids"][0].tolist()
        return found

    return ids


def small(kind: Any, **more: Any) -> Any:
    return kind(vocab_size=300, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, **more)


def names(ids: Sequence[int]) -> list[str]:
    return [WORDS[each] for each in ids]


def test_a_model_of_sentencepiece_is_read_without_its_library(worded: Callable[..., list[int]]) -> None:
    config = json.dumps({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}).encode()
    ids = worded(hf.LlamaForCausalLM, small(hf.LlamaConfig),
                 {"tokenizer.model": sentencepiece(), "tokenizer_config.json": config})  # fmt: skip
    assert ids[0] == 1


def test_deberta_as_it_is_published_has_its_tokens(worded: Callable[..., list[int]]) -> None:
    """No class, no tokenizer.json: spm.model and two settings."""
    config = json.dumps({"do_lower_case": False, "vocab_type": "spm"}).encode()
    ids = worded(hf.DebertaV2Model, small(hf.DebertaV2Config), {"spm.model": sentencepiece(),
                                                                "tokenizer_config.json": config})  # fmt: skip
    assert names(ids[1:-1]) == ["▁hello", "▁wor", "ld"]


def test_what_is_kept_of_a_teacher_is_read_without_it(worded: Callable[..., list[int]], tmp_path: Path) -> None:
    """The student reads the tokenizer of a profile's folder with transformers alone."""
    config = json.dumps({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}).encode()
    files = {"tokenizer.model": sentencepiece(), "tokenizer_config.json": config}
    ids = worded(hf.LlamaForCausalLM, small(hf.LlamaConfig), files)
    opened = Installed().make("architecture", "transformers").open(str(tmp_path), Installed())
    opened.save_preprocessor(tmp_path / "kept")
    plain = hf.AutoTokenizer.from_pretrained(tmp_path / "kept")
    assert plain("hello world", add_special_tokens=False)["input_ids"] == ids[1:]


def test_a_list_of_tiktoken_is_read_without_its_library(worded: Callable[..., list[int]]) -> None:
    tokens = [bytes([at]) for at in range(256)] + [b"he", b"ll", b"hell", b"hello"]
    listed = "\n".join(f"{base64.b64encode(each).decode()} {at}" for at, each in enumerate(tokens)).encode()
    config = json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}).encode()
    ids = worded(hf.LlamaForCausalLM, small(hf.LlamaConfig, bos_token_id=5),
                 {"tokenizer.model": listed, "tokenizer_config.json": config}, "hello")  # fmt: skip
    assert ids[-1] == tokens.index(b"hello")


@pytest.mark.parametrize("data", [b"", b"\x0a\x05ab", b"<html>not found</html>", b"\xff" * 40, sentencepiece()[:60]])
def test_what_is_neither_is_said(data: bytes, worded: Callable[..., list[int]]) -> None:
    with pytest.raises(NexusError, match=r"tokenizer"):
        worded(hf.LlamaForCausalLM, small(hf.LlamaConfig), {"tokenizer.model": data})


def test_fields_of_other_types_are_no_model() -> None:
    with pytest.raises(ValueError, match=r"no model of SentencePiece"):
        proto(message((1, message((1, 7)))))


def test_a_charsmap_that_leads_astray_is_no_model() -> None:
    """The library that follows it panics."""
    with pytest.raises(ValueError, match=r"precompiled_charsmap"):
        proto(sentencepiece() + message((3, message((2, b"\xff" * 9)))))


def test_a_tokenizer_that_is_a_program_is_never_run(worded: Callable[..., list[int]], tmp_path: Path) -> None:
    """What it is in tokenizer.json is read; where there is none, that is said."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    inner = Tokenizer(models.WordLevel({"<s>": 0, "hello": 1, "world": 2}, unk_token="<s>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    mapped = {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["tokenization_own.OwnTokenizer", None]}}
    config = json.dumps(mapped).encode()
    given = (hf.LlamaForCausalLM, small(hf.LlamaConfig, bos_token_id=0))
    with pytest.raises(NexusError, match=r"OwnTokenizer.*never run"):
        worded(*given, {"tokenizer.model": sentencepiece(), "tokenizer_config.json": config})
    assert worded(*given, {"tokenizer.json": inner.to_str().encode()}) == [0, 1, 2]
    opened = Installed().make("architecture", "transformers").open(str(tmp_path), Installed())
    opened.save_preprocessor(tmp_path / "kept")
    assert hf.AutoTokenizer.from_pretrained(tmp_path / "kept")("hello world")["input_ids"] == [1, 2]


def test_a_library_that_only_transformers_can_use_is_named(worded: Callable[..., list[int]]) -> None:
    if hf.utils.is_sentencepiece_available():
        pytest.skip("it is installed here")
    config = json.dumps({"tokenizer_class": "MarianTokenizer", "source_lang": "en", "target_lang": "de"}).encode()
    parts = ("layers", "attention_heads", "ffn_dim")
    shape = {f"{side}_{name}": 1 for side in ("encoder", "decoder") for name in parts}
    made = hf.MarianConfig(vocab_size=20, d_model=8, pad_token_id=19, decoder_start_token_id=19, **shape)
    with pytest.raises(NexusError, match=r"pip install sentencepiece"):
        worded(hf.MarianMTModel, made, {"source.spm": sentencepiece(), "target.spm": sentencepiece(),
                                        "vocab.json": b'{"<unk>": 0}', "tokenizer_config.json": config})  # fmt: skip
