"""Which tokens end an answer: those that a file's metadata names, and those that every runtime of GGUF knows by name
(llama.cpp's `llama_vocab`, its set of tokens that end a generation)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .source import Source

KEYS = ("eos_token_id", "eot_token_id", "eom_token_id")
"""Of a text, of a turn, of a message to a tool."""
NAMES = (
    "<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>",
    "<EOT>", "_<EOT>", "[EOT]", "<|end_of_text|>", "<end_of_utterance>", "<｜end▁of▁sentence｜>",
)
HARMONY, ONLY_OF_A_MESSAGE = {"<|return|>", "<|call|>"}, "<|end|>"
"""gpt-oss ends its messages with a token of its own, and its turn with another."""


def endings(source: Source, vocabulary: Mapping[str, int]) -> dict[str, Any]:
    """As generation_config.json would say it; {} where nothing is known."""
    said = [source.get(f"tokenizer.ggml.{key}") for key in KEYS]
    known = {each for each in said if isinstance(each, int) and not isinstance(each, bool) and each >= 0}
    names = [name for name in NAMES if name in vocabulary]
    if HARMONY.issubset(names):
        names = [name for name in names if name != ONLY_OF_A_MESSAGE]
    found = sorted(known | {vocabulary[name] for name in names})
    return {"eos_token_id": found} if found else {}
