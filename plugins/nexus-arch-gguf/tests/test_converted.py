"""What llama.cpp's converter writes and no tiny default shows: divisors of any architecture's frequencies, windows,
bases and rotations that a file leaves unsaid, encoders made of decoders. Each against the model it was made of."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_files.metadata import metadata
from gguf_files.reading import loaded, outputs
from gguf_files.tensors import converted, stacked
from gguf_files.tiny import MODELS, model_of
from gguf_files.writing import put, vocabulary
from nexus_arch_gguf.architecture import Gguf
from nexus_specs import NexusError
from torch import Tensor

DIVISORS = [1.0, 1.5, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0]


def file(row: str, path: Path, changes: dict[str, Any], tensors: dict[str, Tensor] | None = None) -> Any:
    """The checkpoint of a row whose file has other metadata (None: not there) and other tensors."""
    arch, model = MODELS[row][0], model_of(row)
    writer = gguf.GGUFWriter(path, arch)
    for key, value in (metadata(arch, row, model.config.get_text_config()) | changes).items():
        if value is not None:
            put(writer, f"{arch}.{key}", value)
    vocabulary(writer, row)
    for name, tensor in (stacked(converted(arch, row, model)) | (tensors or {})).items():
        writer.add_tensor(name, np.ascontiguousarray(tensor.numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Gguf()._checkpoint(str(path))


def divisors(model: Any) -> Tensor:
    """One for each frequency of a model."""
    found = next(each for name, each in model.named_buffers() if name.endswith("inv_freq"))
    return torch.tensor((DIVISORS * found.numel())[: found.numel()])


def unlike(found: Any, expected: Any) -> float:
    """By how much two models' outputs differ at most."""
    return float((outputs(found) - outputs(expected)).abs().max())


@pytest.mark.parametrize("row", ["exaone4", "exaone_moe", "llama4", "granite", "smollm3", "arcee"])
def test_frequencies_are_divided_in_every_architecture(row: str, tmp_path: Path) -> None:
    """EXAONE 4, Llama 4 Scout and others scale as Llama 3 does, and their files hold the divisors."""
    expected = copy.deepcopy(model_of(row))
    divided = divisors(expected)
    for name, buffer in expected.named_buffers():
        if name.endswith("inv_freq"):
            buffer /= divided
    module, _ = loaded(file(row, tmp_path / "a.gguf", {}, {"rope_freqs.weight": divided}))
    assert unlike(module, expected) <= 1e-6 < unlike(module, model_of(row))


def test_divisors_that_fit_no_frequencies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match="divides 3 rotary frequencies"):
        file("qwen3", tmp_path / "a.gguf", {}, {"rope_freqs.weight": torch.tensor([2.0, 3.0, 4.0])})


def test_local_layers_turn_as_global_ones_unless_the_file_says_otherwise(tmp_path: Path) -> None:
    """OLMo 3's files have one base; its local layers have it too."""
    found = file("olmo3", tmp_path / "a.gguf", {"rope.freq_base": 5e5, "rope.freq_base_swa": None}).config
    assert {each["rope_theta"] for each in found.rope_parameters.values()} == {5e5}
    found = file("gemma3", tmp_path / "b.gguf", {"rope.freq_base": 1e6, "rope.freq_base_swa": None}).config
    assert found.rope_parameters["sliding_attention"]["rope_theta"] == 1e4


@pytest.mark.parametrize("row", ["gemma3", "gemma2", "afmoe", "cohere2"])
def test_the_pattern_of_the_file_is_taken(row: str, tmp_path: Path) -> None:
    layers = MODELS[row][0], model_of(row).config.num_hidden_layers
    pattern = [bool(layer % 2) for layer in range(layers[1])]
    said = {"attention.sliding_window_pattern": pattern, "attention.sliding_window": 4}
    found = file(row, tmp_path / "a.gguf", said).config
    assert [each == "sliding_attention" for each in found.layer_types] == pattern


def test_gemma_without_a_window_has_global_layers_alone(tmp_path: Path) -> None:
    found = file("gemma3", tmp_path / "a.gguf", {"attention.sliding_window": None}).config
    assert set(found.layer_types) == {"full_attention"}


@pytest.mark.parametrize("said", [{"rope.scale_linear": 4.0}, {"rope.scaling.factor": 4.0}])
def test_a_factor_without_a_type_is_linear(said: dict[str, float], tmp_path: Path) -> None:
    """As llama.cpp reads it; the first is how DeepSeek Coder's files of 2023 say it."""
    found = file("llama", tmp_path / "a.gguf", said).config.rope_parameters
    assert (found["rope_type"], found["factor"]) == ("linear", 4.0)


def test_an_unknown_scaling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=r"rope\.scaling\.type' is 'dynamic'; allowed: none, linear"):
        file("llama", tmp_path / "a.gguf", {"rope.scaling.type": "dynamic", "rope.scaling.factor": 2.0})


def test_an_encoder_made_of_a_decoder_is_refused(tmp_path: Path) -> None:
    """LFM2's embedding models: every token sees all others, which transformers' class cannot do."""
    with pytest.raises(NexusError, match="every token sees all others"):
        file("lfm2", tmp_path / "a.gguf", {"attention.causal": False})


def test_limits_of_gates_are_taken(tmp_path: Path) -> None:
    """Step 3.5 limits gates in its last layers."""
    count = model_of("step3p7").config.get_text_config().num_hidden_layers
    limits = [0.0] * (count - 1) + [0.5]
    said = {"swiglu_clamp_exp": limits, "swiglu_clamp_shexp": limits}
    found = file("step3p7", tmp_path / "a.gguf", said).config.get_text_config()
    assert found.swiglu_limits == found.swiglu_limits_shared == limits


def test_rows_in_halves_are_put_back_side_by_side(tmp_path: Path) -> None:
    """GLM-4V's text model: llama.cpp's M-RoPE turns halves, the class turns pairs (`normal_to_neox`)."""
    expected = model_of("glm4")
    config, changed = expected.config, {}
    width = int(config.head_dim * config.rope_parameters["partial_rotary_factor"])
    for name, tensor in expected.state_dict().items():
        if any(f"self_attn.{each}_proj" in name for each in "qk"):
            heads = tensor.reshape(-1, config.head_dim, *tensor.shape[1:])
            halves = torch.cat([heads[:, :width:2], heads[:, 1:width:2], heads[:, width:]], 1).reshape(tensor.shape)
            parts = name.split(".")
            changed[f"blk.{parts[2]}.attn_{parts[4][0]}.{parts[5]}"] = halves
    said = {"rope.dimension_sections": [width // 4, width // 8, width // 8, 0]}
    module, _ = loaded(file("glm4", tmp_path / "a.gguf", said, changed))
    assert unlike(module, expected) <= 1e-6


def test_groups_of_the_release_where_a_file_is_older(tmp_path: Path) -> None:
    """DeepSeek-V2 chooses among groups; llama.cpp wrote none until 2025."""
    from nexus_arch_gguf.layouts.experts import deepseek_v2

    source = file("deepseek_v2", tmp_path / "a.gguf", {}).source
    source.metadata = dict(source.metadata) | {"deepseek2.expert_count": 160}
    for key in ("count", "used_count"):
        source.metadata.pop(f"deepseek2.expert_group_{key}", None)
    fields: dict[str, Any] = {}
    deepseek_v2(source, fields)
    assert (fields["topk_method"], fields["n_group"], fields["topk_group"]) == ("group_limited_greedy", 8, 3)


@pytest.mark.parametrize(("said", "window"), [(128, 129), (129, 129), (8, 8)])
def test_the_window_of_the_released_mimo_counts_its_query(said: int, window: int, tmp_path: Path) -> None:
    found = file("mimo_v2_flash", tmp_path / "a.gguf", {"attention.sliding_window": said}).config
    assert found.sliding_window == window


def test_the_activation_that_a_file_names_is_taken(tmp_path: Path) -> None:
    """Granite's embedding models are ModernBERT with SiLU."""
    assert file("modernbert", tmp_path / "a.gguf", {"hidden_activation": "silu"}).config.hidden_activation == "silu"
    with pytest.raises(NexusError, match="hidden_activation' is 'wave', which transformers does not know"):
        file("modernbert", tmp_path / "b.gguf", {"hidden_activation": "wave"})


def test_llama_4_without_windows_has_positions_in_all_layers(tmp_path: Path) -> None:
    """MobileLLM."""
    found = file("llama4", tmp_path / "a.gguf", {"attention.sliding_window": 0}).config
    assert set(found.no_rope_layers) == {1}
    assert set(found.layer_types) == {"full_attention"}


def test_sigmoid_scores_are_not_run_as_softmax(tmp_path: Path) -> None:
    """DeepSeek-V2's class knows softmax alone; V3's needs a correction, which this file lacks."""
    with pytest.raises(NexusError, match="e_score_correction_bias"):
        file("deepseek_v2", tmp_path / "a.gguf", {"expert_gating_func": 2})


def test_heads_of_keys_are_seen_in_the_tensors(tmp_path: Path) -> None:
    """llama.cpp takes them for as many as those of queries where no metadata says it."""
    for number, row in enumerate(("qwen3", "smollm3")):
        found = file(row, tmp_path / f"{number}.gguf", {"attention.head_count_kv": None}).config
        assert found.num_key_value_heads == 2


@pytest.mark.parametrize("row", ["camembert", "roberta", "bert"])
def test_encoders_without_a_tokenizer_are_told_apart(
    row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RoBERTa's kind counts positions from two; where its file leaves those two out, it computes what a BERT does."""
    monkeypatch.setitem(globals(), "vocabulary", lambda *_: None)
    module, _ = loaded(file(row, tmp_path / "a.gguf", {}))
    assert unlike(module, model_of(row)) <= 1e-6
    assert type(module).__name__ == ("RobertaModel" if row == "camembert" else "BertModel")


def test_local_layers_without_a_window_are_refused(tmp_path: Path) -> None:
    said: dict[str, Any] = {"attention.sliding_window": None}
    module, _ = loaded(file("step3p7", tmp_path / "b.gguf", said))
    assert unlike(module, model_of("step3p7")) <= 1e-6, "all of its layers see everything"
    said["attention.sliding_window_pattern"] = [True, False, True, False]
    with pytest.raises(NexusError, match=r"'step35\.attention\.sliding_window' is missing"):
        file("step3p7", tmp_path / "a.gguf", said)


def test_an_expert_that_sees_every_token_is_seen_in_the_tensors(tmp_path: Path) -> None:
    """Granite: without its width in the metadata it was left out."""
    module, _ = loaded(file("granitemoeshared", tmp_path / "a.gguf", {"expert_shared_feed_forward_length": None}))
    assert unlike(module, model_of("granitemoeshared")) <= 1e-6


@pytest.mark.parametrize(("said", "shown"), [(None, "missing"), (0, "0"), (5, "5")])
def test_experts_that_see_a_token_are_not_guessed(said: int | None, shown: str, tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=f"lfm2moe.expert_used_count' is {shown}; allowed: 1 to the 4 experts"):
        file("lfm2_moe", tmp_path / "a.gguf", {"expert_used_count": said})


def test_a_name_of_several_lines_is_refused_in_one(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=r"rope\.scaling\.type' is 'li\\nnear\\x1b\[2J', which no name is"):
        file("llama", tmp_path / "a.gguf", {"rope.scaling.type": "li\nnear\x1b[2J"})
