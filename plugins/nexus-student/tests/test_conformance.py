"""The kit, on a core that two teachers of different tokens teach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nexus_student.plugin as plugin
from nexus_specs import Adapter, Profile, Sample, content_key
from nexus_specs.testing import PluginTests, StudentTests, blueprint
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast


class TestPlugin(PluginTests):
    plugin = plugin


class Lora:
    """A text tower as simple as can be."""

    def __init__(self, vocabulary: str = "core") -> None:
        self.vocabulary = vocabulary

    def adapter(self, core: Any, profiles: Any) -> Adapter:
        return Adapter(how="lora", rank=2, vocabulary=self.vocabulary)

    def build(self, core: Any, profiles: Any) -> None:
        return None

    def collate(self, samples: Any) -> dict[str, Any]:
        return {}

    def config(self) -> dict[str, Any]:
        return {"vocabulary": self.vocabulary}


def byte_tokenizer(folder: Path, merges: list[tuple[str, str]]) -> int:
    """Writes a tokenizer of bytes and some pairs of them; how many tokens it has."""
    letters = ["<s>", *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    made = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>").save_pretrained(folder)
    return len(letters)


def profile(folder: Path, name: str, merges: list[tuple[str, str]]) -> Profile:
    words = byte_tokenizer(folder / name / "preprocessor", merges)
    return Profile(
        teacher=name,
        capability=name,
        blueprint=blueprint(vocabulary=words, tokenizer=name),
        layers=(),
        preprocessor="preprocessor",
        home=str(folder / name),
    )


class TestNexus(StudentTests):
    plugin = plugin
    name = "nexus"
    options = {"layers": 2, "width": 32, "context": 64}

    def profiles(self) -> list[Profile]:
        return [profile(self.folder, "prose", []), profile(self.folder, "code", [("d", "e"), ("e", "f")])]

    def samples(self) -> list[Sample]:
        fields = [{"text": text} for text in ("def f():", "short", "a text of more words than the others have")]
        return [Sample(key=content_key(each), fields=each) for each in fields]

    def tower(self) -> tuple[str, Lora, list[Profile]]:
        return "text", Lora(), self.profiles()[1:]


class TestNexusWithItsOwnWords(TestNexus):
    def tower(self) -> tuple[str, Lora, list[Profile]]:
        return "text", Lora("own"), self.profiles()[:1]
