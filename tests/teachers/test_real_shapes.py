"""Families with the shapes of the real files: described from headers alone, every one of their tensors placed.

PersonaPlex: the shapes are those of the header of nvidia/personaplex-7b-v1 (475 tensors in bfloat16, 16,742,874,000
bytes), beside the config.json of the repository, which says nothing but the model type. The files here are holes: no
number is in them.
"""

import json
import math

import pytest
import torch
import transformers as hf
from nexus_family_personaplex.architecture import PersonaPlex
from nexus_family_personaplex.layout import MIMI, MODEL
from nexus_family_qwen3_tts.talker import Talker
from nexus_family_step3_vl.architecture import Step3VL
from tiny_teachers.composed import perception_names
from tiny_teachers.duplex import mimi_names

WIDE, FEED, LAYERS, DEPTH, DEPTH_FEED, STEPS, STREAMS, WORDS, CODES = 4096, 11264, 32, 1024, 2816, 16, 16, 32000, 2048
FILE, HEADER = 16_742_874_000, 100_000
"""Bytes of the real file; and the most that its header takes."""


def shapes():
    """Name -> shape of every tensor."""
    found = {"text_emb.weight": (WORDS + 1, WIDE), "text_linear.weight": (WORDS, WIDE), "out_norm.alpha": (1, 1, WIDE),
             "depformer_text_emb.weight": (WORDS + 1, DEPTH)}  # fmt: skip
    found |= {f"emb.{at}.weight": (CODES + 1, WIDE) for at in range(STREAMS)}
    found |= {f"depformer_emb.{at}.weight": (CODES + 1, DEPTH) for at in range(STEPS - 1)}
    found |= {f"depformer_in.{at}.weight": (DEPTH, WIDE) for at in range(STEPS)}
    found |= {f"linears.{at}.weight": (CODES, DEPTH) for at in range(STEPS)}
    for at in range(LAYERS):
        put = f"transformer.layers.{at}"
        found |= {f"{put}.self_attn.in_proj_weight": (3 * WIDE, WIDE), f"{put}.self_attn.out_proj.weight": (WIDE, WIDE),
                  f"{put}.gating.linear_in.weight": (2 * FEED, WIDE), f"{put}.gating.linear_out.weight": (WIDE, FEED),
                  f"{put}.norm1.alpha": (1, 1, WIDE), f"{put}.norm2.alpha": (1, 1, WIDE)}  # fmt: skip
    for at in range(6):
        put = f"depformer.layers.{at}"
        found |= {f"{put}.self_attn.in_proj_weight": (STEPS * 3 * DEPTH, DEPTH), f"{put}.norm1.alpha": (1, 1, DEPTH),
                  f"{put}.self_attn.out_proj.weight": (STEPS * DEPTH, DEPTH), f"{put}.norm2.alpha": (1, 1, DEPTH)}
        for step in range(STEPS):
            found[f"{put}.gating.{step}.linear_in.weight"] = (2 * DEPTH_FEED, DEPTH)
            found[f"{put}.gating.{step}.linear_out.weight"] = (DEPTH, DEPTH_FEED)
    return found


def numbers():
    return sum(math.prod(shape) for shape in shapes().values())


def hollow(path, named, dtype, size):
    """A safetensors file whose header is whole and whose numbers are a hole in the disk."""
    header, at = {}, 0
    for name, shape in named.items():
        end = at + size * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + at)


@pytest.fixture
def repository(tmp_path):
    hollow(tmp_path / MODEL, shapes(), "BF16", 2)
    with torch.device("meta"):
        mimi = hf.MimiModel(hf.MimiConfig())
    named = {name: tuple(tensor.shape) for name, tensor in mimi_names(mimi).items()}
    hollow(tmp_path / MIMI, named, "F32", 4)
    (tmp_path / "config.json").write_text('{"model_type": "personaplex", "version": "7b-v1"}')
    return tmp_path


def test_its_shapes_are_the_published_ones():
    assert len(shapes()) == 475
    assert 0 < FILE - 2 * numbers() < HEADER


def test_personaplex_is_described_from_its_header(repository):
    checkpoint = PersonaPlex().open(str(repository), None)
    blueprint = checkpoint.blueprint
    placed = {extent.key for part in checkpoint.parts for extent in part.extents}
    assert set(shapes()) <= placed
    mimi = sum(each.numel() for name, each in checkpoint.bare().named_parameters() if name.startswith("audio_encoder."))
    assert blueprint.parameters - mimi == numbers()
    assert {stack.path: stack.count for stack in blueprint.stacks if "audio_encoder" not in stack.path} == {
        "decoder.model.layers": LAYERS, "depth_decoder.layers": 6}  # fmt: skip


STEP3 = {
    "model_type": "step_robotics", "architectures": ["StepVLForConditionalGeneration"],
    "auto_map": {"AutoConfig": "configuration_step_vl.StepRoboticsConfig",
                 "AutoModelForCausalLM": "modeling_step_vl.Step3VL10BForCausalLM"},
    "understand_projector_stride": 2, "projector_bias": False, "image_token_id": 151679, "torch_dtype": "bfloat16",
    "vision_config": {
        "width": 1536, "layers": 47, "heads": 16, "num_channels": 3, "image_size": 728, "mlp_ratio": 8960 / 1536,
        "patch_size": 14, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "ues_cls_token": False,
        "use_cls_token": False, "use_ln_pre": True, "use_ln_post": False, "use_abs_posemb": True, "use_rope2d": True,
        "ls_init_value": 0.1, "output_dim": None, "pool_type": "none",
    },
    "text_config": {
        "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 36,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288,
        "vocab_size": 151936, "rope_theta": 1000000, "rope_scaling": None, "tie_word_embeddings": False,
        "max_position_embeddings": 65536, "sliding_window": None, "use_sliding_window": False,
    },
}  # fmt: skip
"""As its own configuration class has it (StepRoboticsConfig, beside the weights on the hub), over a Qwen3-8B."""
STEP3_FILES = 20.4e9
"""Bytes of its weights, in bfloat16, as the hub lists them."""


def test_step3_vl_is_described_from_its_header(tmp_path):
    with torch.device("meta"):
        eyes = hf.Step3p7VisionModel(hf.Step3p7VisionConfig(**STEP3["vision_config"]))
        words = hf.Qwen3ForCausalLM(hf.Qwen3Config(**STEP3["text_config"]))
    named = {f"vision_model.{name}": tuple(tensor.shape) for name, tensor in perception_names(eyes).items()}
    named |= {name: tuple(tensor.shape) for name, tensor in words.state_dict().items()}
    named["vit_large_projector.weight"] = (4096, 4 * 1536)
    hollow(tmp_path / MODEL, named, "BF16", 2)
    (tmp_path / "config.json").write_text(json.dumps(STEP3))
    checkpoint = Step3VL().open(str(tmp_path), None)
    assert {extent.key for part in checkpoint.parts for extent in part.extents} == set(named)
    assert checkpoint.described.parameters == sum(math.prod(shape) for shape in named.values())
    assert abs(2 * checkpoint.described.parameters - STEP3_FILES) < STEP3_FILES / 200
    assert {stack.count for stack in checkpoint.described.stacks} == {47, 36}


TALKER = {
    "hidden_size": 2048, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
    "intermediate_size": 6144, "vocab_size": 3072, "text_vocab_size": 151936, "text_hidden_size": 2048,
    "num_code_groups": 16, "rope_theta": 1000000,
    "rope_scaling": {"interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default", "type": "default"},
    "code_predictor_config": {
        "model_type": "qwen3_tts_talker_code_predictor", "hidden_size": 1024, "num_hidden_layers": 5,
        "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072,
        "vocab_size": 2048, "num_code_groups": 16, "rope_theta": 1000000,
    },
}  # fmt: skip
"""Of the 1.7B models, as qwen-tts 0.1.1 reads them."""


def test_qwen3_tts_has_as_many_numbers_as_the_hub_lists():
    with torch.device("meta"):
        talker = Talker(TALKER)
    count = sum(each.numel() for each in talker.parameters())
    assert f"{count / 1e9:.1f}B" == "1.9B"
