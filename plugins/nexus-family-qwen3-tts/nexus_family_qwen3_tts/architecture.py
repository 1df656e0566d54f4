"""The loader of both model types."""

from __future__ import annotations

from nexus_specs import Blueprint, Checkpoint, Lookup, NexusError, Origin
from nexus_torch import hub
from nexus_torch.hugging_face.folder import configuration, folder

from .catalogue import HEADS, TALKER


class Qwen3TTS:
    """Kind "architecture": folders of the model types qwen3_tts and qwen3_tts_tokenizer_12hz."""

    def match(self, source: str) -> int:
        """2 for its model types."""
        return 2 if configuration(source).get("model_type") in HEADS else 0

    def origin(self, source: str) -> Origin | None:
        """Where the source is pinned on the hub; None for what is on this machine."""
        return hub.origin(source)

    def inspect(self, source: str) -> Blueprint:
        """What the checkpoint is; reads configuration and headers."""
        return self._checkpoint(source).blueprint

    def open(self, source: str, lookup: Lookup) -> Checkpoint:
        """The checkpoint."""
        return self._checkpoint(source)

    def _checkpoint(self, source: str) -> Checkpoint:
        from .speaking import TalkerCheckpoint  # torch and transformers: not for `match`
        from .tokenizing import TokenizerCheckpoint

        if not self.match(source):
            raise NexusError(f"'{source}' is not a folder with a config.json of {' or '.join(HEADS)}.")
        kind = TalkerCheckpoint if configuration(source)["model_type"] == TALKER else TokenizerCheckpoint
        return kind.of(folder(source))
