"""Vocabularies that stand in no JSON: a model of SentencePiece (DeBERTa-v3, older Llama, T5, XLM-R) and a list of
tiktoken (Llama 3 as Meta has it). transformers reads them through sentencepiece, protobuf and tiktoken, which are not
installed with it; their few fields are read and checked here, and transformers makes the tokenizer of them as ever.

A model of SentencePiece is a message of protocol buffers: fields with a number, each a whole number, four or eight
bytes, or a run of bytes that may be a message again.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from transformers.convert_slow_tokenizer import SentencePieceExtractor, TikTokenConverter

from . import charsmaps

PIECES, TRAINER, NORMALIZER = 1, 2, 3
"""Fields of the whole: each piece, how it was learned, how texts are made alike before."""
TRAINED: Mapping[int, tuple[str, Any]] = {
    3: ("model_type", 1), 24: ("treat_whitespace_as_suffix", False), 35: ("byte_fallback", False), 40: ("unk_id", 0),
    41: ("bos_id", 1), 42: ("eos_id", 2), 43: ("pad_id", -1), 45: ("unk_piece", "<unk>"), 46: ("bos_piece", "<s>"),
    47: ("eos_piece", "</s>"), 48: ("pad_piece", "<pad>"),
}  # fmt: skip
"""Number -> name and what stands for it where it is left out."""
NORMALIZED: Mapping[int, tuple[str, Any]] = {
    1: ("name", ""), 2: ("precompiled_charsmap", b""), 3: ("add_dummy_prefix", True),
    4: ("remove_extra_whitespaces", True), 5: ("escape_whitespaces", True),
}  # fmt: skip
PIECE: Mapping[int, tuple[str, Any]] = {1: ("piece", ""), 2: ("score", 0.0), 3: ("type", 1)}
BYTES_OF = {1: 8, 5: 4}
"""Kinds of fields with a length of their own."""
LONGEST = 10
"""Bytes of a whole number."""


@contextmanager
def readable() -> Iterator[None]:
    """transformers reads such files here, without the libraries that it reads them with."""
    place = import_module(SentencePieceExtractor.__module__)            # its name is that of a function, too
    with (
        mock.patch.object(place, "SentencePieceExtractor", Extractor),
        mock.patch.object(TikTokenConverter, "load_tiktoken_bpe", staticmethod(ranks)),
    ):
        yield


class Extractor(SentencePieceExtractor):
    """transformers' own, of a file that is read here."""

    def __init__(self, model: str) -> None:
        self.proto = proto(Path(model).read_bytes())


def proto(data: bytes) -> SimpleNamespace:
    """A model of SentencePiece. ValueError for what is none."""
    found = SimpleNamespace(pieces=[], trainer_spec=_said(b"", TRAINED), normalizer_spec=_said(b"", NORMALIZED))
    for number, value in fields(data):
        if number == PIECES:
            found.pieces.append(_said(value, PIECE))
        elif number == TRAINER:
            found.trainer_spec = _said(value, TRAINED)
        elif number == NORMALIZER:
            found.normalizer_spec = _said(value, NORMALIZED)
    if not found.pieces:
        raise ValueError("it holds no pieces of SentencePiece")
    charsmap = found.normalizer_spec.precompiled_charsmap
    if charsmap and (wrong := charsmaps.fault_of(charsmap)):
        raise ValueError(f"its precompiled_charsmap {wrong}")
    return found


def ranks(file: str) -> dict[bytes, int]:
    """A list of tiktoken: in each line the bytes of a token in base64, and its rank. ValueError for what is none."""
    found: dict[bytes, int] = {}
    for number, line in enumerate(Path(file).read_bytes().splitlines(), 1):
        try:
            token, rank = line.split()
            found[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error) as error:
            if line.strip():
                raise ValueError(
                    f"line {number} of '{Path(file).name}' is no token of tiktoken, and the file no model of "
                    "SentencePiece: it is damaged"
                ) from error
    if not found:
        raise ValueError(f"'{Path(file).name}' is empty")
    return found


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """The fields of a message, by their numbers. ValueError where it is none."""
    at = 0
    while at < len(data):
        key, at = _whole(data, at)
        kind, size = key & 7, 0
        if kind == 0:
            value, at = _whole(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _whole(data, at)
        elif (size := BYTES_OF.get(kind, -1)) < 0:
            raise ValueError("it is no message of protocol buffers")
        if at + size > len(data):
            raise ValueError("it is cut off")
        yield key >> 3, data[at : at + size]
        at += size


def _whole(data: bytes, at: int) -> tuple[int, int]:
    """A whole number of seven bits a byte, and where the next field begins."""
    found = 0
    for place in range(LONGEST):
        if at + place >= len(data):
            break
        byte = data[at + place]
        found |= (byte & 127) << (7 * place)
        if byte < 128:
            return found, at + place + 1
    raise ValueError("it is no message of protocol buffers")


def _said(data: Any, known: Mapping[int, tuple[str, Any]]) -> SimpleNamespace:
    """The fields of a message that are known, as the type of what stands for each."""
    found = SimpleNamespace(**dict(known.values()))
    for number, value in fields(data) if isinstance(data, bytes) else ():
        if number in known:
            name, default = known[number]
            setattr(found, name, _typed(value, default))
    return found


def _typed(value: Any, default: Any) -> Any:
    if isinstance(default, bytes):
        return value if isinstance(value, bytes) else b""
    if isinstance(value, bytes):
        if isinstance(default, float) and len(value) == 4:
            return struct.unpack("<f", value)[0]
        if not isinstance(default, str):
            raise ValueError("it is no model of SentencePiece")
        return value.decode()
    if isinstance(default, (str, float)):
        raise ValueError("it is no model of SentencePiece")
    if isinstance(default, bool):
        return bool(value)
    return value - (1 << 64) if value >= 1 << 63 else value
