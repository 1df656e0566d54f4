"""What a header alone shows: layers that are left out, shapes and numbers that no model has, experts that lie apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from gguf_files.metadata import metadata
from gguf_files.reading import differences, outputs
from gguf_files.tensors import converted, stacked
from gguf_files.tiny import MODELS, model_of
from gguf_files.writing import put, vocabulary
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.endings import endings
from nexus_arch_gguf.source import Source
from nexus_specs import Budget, Installed, NexusError
from nexus_specs.testing import sample
from torch import Tensor

Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


def rewritten(row: str, path: Path, changes: Mapping[str, Any], tensors: Change = dict) -> str:
    """The file of a row with other metadata (None: without an entry) and other tensors."""
    arch, model = MODELS[row][0], model_of(row)
    writer = gguf.GGUFWriter(path, arch)
    for key, value in (metadata(arch, row, model.config.get_text_config()) | dict(changes)).items():
        if value is not None:
            put(writer, key if key.startswith(("split.", "tokenizer.")) else f"{arch}.{key}", value)
    vocabulary(writer, row)
    for name, tensor in tensors(stacked(converted(arch, row, model))).items():
        writer.add_tensor(name, np.ascontiguousarray(tensor.detach().float().numpy()))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return str(path)


@pytest.mark.parametrize("count", [1, 3])
def test_layers_that_the_metadata_does_not_count_are_no_other_model(count: int, tmp_path: Path) -> None:
    source = rewritten("llama", tmp_path / "short.gguf", {"block_count": count})
    with pytest.raises(NexusError, match=rf"block_count' is {count}, and tensors of 4 layers .*, up to number 3"):
        Gguf().inspect(source)


def test_a_layer_far_behind_the_others_is_none(tmp_path: Path) -> None:
    def more(found: dict[str, Tensor]) -> dict[str, Tensor]:
        return found | {"blk.7.attn_q.weight": found["blk.0.attn_q.weight"]}

    with pytest.raises(NexusError, match="up to number 7"):
        Gguf().inspect(rewritten("llama", tmp_path / "more.gguf", {}, more))


@pytest.mark.parametrize(
    ("row", "changes"),
    [
        ("llama", {"feed_forward_length": None}), ("llama", {"attention.key_length": 2}),
        ("qwen3_moe", {"expert_feed_forward_length": None}),
    ],
)  # fmt: skip
def test_shapes_that_the_metadata_does_not_mean_are_refused_by_the_header(
    row: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(NexusError, match=r"other\.gguf.*(should have the shape|cannot be made of)"):
        Gguf().inspect(rewritten(row, tmp_path / "other.gguf", changes))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("attention.layer_norm_rms_epsilon", math.nan), ("attention.layer_norm_rms_epsilon", math.inf),
        ("attention.layer_norm_rms_epsilon", -1.0), ("rope.freq_base", 0.0), ("rope.freq_base", math.nan),
        ("rope.freq_base", -10000.0),
    ],
)  # fmt: skip
def test_numbers_that_make_none(key: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=rf"'llama\.{key}' is .*; allowed: a number"):
        Gguf().inspect(rewritten("llama", tmp_path / "numbers.gguf", {key: value}))


def test_an_embedding_without_dimensions(tmp_path: Path) -> None:
    def bare(found: dict[str, Tensor]) -> dict[str, Tensor]:
        return found | {"token_embd.weight": torch.tensor(1.0)}

    with pytest.raises(NexusError, match=r"'token_embd\.weight' has [01] dimensions"):
        Gguf().inspect(rewritten("llama", tmp_path / "bare.gguf", {}, bare))


@pytest.mark.parametrize("changes", [{"split.count": 2, "split.no": "x"}, {"split.count": "5"}])
def test_splits_that_are_no_numbers(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=r"the metadata 'split\.\w+' is '.', and should be a whole number"):
        Gguf().inspect(rewritten("llama", tmp_path / "split.gguf", changes))


@torch.no_grad()
def test_experts_that_lie_apart_are_put_together(tmp_path: Path, loaded: Any, model: Callable[[str], Any]) -> None:
    """As files of Mixtral hold them that were made before April 2024."""

    def apart(found: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            name if one is None else name.replace("_exps", f".{one}"): tensor if one is None else tensor[one]
            for name, tensor in found.items()
            for one in (range(len(tensor)) if "_exps" in name else (None,))
        }

    source = rewritten("mixtral", tmp_path / "apart.gguf", {}, apart)
    module, tensors = loaded(Gguf().open(source, Installed()))
    expected = model("mixtral")
    assert {name: each for name, each in differences(expected.state_dict(), tensors).items() if each > 1e-6} == {}
    assert float((outputs(module) - outputs(expected)).abs().max()) <= 1e-6


def test_tensors_that_nothing_is_made_of_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Once, by name; the file opens as before."""

    def more(found: dict[str, Tensor]) -> dict[str, Tensor]:
        one = found["output_norm.weight"]
        return found | {"cls.weight": one, "blk.1.attn_sub_norm.weight": one, "foo\x1b[2J.weight": one}

    source = rewritten("llama", tmp_path / "more.gguf", {}, more)
    assert Gguf().inspect(source) == Gguf().inspect(source)
    (line,) = capsys.readouterr().err.splitlines()
    assert "of which 3 are left out: LlamaForCausalLM has no place for" in line
    assert "'cls.weight', 'blk.1.attn_sub_norm.weight', 'foo\\x1b[2J.weight'" in line


@pytest.mark.parametrize("row", ["llama3", "phi3-long", "muse_glimmer", "t5", "deepseek_v3"])
def test_tensors_that_are_left_out_on_purpose_are_not_told(
    row: str, written: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    Gguf().inspect(str(written(row)))
    assert "left out" not in capsys.readouterr().err


def test_drafts_are_not_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Trailing layers that predict several tokens at once (MTP), and what joins them to the model."""

    def more(found: dict[str, Tensor]) -> dict[str, Tensor]:
        last = {name.replace("blk.3.", "blk.4."): each for name, each in found.items() if name.startswith("blk.3.")}
        return found | last | {"blk.4.nextn.enorm.weight": found["output_norm.weight"]}

    changes = {"block_count": 5, "nextn_predict_layers": 1}
    Gguf().inspect(rewritten("glm4_moe", tmp_path / "drafts.gguf", changes, more))
    assert "left out" not in capsys.readouterr().err


def test_an_answer_ends_where_the_metadata_says(tmp_path: Path) -> None:
    """The end of a turn beside the end of a text, as llama.cpp knows them: by key, and by name."""
    source = Source(Path(rewritten("llama", tmp_path / "ends.gguf", {})))
    assert endings(source, {"</s>": 2}) == {"eos_token_id": [2]}
    assert endings(source, {"</s>": 2, "<|eot_id|>": 7, "<end_of_turn>": 9}) == {"eos_token_id": [2, 7, 9]}
    assert endings(source, {"<|return|>": 4, "<|call|>": 5, "<|end|>": 6}) == {"eos_token_id": [2, 4, 5]}


def test_an_answer_of_a_file_ends_with_its_turn(tmp_path: Path) -> None:
    started = {"tokenizer.ggml.add_bos_token": True}
    plain = rewritten("llama", tmp_path / "plain.gguf", started)
    asked = [sample(prompt="the", max_new_tokens=8)]
    said = answers(plain, asked)
    word = said[0][: said[0].index("]") + 1]
    assert said[0].startswith(word * 2)
    number = Gguf()._checkpoint(plain).preprocessor.tokenizer.get_vocab()[word]
    ended = rewritten("llama", tmp_path / "ended.gguf", {**started, "tokenizer.ggml.eot_token_id": number})
    assert answers(ended, asked) == [word]


def answers(source: str, asked: list[Any]) -> list[str]:
    """What the engine has the model say."""
    with Installed().make("engine", "sli").load(Gguf().open(source, Installed()), Budget()) as teacher:
        return list(teacher.generate(asked))


HOSTILE = [
    ("jamba", "ssm.state_size"), ("jamba", "ssm.inner_size"), ("qwen3_moe", "expert_count"), ("llama", "head_count"),
    ("deepseek_v4", "hash_layer_count"), ("kimi_linear", "leading_dense_block_count"), ("gemma3n", "altup.num_inputs"),
    ("qwen4_exp", "hyper_connection.count"), ("llama4", "expert_feed_forward_length"),
]  # fmt: skip


@pytest.mark.parametrize(("row", "key"), HOSTILE)
@pytest.mark.parametrize("value", [1 << 22, 99999])
def test_a_size_that_no_tensor_has_is_refused_before_anything_is_built(
    row: str, key: str, value: int, tmp_path: Path
) -> None:
    """Gigabytes and minutes before."""
    key = "attention.head_count" if key == "head_count" else key
    with pytest.raises(NexusError, match=rf"{key}' is {value}(; allowed: a whole number|, and routers)"):
        Gguf().inspect(rewritten(row, tmp_path / "large.gguf", {key: value}))


def test_routers_say_how_many_experts_there_are(tmp_path: Path) -> None:
    with pytest.raises(NexusError, match=r"expert_count' is 5, and routers have rows for 4 experts"):
        Gguf().inspect(rewritten("qwen3_moe", tmp_path / "experts.gguf", {"expert_count": 5}))
