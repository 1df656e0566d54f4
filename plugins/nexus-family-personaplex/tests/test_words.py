"""Kyutai's tokenizer: a model of SentencePiece, which is all that its repositories hold."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nexus_family_personaplex.architecture import PersonaPlex
from nexus_family_personaplex.layout import TEXT
from nexus_specs import Installed, NexusError, Sample

NAME = "personaplex-7b"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
PIECES = ("<unk>", "<s>", "</s>", "<pad>", *BYTES, "▁", "e", "h", "l", "o", "he", "ll", "hell", "hello", "▁hello")
"""As byte pairs they are learned in this order."""
OTHERS = {0: 2, 1: 3, 2: 3, 3: 3} | dict.fromkeys(range(4, 260), 6)
"""Kinds of those that are no words."""


def field(number: int, value: Any) -> bytes:
    """Of a message of protocol buffers, shorter than 128 bytes."""
    if isinstance(value, int):
        return bytes([number << 3 & 127 | (128 if number > 15 else 0), *([number >> 4] if number > 15 else []), value])
    if isinstance(value, float):
        return bytes([number << 3 | 5]) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(data)]) + data


def words(kind: int) -> bytes:
    """1: the likeliest pieces; 2: byte pairs."""
    kinds = [OTHERS.get(at, 1) for at in range(len(PIECES))]
    pieces = [field(1, text) + field(2, -1.0 - at / 300) + field(3, kinds[at]) for at, text in enumerate(PIECES)]
    return b"".join(field(1, each) for each in pieces) + field(2, field(3, kind) + field(35, 1))


@pytest.fixture
def spoken(tiny: Callable[[str], Any], tmp_path: Path) -> Callable[..., Any]:
    """The checkpoint of a folder as Kyutai publishes it, with these bytes for its tokenizer."""

    def made(data: bytes) -> Any:
        _, _, source, _ = tiny(NAME)
        shutil.copytree(source, tmp_path / "kyutai", ignore=shutil.ignore_patterns("tokenizer*.json", "special*"))
        (tmp_path / "kyutai" / TEXT).write_bytes(data)
        return PersonaPlex().open(str(tmp_path / "kyutai"), Installed())

    return made


@pytest.mark.parametrize("kind", [1, 2])
def test_a_text_is_cut_as_sentencepiece_cuts_it(kind: int, spoken: Callable[..., Any]) -> None:
    checkpoint = spoken(words(kind))
    assert not checkpoint.blueprint.missing
    sample = Sample(key="a", fields={"audio": np.zeros(1280, np.float32), "rate": 24000, "text": "  hello   hello ☃ "})
    ids = checkpoint.collate([sample])["input_ids"][0].tolist()
    assert [PIECES[each] for each in ids] == ["▁hello", "▁hello", "▁", "<0xE2>", "<0x98>", "<0x83>"]
    assert checkpoint.preprocessor.tokenizer.decode(ids) == "hello hello ☃"


@pytest.mark.parametrize("data", [b"no message", words(4), words(1)[:-6]])
def test_what_is_no_such_tokenizer_is_said(data: bytes, spoken: Callable[..., Any]) -> None:
    checkpoint = spoken(data)
    sample = Sample(key="a", fields={"audio": np.zeros(1280, np.float32), "rate": 24000, "text": "hello"})
    with pytest.raises(NexusError, match=r"no tokenizer of Kyutai"):
        checkpoint.collate([sample])
