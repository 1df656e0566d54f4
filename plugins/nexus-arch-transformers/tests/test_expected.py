"""Bytes and dtype of quantised checkpoints without weights: what each quantiser packs, and what it leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Blueprint
from nexus_torch.hugging_face.weights.kept import kept, named

LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 1024, "num_hidden_layers": 2,
    "num_attention_heads": 16, "num_key_value_heads": 16, "intermediate_size": 4096, "vocab_size": 1000,
    "tie_word_embeddings": False,
}  # fmt: skip
ATTENTION, MLP, NORMS, REST = 4 * 1024 * 1024, 3 * 1024 * 4096, 2 * 1024, 2 * 1000 * 1024 + 1024
HALF = {**LLAMA, "dtype": "float16"}
INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128, "symmetric": True}
FLOAT8 = {"num_bits": 8, "type": "float", "strategy": "channel"}


def inspect(folder: Path, values: dict[str, Any], **packing: Any) -> Blueprint:
    (folder / "config.json").write_text(json.dumps({**values, "quantization_config": packing}))
    return Transformers().inspect(str(folder))


def grouped(*weights: dict[str, Any], targets: Any = ("Linear",), **more: Any) -> dict[str, Any]:
    groups = {f"group_{at}": {"targets": list(targets), "weights": each} for at, each in enumerate(weights)}
    return {"config_groups": groups, **more}


@pytest.mark.parametrize(
    ("packing", "bits"),
    [
        ({"quant_method": "compressed-tensors", **grouped(FLOAT8)}, 8.01),
        ({"quant_method": "compressed-tensors", **grouped(INT4)}, 4.125),
        ({"quant_method": "compressed-tensors", **grouped({**INT4, "symmetric": False})}, 4.15625),
        ({"quant_method": "compressed-tensors", **grouped({**INT4, "type": "float", "group_size": 16})}, 4.5),
        ({"quant_method": "modelopt", "quant_algo": "FP8"}, 8.01),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, 4.5),
        ({"quant_method": "modelopt", **grouped(FLOAT8)}, 8.01),
        ({"quant_method": "fbgemm_fp8"}, 8.01),
        ({"quant_method": "gptq", "bits": 4}, 4.25),
    ],
)
def test_matrices_of_layers_are_packed(tmp_path: Path, packing: dict[str, Any], bits: float) -> None:
    blueprint = inspect(tmp_path, HALF, **packing)
    assert blueprint.bytes == pytest.approx(2 * ((ATTENTION + MLP) * bits / 8 + NORMS * 2) + REST * 2, rel=1e-3)
    assert blueprint.dtype == "F16"


@pytest.mark.parametrize(
    "left",
    [
        {"modules_to_not_convert": ["self_attn", "lm_head"]},
        {"modules_to_not_convert": [f"model.layers.{at}.self_attn.{part}_proj" for at in (0, 1) for part in "qkvo"]},
        {"ignore": ["re:.*self_attn.*", "lm_head"]},
        {"ignore": [r"re:model\.layers\.\d+\.self_attn\.(q|k|v|o)_proj$"]},
        {"exclude_modules": ["model.layers.*.self_attn*"]},
    ],
)
def test_what_the_quantiser_left_is_whole(tmp_path: Path, left: dict[str, Any]) -> None:
    blueprint = inspect(tmp_path, HALF, quant_method="compressed-tensors", **grouped(FLOAT8), **left)
    layers = 2 * (MLP * 8.01 / 8 + ATTENTION * 2 + NORMS * 2)
    assert blueprint.bytes == pytest.approx(layers + REST * 2, rel=1e-3)


def test_groups_have_bits_of_their_own(tmp_path: Path) -> None:
    named_first = grouped(FLOAT8, targets=["re:.*mlp.*"])["config_groups"]["group_0"]
    groups = {"config_groups": {"a": {"targets": ["Linear"], "weights": INT4}, "b": named_first}}
    blueprint = inspect(tmp_path, HALF, quant_method="compressed-tensors", **groups)
    layers = 2 * (MLP * 8.01 / 8 + ATTENTION * 4.125 / 8 + NORMS * 2)
    assert blueprint.bytes == pytest.approx(layers + REST * 2, rel=1e-3)


def test_mxfp4_packs_experts_alone_and_is_of_bfloat16(tmp_path: Path) -> None:
    """As gpt-oss is published: no dtype in its config.json."""
    shape = {"hidden_size": 512, "intermediate_size": 512, "num_hidden_layers": 2, "num_local_experts": 8,
             "head_dim": 64, "num_attention_heads": 8, "num_key_value_heads": 8, "vocab_size": 1000}  # fmt: skip
    values = {"model_type": "gpt_oss", "architectures": ["GptOssForCausalLM"], **shape}
    left = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    blueprint = inspect(tmp_path, values, quant_method="mxfp4", modules_to_not_convert=left)
    experts = 2 * 8 * 3 * 512 * 512
    assert blueprint.dtype == blueprint.largest_stack.dtype == "BF16"
    assert blueprint.bytes == pytest.approx(experts * 4.25 / 8 + (blueprint.parameters - experts) * 2, abs=8)


def test_a_checkpoint_that_is_not_quantised_is_of_float32_where_nothing_is_said(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert Transformers().inspect(str(tmp_path)).dtype == "F32"


def test_patterns_of_a_stranger_never_hang(at_once: Any) -> None:
    name = "model." + "a" * 60 + ".weight"
    with at_once(1):
        assert not named([r"re:(a+)+$", r"re:(\w+\.?)+X", "re:" + ".*a" * 60 + "X", "re:(", "*" * 150 + "X"])(name)
        assert not kept({"ignore": ["re:.*.*.*.*b" * 9] * 10_000, "exclude": [5, None]})(name)


def test_names_mean_modules_and_what_is_in_them() -> None:
    left = kept({"ignore": ["lm_head", "visual", "layers.3", "re:.*gate$"]})
    inside = ("lm_head.weight", "model.visual.blocks.0.weight", "model.layers.3.x.weight", "layers.0.mlp.gate.weight")
    assert all(map(left, inside))
    assert not any(map(left, ("model.layers.30.x.weight", "model.visually.weight", "model.mlp.gate_proj.weight")))
