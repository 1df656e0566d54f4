"""Tiny models to GGUF files with gguf's own writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from gguf.quants import quantize
from transformers import PreTrainedModel
from transformers.convert_slow_tokenizer import bytes_to_unicode

from .metadata import metadata
from .tensors import converted, stacked
from .tiny import MODELS, VOCABULARY

TOKENIZERS = {"bert": "bert", "distilbert": "bert", "nomic_bert": "bert", "xlm-roberta": "t5", "camembert": "llama"}
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
        add(writer, name, np.ascontiguousarray(tensor.detach().float().numpy()), kind)
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


def extras(writer: gguf.GGUFWriter, row: str, model: PreTrainedModel) -> None:
    """What is computed from the configuration: divisors of rotary frequencies, numbers of an activation."""
    text = model.config.get_text_config()
    said = getattr(text, "rope_parameters", None) or {}
    if said.get("rope_type") == "llama3":
        head = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
        plain = 1.0 / (said["rope_theta"] ** (torch.arange(0, head, 2, dtype=torch.float32) / head))
        writer.add_tensor("rope_freqs.weight", llama3(plain, said).numpy())
    if row.startswith("gemma4"):
        full = said["full_attention"]
        half = text.per_layer_config[text.layer_types.index("full_attention")].head_dim // 2
        turning = int(half * full["partial_rotary_factor"])
        divisors = [1.0] * turning + [1e30] * (half - turning)
        writer.add_tensor("rope_freqs.weight", np.array(divisors, dtype=np.float32))
    if said.get("rope_type") == "longrope":
        for key in ("long", "short"):
            writer.add_tensor(f"rope_factors_{key}.weight", np.array(said[f"{key}_factor"], dtype=np.float32))
    if row == "apertus":
        for key in ("alpha_p", "alpha_n", "beta", "eps"):
            values = [float(getattr(layer.mlp.act_fn, key).detach()) for layer in model.model.layers]
            writer.add_array(f"xielu.{key}", values)


def llama3(frequencies: torch.Tensor, said: dict[str, float]) -> torch.Tensor:
    """Divisors of each frequency (`generate_extra_tensors` of llama.cpp's `LlamaModel`)."""
    old = said["original_max_position_embeddings"]
    low, high = old / said["low_freq_factor"], old / said["high_freq_factor"]
    found = []
    for frequency in frequencies:
        length = 2 * torch.pi / frequency
        smooth = (old / length - said["low_freq_factor"]) / (said["high_freq_factor"] - said["low_freq_factor"])
        middle = 1 / ((1 - smooth) / said["factor"] + smooth)
        found.append(1.0 if length < high else said["factor"] if length > low else float(middle))
    return torch.tensor(found, dtype=torch.float32)
