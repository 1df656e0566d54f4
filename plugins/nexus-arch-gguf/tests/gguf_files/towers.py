"""Towers of mmproj files that see grids or tiles, or hear: tiny models, and the names that llama.cpp's converter gives
their tensors. Compared with its own files.

Source: `conversion/{gemma,qwenvl,qwen3vl,internvl,llama4,lfm2,step3,ultravox}.py` of llama.cpp.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
import transformers as hf
from torch import Tensor

from .writing import put

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64,
         "image_size": 32, "patch_size": 8}  # fmt: skip
GRID = {"depth": 4, "hidden_size": 32, "out_hidden_size": 64, "intermediate_size": 48, "num_heads": 2}
HEARS = {"d_model": 32, "encoder_layers": 3, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "num_mel_bins": 16,
         "max_source_positions": 50}  # fmt: skip
GEMMA4 = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32,
          "intermediate_size": 64, "patch_size": 16, "position_embedding_size": 256}  # fmt: skip
MODELS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "qwen2vl_merger": ("Qwen2VisionTransformerPretrainedModel", "qwen2_vl.modeling_qwen2_vl",
        {"depth": 3, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2, "patch_size": 8}),
    "qwen2.5vl_merger": ("Qwen2_5_VisionTransformerPretrainedModel", "",
        GRID | {"patch_size": 14, "fullatt_block_indexes": [1, 3]}),
    "qwen3vl_merger": ("Qwen3VLVisionModel", "",
        GRID | {"patch_size": 8, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 2]}),
    "glm4v": ("Glm4vVisionModel", "", GRID | {"patch_size": 14, "image_size": 84}),
    "internvl": ("InternVLVisionModel", "", SMALL | {"attention_bias": True}),
    "internvl-6b": ("InternVLVisionModel", "", SMALL | {"norm_type": "rms_norm", "use_qk_norm": True}),
    "llama4": ("Llama4VisionModel", "", SMALL | {"intermediate_size": 128, "projector_input_dim": 48,
        "projector_output_dim": 48, "vision_output_dim": 48}),
    "lfm2": ("Siglip2VisionModel", "", SMALL | {"num_patches": 64, "vision_use_head": False}),
    "gemma4v": ("Gemma4VisionModel", "", GEMMA4 | {"standardize": True}),
    "gemma4v-clipped": ("Gemma4VisionModel", "", GEMMA4 | {"use_clipped_linears": True}),
    "step3vl": ("Step3p7VisionModel", "", SMALL | {"mlp_ratio": 1.5}),
    "qwen2a": ("Qwen2AudioEncoder", "", HEARS),
    "ultravox": ("WhisperEncoder", "whisper.modeling_whisper", HEARS),
    "voxtral": ("VoxtralEncoder", "", {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
        "intermediate_size": 128, "num_mel_bins": 16, "max_source_positions": 50}),
    "musicflamingo": ("AudioFlamingo3Encoder", "", {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
        "intermediate_size": 64, "num_mel_bins": 16, "max_source_positions": 50}),
}  # fmt: skip
NAMES: tuple[tuple[str, str], ...] = (
    (r"\.linear(?=\.)|(?<=patch_embedder)\.input_proj", ""), (r"^patch_embedder(?=\.weight)", "v.patch_embd"),
    (r"^patch_embedder\.position_embedding_table", "v.position_embd.weight"), (r"^std_", "v.std_"),
    (r"pre_feedforward_layernorm", "ln2"), (r"post_feedforward_layernorm", "ffn_post_norm"),
    (r"deepstack_merger_list\.0\.(?:linear_)?", "v.deepstack.0."),
    (r"deepstack_merger_list\.1\.(?:linear_)?", "v.deepstack.2."),
    (r"patch_embed\.proj|.*patch_embedding(?:s\.projection|\.linear)?(?=\.)", "v.patch_embd"),
    (r"pos_embed|embeddings\.position_embedding(?=\.)", "v.position_embd"), (r"embeddings\.cls_token|class_embedding",
    "v.class_embd"), (r"embeddings\.position_embeddings|positional_embedding_vlm", "v.position_embd.weight"),
    (r"post_conv_layernorm", "v.norm_embd"), (r"^pre_layernorm|layernorm_pre", "v.pre_ln"),
    (r"downsampler1", "mm.0"), (r"downsampler2", "mm.1"),
    (r"merger\.ln_q|merger\.norm|^post_layernorm|layernorm_post", "v.post_ln"),
    (r"merger\.mlp\.0|merger\.linear_fc1", "mm.0"), (r"merger\.mlp\.2|merger\.linear_fc2", "mm.2"),
    (r"downsample", "mm.patch_merger"), (r"merger\.proj", "mm.model.fc"), (r"merger\.post_projection_norm",
    "mm.post_norm"), (r"merger\.(gate|up|down)_proj", r"mm.\1"), (r"vision_adapter\.mlp\.fc", "mm.model.mlp."),
    (r"conv([12])(?=\.)", r"a.conv1d.\1"), (r"embed_positions", "a.position_embd"), (r"^layer_norm", "a.post_ln"),
    (r"^(?:model\.|encoder\.)?(?:blocks|layers?)\.(\d+)\.", r"v.blk.\1."),
    (r"(?:attn|attention|self_attn)\.(?:proj|projection_layer|o_proj|out_proj)(?=\.)", "attn_out"),
    (r"attn\.qkv", "attn_qkv"), (r"(?:attention|self_attn)\.([qkv])(?:_proj)?(_norm)?(?=\.)", r"attn_\1\2"),
    (r"norm1|layer_norm1|layernorm_before|input_layernorm|self_attn_layer_norm", "ln1"),
    (r"norm2|layer_norm2|layernorm_after|post_attention_layernorm|final_layer_norm", "ln2"),
    (r"lambda_([12])", r"ls\1.weight"), (r"mlp\.(gate|up|down)_proj", r"ffn_\1"),
    (r"(?:mlp\.)?(?:linear_)?(?<!deepstack.\d.)fc1(?=\.)", "ffn_up"),
    (r"(?:mlp\.)?(?:linear_)?(?<!deepstack.\d.)fc2(?=\.)", "ffn_down"),
)
"""What stands in a weight's name -> what stands in the file's, one after the other."""


def tower(kind: str) -> Any:
    """The tiny model, every weight random."""
    head, within, fields = MODELS[kind]
    made = getattr(import_module(f"transformers.models.{within}") if within else hf, head)
    torch.manual_seed(0)
    model = made._from_config(made.config_class(**fields)).float().eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            tensor.fill_(1.5 if name.endswith("max") else -1.5) if tensor.isinf().any() else \
                tensor.add_(torch.randn_like(tensor) * 0.05)
    return model


def write(kind: str, model: Any, path: Path) -> str:
    """The file of a model."""
    writer = gguf.GGUFWriter(path, "clip")
    for key, value in metadata(kind.partition("-")[0], model.config).items():
        put(writer, f"clip.{key}", value)
    for key, tensor in fused(kind, model).items():
        for name, part in stored(kind, key, tensor):
            writer.add_tensor(name, np.ascontiguousarray(part.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


def fused(kind: str, model: Any) -> dict[str, Tensor]:
    """The weights; Step3-VL's file has queries, keys and values in one, pairs of the first two side by side."""
    weights: dict[str, Tensor] = model.state_dict()
    for key in [each for each in weights if kind == "step3vl" and ".q_proj." in each]:
        parts = [weights.pop(key.replace(".q_", f".{letter}_")) for letter in "qkv"]
        pairs = [each.reshape(2, 2, -1, *each.shape[1:]).transpose(1, 2).reshape(each.shape) for each in parts[:2]]
        weights[key.replace("self_attn.q_proj", "attn.qkv")] = torch.cat([*pairs, parts[2]])
    return weights


def metadata(kind: str, c: Any) -> dict[str, Any]:
    """As the converter writes it."""
    part = "audio" if hasattr(c, "num_mel_bins") else "vision"
    found: dict[str, Any] = {
        "projector_type": kind, f"{part}.block_count": c.num_hidden_layers,
        f"{part}.attention.head_count": c.num_attention_heads,
    }  # fmt: skip
    if part == "audio":
        return found | {"audio.num_mel_bins": c.num_mel_bins}
    more: dict[str, Any] = {
        "qwen2.5vl_merger": {"use_silu": True, "vision.n_wa_pattern": 2}, "glm4v": {"use_silu": True},
        "qwen3vl_merger": {"use_gelu": True, "vision.is_deepstack_layers": [True, False, True, False]},
        "internvl": {"use_gelu": True}, "lfm2": {"use_gelu": True},
        "llama4": {"use_gelu": True, "vision.projector.scale_factor": 2},
    }.get(kind, {})  # fmt: skip
    size = getattr(c, "image_size", 256)
    names = ("rms_norm_eps", "norm_eps", "layer_norm_eps")
    epsilon = next((getattr(c, each) for each in names if hasattr(c, each)), 1e-6)
    return found | more | {
        "vision.image_size": size[0] if isinstance(size, (list, tuple)) else size,
        "vision.patch_size": c.patch_size if isinstance(c.patch_size, int) else c.patch_size[0],
        "vision.attention.layer_norm_epsilon": epsilon, "vision.image_mean": [0.5] * 3, "vision.image_std": [0.5] * 3,
    }  # fmt: skip


def stored(kind: str, key: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
    """One weight's tensors in the file."""
    name = key.replace("post_attention_layernorm", "attn_post_norm") if kind.startswith("gemma4v") else key
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    if kind in MODELS and "num_mel_bins" in MODELS[kind][2]:
        name = name.replace("v.", "a.", 1) if name.startswith("v.") else name
        yield name, tensor[:, None] if name.startswith("a.conv") and name.endswith("bias") else tensor
    elif tensor.ndim == 5:
        yield name, tensor[:, :, 0]
        yield f"{name}.1", tensor[:, :, 1]
    elif "attn_qkv" in name and kind.startswith("qwen2"):
        for letter, part in zip("qkv", tensor.chunk(3), strict=True):
            yield name.replace("qkv", letter), part
    elif kind.startswith(("lfm2", "gemma4v")) and name == "v.patch_embd.weight":
        side = math.isqrt(tensor.shape[1] // 3)
        yield name, tensor.reshape(len(tensor), side, side, 3).permute(0, 3, 1, 2)
    else:
        yield name, tensor if tensor.ndim else tensor[None]
