"""The loader of both model types."""

from __future__ import annotations

from nexus_specs import Checkpoint, Lookup
from nexus_torch.hugging_face.family import Family
from nexus_torch.hugging_face.folder import configuration, folder

from .catalogue import HEADS, TALKER


class Qwen3TTS(Family):
    """Kind "architecture": folders of the model types qwen3_tts and qwen3_tts_tokenizer_12hz."""

    called = f"a folder with a config.json of the model type {' or '.join(HEADS)}"

    def reads(self, place: str) -> bool:
        """Its model types."""
        return configuration(place).get("model_type") in HEADS

    def made(self, source: str, lookup: Lookup) -> Checkpoint:
        """The talker, or the tokenizer."""
        from .speaking import TalkerCheckpoint
        from .tokenizing import TokenizerCheckpoint

        kind = TalkerCheckpoint if configuration(source)["model_type"] == TALKER else TokenizerCheckpoint
        return kind.of(folder(source))
