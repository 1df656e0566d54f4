"""What several kinds are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import transformers as hf
from streaming.stored import tokenizer

LARGE: dict[str, Any] = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
}  # fmt: skip
"""BERT-large, ViT-L, CLIP-L's tower, Wav2Vec2-L, ..."""
SO400M: dict[str, Any] = {"hidden_size": 1152, "intermediate_size": 4304, "num_attention_heads": 16}
ENDS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
BEGINS = ENDS | {"decoder_start_token_id": 0}


def square(side: int) -> dict[str, int]:
    """A picture's size."""
    return {"height": side, "width": side}


def shortest(side: int) -> dict[str, Any]:
    """A picture's shorter side, and the middle of it."""
    return {"size": {"shortest_edge": side}, "crop_size": square(side)}


def sides(**each: int) -> dict[str, int]:
    """The same for an encoder and a decoder: layers=2 -> encoder_layers, decoder_layers."""
    return {f"{side}_{name}": value for side in ("encoder", "decoder") for name, value in each.items()}


def words(*special: str, named: Mapping[str, str] | None = None) -> Any:
    """A tokenizer of bytes, with tokens of its own and such as it knows by a name."""
    known = dict(named or {})
    if not special and not known:
        return tokenizer()
    plain = tokenizer()
    plain.add_special_tokens({"additional_special_tokens": [*special, *known.values()]})
    ends = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<s>")
    inner = plain.backend_tokenizer
    return hf.PreTrainedTokenizerFast(tokenizer_object=inner, **ends, extra_special_tokens=known)
