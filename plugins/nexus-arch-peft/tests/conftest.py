"""Tiny bases and adapters of them, written by PEFT."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}


def tokenizer() -> hf.PreTrainedTokenizerFast:
    letters = {letter: at for at, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), 1)}
    inner = Tokenizer(models.BPE({"<s>": 0, **letters}, []))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return hf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="<s>")


def llama(tied: bool) -> Any:
    more = {"intermediate_size": 48, "num_key_value_heads": 2, "max_position_embeddings": 64}
    return hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=300, tie_word_embeddings=tied, **more, **SMALL))


def qwen() -> Any:
    more = {"intermediate_size": 48, "num_key_value_heads": 2, "max_position_embeddings": 64}
    return hf.Qwen2ForCausalLM(hf.Qwen2Config(vocab_size=300, tie_word_embeddings=False, **more, **SMALL))


def gpt2() -> Any:
    return hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=4))


def vit() -> Any:
    config = hf.ViTConfig(image_size=8, patch_size=4, num_labels=5, intermediate_size=48, **SMALL)
    return hf.ViTForImageClassification(config)


def experts() -> Any:
    config = hf.Qwen3MoeConfig(
        vocab_size=300, head_dim=8, num_key_value_heads=2, moe_intermediate_size=16, num_experts=4,
        num_experts_per_tok=2, max_position_embeddings=64, intermediate_size=48, **SMALL,
    )  # fmt: skip
    return hf.Qwen3MoeForCausalLM(config)


ROUTED = {
    "vocab_size": 300, "num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2,
    "max_position_embeddings": 64, "intermediate_size": 16, **SMALL,
}  # fmt: skip


def mixtral() -> Any:
    return hf.MixtralForCausalLM(hf.MixtralConfig(**ROUTED))


def gpt_oss() -> Any:
    return hf.GptOssForCausalLM(hf.GptOssConfig(head_dim=8, **ROUTED))


def llama4() -> Any:
    return hf.Llama4ForCausalLM(hf.Llama4TextConfig(head_dim=8, intermediate_size_mlp=48, **ROUTED))


BASES: dict[str, Callable[[], Any]] = {
    "llama": lambda: llama(False), "tied": lambda: llama(True), "qwen": qwen, "gpt2": gpt2, "vit": vit,
    "experts": experts, "mixtral": mixtral, "gpt_oss": gpt_oss, "llama4": llama4,
}  # fmt: skip


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name -> the folder of a base, made once."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            torch.manual_seed(0)
            BASES[name]().save_pretrained(made[name])
            if name == "vit":
                hf.ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(made[name])
            else:
                tokenizer().save_pretrained(made[name])
        return made[name]

    return folder
