"""The conformance kit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import nexus_arch_peft.plugin as plugin
import peft
import pytest
import transformers as hf
from nexus_specs import Sample, content_key
from nexus_specs.testing import ArchitectureTests, PluginTests


class TestPlugin(PluginTests):
    plugin = plugin


class TestPeft(ArchitectureTests):
    plugin = plugin
    name = "peft"

    @pytest.fixture(autouse=True)
    def _inputs(self, base: Callable[[str], Path], tmp_path: Path) -> None:
        model = hf.LlamaForCausalLM.from_pretrained(base("llama"))
        settings = peft.LoraConfig(target_modules=["q_proj", "embed_tokens"], r=2, init_lora_weights=False)
        peft.get_peft_model(model, settings).save_pretrained(tmp_path / "adapter")
        self.made = [str(tmp_path / "adapter")]

    def sources(self) -> Sequence[str]:
        return self.made

    def samples(self) -> Sequence[Sample]:
        return [Sample(key=content_key({"text": text}), fields={"text": text}) for text in ("Short.", "A longer one.")]
