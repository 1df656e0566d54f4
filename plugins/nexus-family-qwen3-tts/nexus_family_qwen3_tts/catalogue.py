"""The rows of `nexus list architectures`."""

from __future__ import annotations

from typing import Any

from nexus_torch.hugging_face.family import row

TALKER, TOKENIZER = "qwen3_tts", "qwen3_tts_tokenizer_12hz"
HEADS = {TALKER: "Qwen3TTSForConditionalGeneration", TOKENIZER: "Qwen3TTSTokenizerV2Model"}
TAKES = {TALKER: "text", TOKENIZER: "audio"}


def rows() -> list[dict[str, Any]]:
    """One row for each of the two model types."""
    return [row("qwen3-tts", name, head, (TAKES[name],), generates=name == TALKER) for name, head in HEADS.items()]
