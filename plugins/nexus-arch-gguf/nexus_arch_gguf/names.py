"""From the names of a module's weights to the names of GGUF: gguf's own table, read without its defect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from gguf import MODEL_ARCH, MODEL_ARCH_NAMES, TensorNameMap

SUFFIXES = (".weight", ".bias")
ARCHITECTURES: Mapping[str, MODEL_ARCH] = MappingProxyType({name: arch for arch, name in MODEL_ARCH_NAMES.items()})
"""Every architecture that the installed gguf knows, by its name in files."""
LIKE: Mapping[str, str] = MappingProxyType({
    "cohere2moe": "afmoe", "deepseek32": "glm-dsa", "deepseek4": "deepseek2", "dflash": "qwen3",
    "dots3note": "glm-dsa", "pockettts": "llama",
    "glm5-next": "kimi-linear", "granite_swa": "granitehybrid", "hrm_text": "llama", "hy_v3": "dots1",
    "hy_v4": "glm-dsa", "laguna": "dots1", "mellum": "qwen3moe", "minimax-m3": "minimax-m2", "muse-glimmer": "gemma3",
    "qwen4exp": "qwen35moe",
})  # fmt: skip
"""Architectures that llama.cpp names and gguf 0.19 does not -> one whose table has the same names for what they share.
Their other names are rules of their layouts. Source: `MODEL_TENSORS` of llama.cpp's gguf-py, build 0.3.36 of its
bindings, whose version is 0.19.0 too and which knows 153 architectures instead of 126."""


class _Names(TensorNameMap):
    """`TensorNameMap` writes what one architecture (ARCTIC) overrides into a dict that all share; here into a copy."""

    def __init__(self, architecture: MODEL_ARCH, blocks: int) -> None:
        self.block_mappings_cfg = dict(type(self).block_mappings_cfg)
        super().__init__(architecture, blocks)


@lru_cache(maxsize=4)
def _names(architecture: str, blocks: int) -> _Names:
    return _Names(ARCHITECTURES[LIKE.get(architecture, architecture)], blocks)


def gguf_name(architecture: str, blocks: int, key: str) -> str | None:
    """The GGUF name of a weight of a Hugging Face module; None where the table has none.

    >>> gguf_name("llama", 2, "model.layers.1.self_attn.q_proj.weight")
    'blk.1.attn_q.weight'
    """
    table = _names(architecture, blocks)
    for spelling in _spellings(key):
        found: Any = table.get_name(spelling, try_suffixes=SUFFIXES)
        if found is not None:
            return str(found)
    return None


def _spellings(key: str) -> Iterator[str]:
    """The key as it is, without the frame of a model of several modalities, and as a body inside a head."""
    yield key
    yield key.replace("language_model.", "")
    yield f"model.{key}"
    yield key.replace("model.language_model.", "model.model.")
