"""What a blueprint says for the prediction of memory: attention that keeps its scores, sounds of a fixed length."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Blueprint, Installed, Outside
from nexus_torch.hugging_face.configuration.classes import skeleton
from nexus_torch.hugging_face.inputs.holding import unmet
from nexus_torch.hugging_face.inputs.showing import shown

SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 300,
}  # fmt: skip


def inspect(folder: Path, **values: Any) -> Blueprint:
    (folder / "config.json").write_text(json.dumps(values))
    return Transformers().inspect(str(folder))


@pytest.mark.parametrize(
    ("kind", "more", "scores"),
    [
        ("BertModel", {}, 0),
        ("Gemma2ForCausalLM", {"num_key_value_heads": 2, "head_dim": 8}, 4),
        ("DebertaV2Model", {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, 12),
        ("LongformerModel", {"attention_window": 16}, 0),
        ("Mamba2Model", {"num_heads": 4, "head_dim": 16}, 0),
    ],
)
def test_attention_without_a_kernel_keeps_its_scores(
    kind: str, more: dict[str, Any], scores: int, tmp_path: Path
) -> None:
    """DeBERTa's were left out: 151 MB were predicted for two texts of 500 tokens that took 319."""
    family = {"BertModel": "bert", "Gemma2ForCausalLM": "gemma2", "DebertaV2Model": "deberta-v2",
              "LongformerModel": "longformer", "Mamba2Model": "mamba2"}[kind]  # fmt: skip
    assert inspect(tmp_path, model_type=family, architectures=[kind], **SIZES | more).scored == scores


@pytest.mark.parametrize(("everywhere", "scores"), [([1], 8), ([], 0)])
def test_what_is_added_to_scores_is_there_whole(everywhere: list[int], scores: int, tmp_path: Path) -> None:
    """SAM has a kernel, and makes a bias of each head and pair before it: 2.4 GB for one picture, 1.6 predicted."""
    seeing = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 12, "image_size": 64,
              "global_attn_indexes": everywhere}  # fmt: skip
    found = inspect(tmp_path, model_type="sam", architectures=["SamModel"], vision_config=seeing)
    assert (found.scored, found.seen) == (scores, 4 * 4 * 48)


def test_sounds_that_are_filled_up_have_their_full_length(tmp_path: Path) -> None:
    """Whisper's 1500 positions were not known: 142 MB were predicted where 341 were taken."""
    sizes = {"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "vocab_size": 300,
             "decoder_attention_heads": 4, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64}  # fmt: skip
    found = inspect(
        tmp_path, model_type="whisper", architectures=["WhisperForConditionalGeneration"], max_source_positions=1500,
        pad_token_id=0, **sizes,
    )  # fmt: skip
    assert found.seen == 1500 * 32
    assert [stack.sees for stack in found.stacks] == [True, False], "its encoder hears, and its decoder writes"


def test_a_text_with_a_sound_comes_to_the_tower_that_hears(tmp_path: Path) -> None:
    """Only what is seen counted: the tower of a Qwen2-Audio was taken for one that no sample comes to."""
    heard = {"d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}
    found = inspect(
        tmp_path, model_type="qwen2_audio", architectures=["Qwen2AudioForConditionalGeneration"], audio_token_index=5,
        audio_config=heard, text_config=SIZES | {"model_type": "qwen2", "num_key_value_heads": 2},
    )  # fmt: skip
    with torch.device("meta"):
        module = hf.Qwen2AudioForConditionalGeneration(hf.AutoConfig.from_pretrained(tmp_path))
    words = {"input_ids": torch.tensor([[5, 5, 7]])}
    (tower,) = [stack.path for stack in found.stacks if stack.sees]
    with_sound = shown(found, module, [words | {"input_features": torch.zeros(1, 128, 3000)}])
    assert (with_sound.seen, with_sound.places, with_sound.unmet) == (1500 * 16, 2, ())
    alone = shown(found, module, [words])
    assert (alone.seen, alone.places, alone.unmet) == (0, 0, (tower,))


def test_what_is_large_and_in_no_layer_is_told(tmp_path: Path) -> None:
    """A head that is the embedding counts once; what is small, and what has buffers, which would go with it, does not
    count."""
    words = SIZES | {"hidden_size": 64, "vocab_size": 40_000}
    tied, apart = (
        inspect(tmp_path, model_type="llama", architectures=["LlamaForCausalLM"], tie_word_embeddings=each, **words)
        for each in (True, False)
    )
    table = Outside(path="model.embed_tokens", parameters=40_000 * 64)
    assert tied.outside == (replace(table, shared=True),)
    assert apart.outside == (table, replace(table, path="lm_head", behind=1))
    assert inspect(tmp_path, model_type="llama", architectures=["LlamaForCausalLM"], **SIZES).outside == ()
    scaled = inspect(tmp_path, model_type="gemma3_text", architectures=["Gemma3ForCausalLM"], head_dim=16, **words)
    assert scaled.outside == (Outside(path="lm_head", parameters=40_000 * 64, behind=1, shared=True),)


def test_a_table_is_as_large_as_it_is_stored(tmp_path: Path) -> None:
    """Whatever else is: a Voxtral's was taken for one that is made of another form, 664 MB for 371."""
    config = hf.LlamaConfig(**SIZES | {"hidden_size": 64, "vocab_size": 40_000}, tie_word_embeddings=False)
    module = hf.LlamaForCausalLM(config).bfloat16()
    module.lm_head.float()
    module.save_pretrained(tmp_path)
    found = Installed().open(str(tmp_path)).blueprint.outside
    assert [(each.path, each.bytes) for each in found] == [
        ("model.embed_tokens", 40_000 * 64 * 2), ("lm_head", 40_000 * 64 * 4),
    ]  # fmt: skip


def test_a_text_does_not_come_to_a_codec(tmp_path: Path) -> None:
    """CSM's codec, its stack over codes and its table of codes counted where a text alone is read: 556 MB for 301."""
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    codes = {"num_codebooks": 4, "vocab_size": 33, "num_key_value_heads": 2, "head_dim": 8}
    depth = small | codes | {"model_type": "csm_depth_decoder_model", "backbone_hidden_size": 32}
    codec = small | {"model_type": "mimi", "num_filters": 4, "codebook_size": 32, "codebook_dim": 16,
                     "vector_quantization_hidden_dimension": 16, "upsampling_ratios": [4, 4, 2],
                     "upsample_groups": 32}  # fmt: skip
    found = inspect(
        tmp_path, model_type="csm", architectures=["CsmForConditionalGeneration"], text_vocab_size=70_000,
        depth_decoder_config=depth, codec_config=codec, **small | codes,
    )  # fmt: skip
    (words,) = found.outside
    module = skeleton(hf.AutoConfig.from_pretrained(tmp_path), hf.CsmForConditionalGeneration)
    away = unmet(module, {"input_ids": torch.tensor([[5, 6, 7]])}, found)
    assert (words.path, away) == ("embed_text_tokens", tuple(each.path for each in found.stacks[1:]))


def test_what_a_class_keeps_in_float32_is_told(tmp_path: Path) -> None:
    """Kyutai STT's codec, two thirds of what it takes in bfloat16: 1279 MB were predicted, and 1458 taken."""
    codec = {"model_type": "mimi", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
             "intermediate_size": 64, "num_filters": 4, "codebook_size": 32, "codebook_dim": 16,
             "vector_quantization_hidden_dimension": 16, "upsampling_ratios": [4, 4, 2],
             "upsample_groups": 32}  # fmt: skip
    found = inspect(
        tmp_path, model_type="kyutai_speech_to_text", architectures=["KyutaiSpeechToTextForConditionalGeneration"],
        codec_config=codec, codebook_vocab_size=33, num_codebooks=4, ffn_dim=64,
        audio_pad_token_id=32, **SIZES,
    )  # fmt: skip
    module = skeleton(hf.AutoConfig.from_pretrained(tmp_path), hf.KyutaiSpeechToTextForConditionalGeneration)
    assert found.float32 == sum(each.numel() for each in module.codec_model.parameters())
    wide = {stack.path: stack.layer_float32 == stack.layer_parameters for stack in found.stacks}
    assert wide == {stack.path: stack.path.startswith("codec_model.") for stack in found.stacks}
    assert sum(wide.values()) >= 2, "its encoder's layers and its decoder's"
    assert inspect(tmp_path, model_type="llama", architectures=["LlamaForCausalLM"], **SIZES).float32 == 0
