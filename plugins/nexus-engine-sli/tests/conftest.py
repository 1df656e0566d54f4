"""Tiny random checkpoints, opened by whatever loader is installed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_specs import Blueprint, Checkpoint, Installed, Sample, Stack, content_key
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = (
    "Every weight is read once.", "One greenlet for each batch, and a hub.", "Short.", "Edits share the prefix: x = 1",
    "Means are known in the same pass, since every intact batch comes first.",
)  # fmt: skip
MB = 10**6
SMALL = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48}


def make_tokenizer() -> hf.PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>"], initial_alphabet=alphabet)
    )
    return hf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="<s>")


def decoder() -> tuple[Any, Any]:
    config = hf.LlamaConfig(
        vocab_size=300, num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=True, **SMALL
    )
    return hf.LlamaForCausalLM(config), make_tokenizer()


def pictures() -> tuple[Any, Any]:
    config = hf.ViTConfig(image_size=8, patch_size=4, num_labels=5, **SMALL)
    return hf.ViTForImageClassification(config), hf.ViTImageProcessorPil(size={"height": 8, "width": 8})


def convolutions() -> tuple[Any, Any]:
    config = hf.MobileNetV2Config(num_labels=4, image_size=32, depth_multiplier=0.25)
    size = {"height": 32, "width": 32}
    processor = hf.MobileNetV2ImageProcessorPil(size=size, do_center_crop=False)
    return hf.MobileNetV2ForImageClassification(config), processor


def residual() -> tuple[Any, Any]:
    """Adds what a block gave to its residual sum in place."""
    config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[2, 2], num_labels=4, layer_type="basic")
    return hf.ResNetForImageClassification(config), hf.ViTImageProcessorPil(size={"height": 32, "width": 32})


BUILDERS = {"decoder": decoder, "pictures": pictures, "convolutions": convolutions, "residual": residual}


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Checkpoint]:
    """Name of a builder -> its checkpoint."""
    made: dict[str, Path] = {}

    def checkpoint(name: str) -> Checkpoint:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            torch.manual_seed(0)
            model, processor = BUILDERS[name]()
            model.save_pretrained(made[name])
            processor.save_pretrained(made[name])
        installed = Installed()
        opened: Checkpoint = installed.make("architecture", "transformers").open(str(made[name]), installed)
        return opened

    return checkpoint


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, opened: Callable[[str], Any]) -> Path:
    """A decoder of twelve layers in about ten shards, untied head."""
    home = tmp_path_factory.mktemp("sharded")
    torch.manual_seed(1)
    config = hf.LlamaConfig(
        vocab_size=300, hidden_size=48, num_hidden_layers=12, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=96, max_position_embeddings=64, tie_word_embeddings=False,
    )  # fmt: skip
    hf.LlamaForCausalLM(config).save_pretrained(home, max_shard_size="100KB")
    opened("decoder").save_preprocessor(home / "other")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (home / "other" / name).rename(home / name)
    return home


@pytest.fixture(scope="session")
def inputs() -> Callable[[str], Sequence[Sample]]:
    """Name of a builder -> samples that it takes."""
    generator = np.random.default_rng(0)
    media = [{"image": generator.integers(256, size=(8, 8, 3), dtype=np.uint8)} for _ in range(35)]
    texts = [{"text": text} for text in TEXTS]

    def samples(name: str) -> Sequence[Sample]:
        rows = texts if name == "decoder" else media
        return [Sample(key=content_key(fields), fields=fields) for fields in rows]

    return samples


@pytest.fixture(scope="session")
def tokenizer() -> hf.PreTrainedTokenizerFast:
    """A small byte-level tokenizer."""
    return make_tokenizer()


@pytest.fixture
def stack() -> Callable[..., Stack]:
    """A path and the parameters of each layer -> a stack of width 64 in sixteen bits."""

    def made(path: str, *sizes: int) -> Stack:
        return Stack(path=path, count=len(sizes), widths=(64,) * len(sizes),
                     layer_bytes=tuple(2 * each for each in sizes), layer_parameters=sizes)  # fmt: skip

    return made


@pytest.fixture
def drawing(stack: Callable[..., Stack]) -> Blueprint:
    """A transformer, and a VAE whose later layers are larger."""
    stacks = (stack("transformer.blocks", 20 * MB, 30 * MB), stack("vae.decoder.up_blocks", 40 * MB, 90 * MB))
    facts: dict[str, Any] = {"parameters": 180 * MB, "active_parameters": 180 * MB, "bytes": 360 * MB, "dtype": "BF16"}
    return Blueprint(family="sd", head="Pipeline", takes=("text",), gives=("image",), stacks=stacks, **facts)
