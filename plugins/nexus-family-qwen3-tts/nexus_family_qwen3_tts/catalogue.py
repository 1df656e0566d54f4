"""The rows of `nexus list architectures`."""

from __future__ import annotations

from typing import Any

TALKER, TOKENIZER = "qwen3_tts", "qwen3_tts_tokenizer_12hz"
HEADS = {TALKER: "Qwen3TTSForConditionalGeneration", TOKENIZER: "Qwen3TTSTokenizerV2Model"}
TAKES = {TALKER: ["text"], TOKENIZER: ["audio"]}


def rows() -> list[dict[str, Any]]:
    """One row for each of the two model types."""
    return [
        {
            "architecture": name,
            "heads": [head],
            "generates": name == TALKER,
            "loader": "qwen3-tts",
            "modalities": TAKES[name],
        }
        for name, head in HEADS.items()
    ]
