"""The kit, on a core that two teachers of different tokens teach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nexus_student.plugin as plugin
from nexus_specs import Adapter, Profile, Sample, content_key
from nexus_specs.testing import ArchitectureTests, CommandTests, PluginTests, StageTests, StudentTests, blueprint
from nexus_student.maker import NexusMaker
from nexus_student.stages.assemble import assemble
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


OPTIONS = {"layers": 2, "width": 32, "context": 64}
FIELDS = [{"text": text} for text in ("def f():", "short", "a text of more words than the others have")]
SAMPLES = [Sample(key=content_key(fields), fields=fields) for fields in FIELDS]


def profiles(folder: Path) -> list[Profile]:
    """Two core teachers of different tokens."""
    return [profile(folder, "prose", []), profile(folder, "code", [("d", "e"), ("e", "f")])]


class TestNexus(StudentTests):
    plugin = plugin
    name = "nexus"
    options = OPTIONS

    def profiles(self) -> list[Profile]:
        return profiles(self.folder)

    def samples(self) -> list[Sample]:
        return SAMPLES

    def tower(self) -> tuple[str, Lora, list[Profile]]:
        return "text", Lora(), self.profiles()[1:]


class TestNexusWithItsOwnWords(TestNexus):
    name = "nexus"

    def tower(self) -> tuple[str, Lora, list[Profile]]:
        return "text", Lora("own"), self.profiles()[:1]


class TestNexusArchitecture(ArchitectureTests):
    plugin = plugin
    name = "nexus"

    def sources(self) -> list[str]:
        """An assembled student, and the same with its tower forced."""
        model = self.folder / "model"
        if not model.exists():
            maker, taught = NexusMaker(**OPTIONS), profiles(self.folder)
            core, tower = self.folder / "core", self.folder / "tower"
            core.mkdir()
            tower.mkdir()
            maker.create(taught)["prose"].save(core)
            maker.load(core, Lora("own"), taught[1:], name="code", component="text").save(tower)
            assemble(model, core, {"code": tower}, {})
        return [str(model), f"{model}#code"]

    def samples(self) -> list[Sample]:
        return SAMPLES


class TestRoute(StageTests):
    plugin = plugin
    name = "route"


class TestAssemble(StageTests):
    plugin = plugin
    name = "assemble"


class TestRelease(StageTests):
    plugin = plugin
    name = "release"


def test_the_catalogue_has_its_row() -> None:
    from nexus_student.catalogue import rows

    assert rows()[0]["architecture"] == "nexus"


class TestChat(CommandTests):
    plugin = plugin
    name = "chat"

    def wrong(self) -> dict[str, Any]:
        return {"release": self.folder / "none", "prompt": "anybody there?"}


class TestTower(CommandTests):
    plugin = plugin
    name = "tower"

    def wrong(self) -> dict[str, Any]:
        return {"action": "add", "release": self.folder, "source": ""}
