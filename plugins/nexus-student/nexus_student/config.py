"""The student's configuration: its core's, and which towers it has."""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from transformers import AutoConfig, PreTrainedConfig


class NexusConfig(PreTrainedConfig):
    """`core` is the configuration of the core; what `generate` asks of a text model is the core's."""

    model_type = "nexus"
    sub_configs: ClassVar = {"core": AutoConfig}

    def __init__(self, core: PreTrainedConfig | dict[str, Any] | None = None, **settings: Any) -> None:
        if isinstance(core, dict):
            core = AutoConfig.for_model(**core)
        self.core = core if core is not None else AutoConfig.for_model("llama")
        # transformers hands its choice of attention down to `core` here: without one it would take the core's away
        settings.setdefault("attn_implementation", getattr(self.core, "_attn_implementation", None))
        super().__init__(**settings)
        importlib.import_module(f"{__package__}.model")  # where a configuration is, the Auto classes know its model
        self.tie_word_embeddings = self.core.tie_word_embeddings

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> PreTrainedConfig:
        """The core's: caches and generation count its layers."""
        return self.core
