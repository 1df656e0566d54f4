"""Tiny teachers and students: random classifiers and a decoder, and contexts to run stages in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_observe import plugin
from nexus_specs import Checkpoint, Choice, Installed, Sample, resolve
from nexus_specs.testing import LocalContext, sample
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXTS = [f"Shard {number} is read by key; text {number * 7} is {'long ' * (number % 3)}enough." for number in range(9)]
SMALL = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 3, "intermediate_size": 48}
STAGES = {each.name: each for each in plugin.nexus_stages()}


@pytest.fixture(scope="session")
def data() -> Mapping[str, list[Sample]]:
    """By capability."""
    generator = np.random.default_rng(0)
    pictures = [generator.integers(256, size=(8, 8, 3), dtype=np.uint8) for _ in range(12)]
    return {
        "prose": [sample(text=text) for text in TEXTS],
        "digits": [
            sample(image=each, **({"label": index % 4} if index % 5 else {})) for index, each in enumerate(pictures)
        ],
    }


def decoder() -> tuple[Any, Any]:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=["<s>"], initial_alphabet=alphabet)
    inner.train_from_iterator(TEXTS, trainer)
    config = hf.LlamaConfig(vocab_size=290, num_key_value_heads=2, initializer_range=0.2, **SMALL)
    return hf.LlamaForCausalLM(config), hf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>")


def classifier() -> tuple[Any, Any]:
    model = hf.ViTForImageClassification(hf.ViTConfig(image_size=8, patch_size=4, num_labels=4, **SMALL))
    return model, hf.ViTImageProcessorPil(size={"height": 8, "width": 8})


@pytest.fixture(scope="session")
def deep() -> Callable[[Path], None]:
    """Saves a decoder of eight layers, in many files."""

    def save(folder: Path) -> None:
        torch.manual_seed(0)
        _, tokenizer = decoder()
        small = SMALL | {"num_hidden_layers": 8, "num_key_value_heads": 2}
        hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=290, **small)).save_pretrained(folder, max_shard_size="40KB")
        tokenizer.save_pretrained(folder)

    return save


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Teachers by capability, and a student of each."""
    made = {}
    for seed, (name, build) in enumerate(
        {"prose": decoder, "digits": classifier, "prose-student": decoder, "digits-student": classifier}.items()
    ):
        torch.manual_seed(seed)
        folder = tmp_path_factory.mktemp(name)
        for each in build():
            each.save_pretrained(folder)
        made[name] = folder
    return made


class Sources(Installed):
    """Opens "FOLDER#TOWER" as FOLDER/towers/TOWER, and "CORE+TOWER" as TOWER: the student's syntax, without it."""

    def open(self, source: str) -> Checkpoint:
        folder, _, tower = source.rpartition("+")[2].partition("#")
        return super().open(str(Path(folder) / "towers" / tower) if tower else folder)


@dataclass
class Bench:
    """Runs stages one after the other."""

    place: Path
    data: Mapping[str, list[Sample]]
    sources: Mapping[str, Path]
    artefacts: dict[str, dict[str, Path]] = field(default_factory=lambda: defaultdict(dict))

    def context(self, stage: str, subject: str, folder: Path | None = None, **more: Any) -> LocalContext:
        metric = "bits_per_byte" if subject == "prose" else "accuracy"
        rows = self.data.get(subject, [])
        given: dict[str, Any] = {
            "card": {"source": str(self.sources.get(subject, "")), "capability": subject},
            "named": {
                "engine": [Choice(kind="engine", name="sli")],
                "profiler": [Choice(kind="profiler", name="niwt")],
                "metric": [Choice(kind="metric", name=metric)],
            },
            "data": {"train": rows, "held_out": rows},
            "records": ("logits", "states"),
            "lookup": Sources(),
        }
        place = folder or self.place / stage / subject
        return LocalContext(
            folder=place, descriptor=STAGES[stage], subject=subject, artefacts=self.artefacts, **(given | more)
        )

    def run(self, stage: str, subject: str, **more: Any) -> Path:
        context = self.context(stage, subject, **more)
        resolve(STAGES[stage].target)().run(context)
        self.artefacts.setdefault(stage, {})[subject] = context.artefact
        return context.artefact


@pytest.fixture
def bench(tmp_path: Path, data: Mapping[str, list[Sample]], sources: Mapping[str, Path]) -> Bench:
    return Bench(tmp_path, data, sources)


