"""A tiny decoder of which one layer does nothing, opened by whatever loader and engine are installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_specs import Budget, Installed, Sample, Teacher
from nexus_specs.testing import sample
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

WORDS = ["layer", "mean", "basis", "rank", "share", "teacher", "tower", "token", "state", "loss"]
SMALL = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48}
IDLE = 2
"""The layer that does nothing."""


@pytest.fixture(scope="session")
def texts() -> list[Sample]:
    generator = np.random.default_rng(0)
    return [sample(text=" ".join(generator.choice(WORDS, 3 + index))) for index in range(8)]


@pytest.fixture(scope="session")
def pictures() -> list[Sample]:
    generator = np.random.default_rng(0)
    return [sample(image=generator.integers(256, size=(8, 8, 3), dtype=np.uint8)) for _ in range(8)]


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=["<s>"], initial_alphabet=alphabet)
    inner.train_from_iterator(WORDS, trainer)
    torch.manual_seed(0)
    model = hf.LlamaForCausalLM(
        hf.LlamaConfig(vocab_size=290, num_hidden_layers=4, num_key_value_heads=2, initializer_range=0.3, **SMALL)
    )
    idle = model.model.layers[IDLE]
    for weight in (idle.self_attn.o_proj.weight, idle.mlp.down_proj.weight):
        weight.data.zero_()
    return saved(tmp_path_factory, model, hf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>"))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = hf.ViTConfig(image_size=8, patch_size=4, num_labels=5, num_hidden_layers=3, **SMALL)
    processor = hf.ViTImageProcessorPil(size={"height": 8, "width": 8})
    return saved(tmp_path_factory, hf.ViTForImageClassification(config), processor)


def saved(places: pytest.TempPathFactory, model: Any, processor: Any) -> Path:
    folder = places.mktemp("teacher")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def opening() -> Any:
    """Folder -> a teacher in a context."""

    @contextmanager
    def open_teacher(folder: Path, **budget: Any) -> Iterator[Teacher]:
        lookup = Installed()
        with lookup.make("engine", "sli").load(lookup.open(str(folder)), Budget(micro_batch=4, **budget)) as teacher:
            yield teacher

    return open_teacher


