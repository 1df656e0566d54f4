"""Blueprints from a configuration alone: a model of a trillion parameters, experts, quantisation, what is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Blueprint, NexusError
from nexus_torch.hugging_face.inputs import seeing
from nexus_torch.hugging_face.inputs.scans import chunk, scanned

TRILLION = {
    "model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "num_hidden_layers": 61,
    "n_routed_experts": 384, "num_experts_per_tok": 8, "hidden_size": 7168, "moe_intermediate_size": 2048,
    "intermediate_size": 18432, "num_attention_heads": 64, "num_key_value_heads": 64, "vocab_size": 163840,
    "first_k_dense_replace": 1, "dtype": "bfloat16", "attn_implementation": "somebody/kernel",
    "quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]},
}  # fmt: skip
"""In the form of Kimi K2."""


def inspect(folder: Path, **values: Any) -> Blueprint:
    (folder / "config.json").write_text(json.dumps(values))
    return Transformers().inspect(str(folder))


def test_a_trillion_parameters_are_described_in_seconds(tmp_path: Path, at_once: Any) -> None:
    inspect(tmp_path, model_type="llama", num_hidden_layers=1, hidden_size=64)             # imports are not counted
    with at_once(3):
        blueprint = inspect(tmp_path, **TRILLION)
    assert blueprint.parameters == pytest.approx(1.026e12, rel=0.01)
    assert blueprint.active_parameters == pytest.approx(32.6e9, rel=0.05)
    assert blueprint.quantisation == "fp8"
    assert blueprint.bytes == pytest.approx(1.03e12, rel=0.01), "eight bits for what lies in layers"
    assert blueprint.missing == ("weights (*.safetensors)", "tokenizer.json")


def test_experts_that_are_made_of_zeros_take_no_memory(tmp_path: Path) -> None:
    """Llama 4's: 1.3e9 numbers a layer, which torch.zeros makes."""
    text = {"hidden_size": 5120, "intermediate_size": 8192, "num_hidden_layers": 4, "num_local_experts": 16,
            "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 202048}  # fmt: skip
    blueprint = inspect(tmp_path, model_type="llama4_text", architectures=["Llama4ForCausalLM"], **text)
    assert blueprint.parameters == pytest.approx(4 * 2.2e9 + 2 * 1.03e9, rel=0.05)
    assert blueprint.active_parameters < blueprint.parameters / 3


@pytest.mark.parametrize("name", ["swin", "convnext", "hiera", "perceiver", "funnel", "pvt"])
def test_widths_are_those_of_what_layers_give(name: str, tmp_path: Path) -> None:
    """Encoders of pictures that grow wider from stage to stage; and layers in lists of lists."""
    small: dict[str, dict[str, Any]] = {
        "swin": {"embed_dim": 8, "depths": [1, 2, 1], "num_heads": [1, 2, 4], "image_size": 64, "window_size": 4},
        "convnext": {"hidden_sizes": [8, 16, 24], "depths": [1, 1, 2], "num_stages": 3, "image_size": 64},
        "hiera": {"embed_dim": 8, "depths": [1, 1, 1], "num_heads": [1, 2, 4], "image_size": [64, 64],
                  "num_query_pool": 2, "masked_unit_size": [4, 4]},
        "perceiver": {"d_model": 24, "d_latents": 32, "num_latents": 4, "num_self_attends_per_block": 2},
        "funnel": {"architectures": ["FunnelModel"], "d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32,
                   "block_sizes": [2, 1], "vocab_size": 99},
        "pvt": {"hidden_sizes": [8, 16, 24, 32], "depths": [2, 1, 1, 1], "image_size": 64,
                "num_attention_heads": [1, 2, 3, 4]},
    }  # fmt: skip
    inputs = {"pixel_values": torch.zeros(1, 3, 64, 64)}
    if name == "perceiver":
        inputs = {"inputs": torch.zeros(1, 8, 24)}
    if name == "funnel":
        inputs = {"input_ids": torch.ones(1, 8, dtype=torch.long)}
    model = hf.AutoModel.from_config(hf.AutoConfig.for_model(name, **small[name])).eval()
    model.save_pretrained(tmp_path)
    stacks = Transformers().inspect(str(tmp_path)).stacks
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in (each for stack in stacks for each in stack.layers):
        model.get_submodule(layer).register_forward_hook(
            lambda _, __, given, layer=layer: shapes.__setitem__(
                layer, tuple((given if isinstance(given, torch.Tensor) else given[0]).shape)
            )
        )
    with torch.no_grad():
        model(**inputs)
    said = {layer: width for stack in stacks for layer, width in zip(stack.layers, stack.widths, strict=True)}
    assert said.keys() == shapes.keys(), "every layer runs, and can be tapped"
    assert {layer: width for layer, width in said.items() if width not in shapes[layer][1:]} == {}
    assert len(said) > 1


@pytest.mark.parametrize(("name", "count"), [("qwen4_exp_text", "hc_count"), ("gemma3n_text", "altup_num_inputs"),
                                             ("deepseek_v4", "hc_mult")])  # fmt: skip
def test_streams_beside_each_other_are_one_state(name: str, count: str, tmp_path: Path) -> None:
    """What a tap gives: all of them."""
    config = hf.AutoConfig.for_model(name)
    indexer = {"n_heads": 4, "kv_heads": 1, "head_dim": 256, "budget": 8, "compress_ratio": 4}
    more = {f"indexer_{each}": value for each, value in indexer.items()} if name == "qwen4_exp_text" else {}
    blueprint = inspect(tmp_path, model_type=name, architectures=[], **more)
    assert set(blueprint.largest_stack.widths) == {config.hidden_size * getattr(config, count)}


def test_a_body_that_a_model_type_has_not_is_the_whole(tmp_path: Path) -> None:
    """Qwen2.5 Omni is published as "Qwen2_5OmniModel"."""
    blueprint = inspect(tmp_path, model_type="qwen2_5_omni", architectures=["Qwen2_5OmniModel"])
    assert (blueprint.head, blueprint.gives) == ("Qwen2_5OmniThinkerForConditionalGeneration", ("text",))
    with pytest.raises(NexusError, match="has no class"):
        inspect(tmp_path, model_type="qwen2_5_omni", architectures=["Qwen2_5OmniForSequenceClassification"])


def test_stacks_say_what_their_layers_are(tmp_path: Path) -> None:
    stack = inspect(tmp_path, **TRILLION).largest_stack
    assert (stack.path, stack.count, stack.kind, stack.dtype) == (
        "model.layers", 61, "DeepseekV3DecoderLayer", "BF16",
    )  # fmt: skip
    assert stack.widths == (7168,) * 61
    assert stack.layer_active[0] == stack.layer_parameters[0], "the first is dense"
    assert stack.layer_active[1] < stack.layer_parameters[1] / 30
    assert stack.layer_bytes[1] == pytest.approx(stack.layer_parameters[1], rel=0.01)


def test_several_stacks_have_their_own_widths(tmp_path: Path) -> None:
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    blueprint = inspect(
        tmp_path, model_type="gemma3", architectures=["Gemma3ForConditionalGeneration"],
        text_config={"hidden_size": 32, "vocab_size": 100, "head_dim": 16, "num_key_value_heads": 2, **shape},
        vision_config={"hidden_size": 16, "image_size": 28, "patch_size": 14, **shape},
    )  # fmt: skip
    assert {stack.path: set(stack.widths) for stack in blueprint.stacks} == {
        "model.language_model.layers": {32}, "model.vision_tower.encoder.layers": {16},
    }  # fmt: skip
    assert blueprint.takes == ("image", "text")
    assert (blueprint.context, blueprint.vocabulary) == (131072, 100)
    assert blueprint.missing == ("weights (*.safetensors)", "tokenizer.json", "preprocessor_config.json")


def test_a_tower_is_as_wide_as_its_layers_and_not_as_the_text_that_it_is_for(tmp_path: Path) -> None:
    text = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    vision = {"depth": 1, "embed_dim": 16, "hidden_size": 48, "num_heads": 2}
    blueprint = inspect(
        tmp_path, model_type="qwen2_vl", architectures=["Qwen2VLForConditionalGeneration"], text_config=text,
        vision_config=vision,
    )  # fmt: skip
    assert {stack.path: set(stack.widths) for stack in blueprint.stacks} == {
        "model.language_model.layers": {48}, "model.visual.blocks": {16},
    }  # fmt: skip
    assert blueprint.seen == 34 * 45 * 16


def test_towers_of_older_code_are_stacks_too(tmp_path: Path) -> None:
    shape = {"num_hidden_layers": 5, "hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 32}
    vision = {"attention_heads": 2, "num_hidden_layers": 2, "num_global_layers": 2, "vision_output_dim": 96}
    blueprint = inspect(
        tmp_path, model_type="mllama", architectures=["MllamaForConditionalGeneration"],
        text_config={"vocab_size": 100, "pad_token_id": 0, "num_key_value_heads": 2, "cross_attention_layers": [3],
                     **shape},
        vision_config={"hidden_size": 32, "image_size": 28, "intermediate_layers_indices": [0, 1], **vision},
    )  # fmt: skip
    paths = {stack.path for stack in blueprint.stacks}
    assert {"model.language_model.layers", "model.vision_model.transformer.layers"} <= paths


def test_of_a_model_that_only_generates_the_thinker_is_opened(tmp_path: Path) -> None:
    small = {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2}
    text = {**small, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "vocab_size": 100}
    thinker = {"text_config": text, "audio_config": {"encoder_layers": 1, "d_model": 16, "encoder_attention_heads": 2},
               "vision_config": {"depth": 1, "hidden_size": 16, "num_heads": 2}}  # fmt: skip
    blueprint = inspect(tmp_path, model_type="qwen3_omni_moe", thinker_config=thinker,
                        architectures=["Qwen3OmniMoeForConditionalGeneration"])  # fmt: skip
    assert blueprint.head == "Qwen3OmniMoeThinkerForConditionalGeneration"
    assert blueprint.active_parameters < blueprint.parameters


@pytest.mark.parametrize(
    ("config", "positions", "places"),
    [
        (hf.LlavaConfig(), 576, 576),                       # as configured by default: CLIP-L/14 at 336 pixels
        (hf.LlavaConfig(vision_config={"model_type": "clip_vision_model", "image_size": 28, "patch_size": 14}), 4, 4),
        (hf.Gemma3Config(vision_config={"image_size": 896, "patch_size": 14}), 4096, 256),
        (hf.Qwen2VLConfig(), 34 * 45, 34 * 45 // 4),         # of any size: 480 x 640
        (hf.Blip2Config(), 256, 0),                          # no token for it by default
        (hf.InternVLConfig(), 1024, 256),
    ],
)  # fmt: skip
def test_a_picture_takes_places(config: Any, positions: int, places: int) -> None:
    assert seeing.positions(config.vision_config) == positions
    assert seeing.places(config) == places


def test_towers_that_grow_narrower_say_no_positions() -> None:
    assert seeing.positions(hf.SwinConfig()) == 0
    assert seeing.positions(hf.VideoMAEConfig()) == 14 * 14 * 8
    assert seeing.seen([(hf.ViTConfig(), 768), (None, 9), (hf.ViTConfig(), -1)]) == 196 * 768


def test_what_a_scan_makes_of_each_position_is_known() -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "vocab_size": 50}
    with torch.device("meta"):
        mamba = hf.MambaModel(hf.MambaConfig(state_size=8, **sizes))
        heads = {"num_heads": 4, "head_dim": 16, "n_groups": 1}
        chunked = hf.Mamba2Model(hf.Mamba2Config(state_size=8, chunk_size=64, **heads, **sizes))
        plain = hf.LlamaModel(hf.LlamaConfig(intermediate_size=64, num_attention_heads=2, **sizes))
    assert [scanned(each) for each in (mamba, chunked, plain)] == [64 * 8, 4 * (5 * 64 + 4 * 8) // 3, 0]
    assert [chunk(each) for each in (mamba, chunked, plain)] == [0, 64, 0]
