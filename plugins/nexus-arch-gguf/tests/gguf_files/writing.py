"""Tiny models to GGUF files with gguf's own writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.quants import quantize
from transformers import PreTrainedModel
from transformers.convert_slow_tokenizer import bytes_to_unicode

from .extras import extras
from .metadata import metadata
from .sizes import VOCABULARY
from .tensors import converted, stacked
from .tiny import MODELS

TOKENIZERS = {"bert": "bert", "distilbert": "bert", "nomic_bert": "bert", "xlm-roberta": "t5", "camembert": "llama",
              "jina_embeddings_v3": "t5"}  # fmt: skip
"""Row -> `tokenizer.ggml.model`; byte pairs for all others."""


def write(row: str, model: PreTrainedModel, path: Path, kind: str = "F32", splits: int = 0) -> Path:
    """Writes a model; two-dimensional weights (and more) as `kind`, all else in F32; `splits` tensors to a file."""
    arch = MODELS[row][0]
    writer = gguf.GGUFWriter(path, arch, split_max_tensors=splits)
    text = model.config.get_text_config()
    for key, value in metadata(arch, row, text).items():
        put(writer, f"{arch}.{key}", value)
    vocabulary(writer, row)
    extras(writer, row, model)
    for name, tensor in stacked(converted(arch, row, model)).items():
        if tensor.is_floating_point():
            add(writer, name, np.ascontiguousarray(tensor.detach().float().numpy()), kind)
        else:
            writer.add_tensor(name, tensor.int().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def put(writer: gguf.GGUFWriter, key: str, value: Any) -> None:
    """One entry, its type by Python's."""
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def add(writer: gguf.GGUFWriter, name: str, data: np.ndarray[Any, Any], kind: str) -> None:
    """One tensor, in blocks if its rows are."""
    wanted = gguf.GGMLQuantizationType[kind]
    block, _ = gguf.GGML_QUANT_SIZES[wanted]
    if wanted is gguf.GGMLQuantizationType.F32 or data.ndim < 2 or data.shape[-1] % block:
        writer.add_tensor(name, data)
    else:
        writer.add_tensor(name, quantize(data, wanted), raw_dtype=wanted)


def vocabulary(writer: gguf.GGUFWriter, row: str) -> None:
    """Tokens enough to be a tokenizer: special ones, every byte, two merges, and unused ones up to the number."""
    kind = TOKENIZERS.get(row, "gpt2")
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre("glm4" if row == "glm4_moe_lite" else "gpt-2")
    tokens = ["<pad>", "<s>", "</s>", *bytes_to_unicode().values(), "th", "the"]
    tokens += [f"[unused{number}]" for number in range(len(tokens), VOCABULARY)]
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3] + [1] * (VOCABULARY - 3))
    for name, index in (("pad", 0), ("bos", 1), ("eos", 2), *((("unk", 0),) if kind == "bert" else ())):
        getattr(writer, f"add_{name}_token_id")(index)
    if kind == "gpt2":
        writer.add_token_merges(["t h", "th e"])
    elif kind != "bert":
        writer.add_token_scores([0.0] * VOCABULARY)
