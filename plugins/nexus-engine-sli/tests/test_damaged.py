"""What is wrong with a file is told with the tensor in which it lies, wherever that tensor comes in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_engine_sli.engine import Sli
from nexus_engine_sli.files import past_cache
from nexus_engine_sli.planning.fitting import Fitting
from nexus_engine_sli.rooms.streamed import Streamed
from nexus_engine_sli.weights import units
from nexus_engine_sli.weights.checking import watch
from nexus_specs import Budget, Extent, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink
from safetensors.torch import load_file, save_file

Inputs = Callable[[str], Sequence[Sample]]
UP = "model.layers.1.mlp.experts.5.up_proj.weight"
NAN = b"\0\0\xc0\x7f"


@pytest.fixture(scope="module")
def source(tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three layers of eight experts, in files of some tensors each."""
    home = tmp_path_factory.mktemp("experts")
    config = hf.Qwen3MoeConfig(
        vocab_size=300, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
        intermediate_size=96, moe_intermediate_size=64, num_experts=8, num_experts_per_tok=8,
        max_position_embeddings=64, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(0)
    hf.Qwen3MoeForCausalLM(config).save_pretrained(home, max_shard_size="100KB")
    tokenizer.save_pretrained(home)
    return home


@pytest.fixture
def home(source: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def place(home: Path, key: str) -> Extent:
    checkpoint: Any = Installed().open(str(home))
    return next(each for part in checkpoint.parts for each in part.extents if each.key == key)


def observe(home: Path, samples: Sequence[Sample], tap: str = "final", **budget: Any) -> ListSink:
    sink = ListSink()
    with Sli().load(Installed().open(str(home)), Budget(micro_batch=2, **budget)) as teacher:
        teacher.observe(samples, [Tap(path=tap)], sink)
    return sink


def not_finite(home: Path, key: str) -> Path:
    """Writes one number into a tensor; its file."""
    found = place(home, key)
    with Path(found.file).open("r+b") as file:
        file.seek(found.stop - 4)
        file.write(NAN)
    return Path(found.file)


NORM = "model.norm.weight"
HOW: dict[str, dict[str, Any]] = {
    "streamed": {"residency": "stream"},
    "resident": {"residency": "resident"},
    "four bits": {"residency": "stream", "quantise": "nf4"},
    "eight bits": {"residency": "resident", "quantise": "int8"},
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("key", [UP, NORM, "model.layers.2.self_attn.q_proj.weight"])
def test_a_tensor_that_is_not_finite_is_named_with_its_file(key: str, how: str, home: Path, inputs: Inputs) -> None:
    file = not_finite(home, key)
    with pytest.raises(NexusError, match="not finite") as said:
        observe(home, inputs("decoder"), **HOW[how])
    assert f"in the tensor '{key}' of '{file}'" in str(said.value)


@pytest.mark.parametrize("deferred", [False, True], ids=["whole", "in windows"])
@pytest.mark.parametrize("residency", ["stream", "resident"])
def test_a_head_that_is_not_finite_is_named(
    residency: Any, deferred: bool, home: Path, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states before it are in order: it shows in the logits alone."""
    if deferred:
        monkeypatch.setattr("nexus_engine_sli.outputs.deferring.rows_at_once", lambda _: 2)
    file = not_finite(home, "lm_head.weight")
    with pytest.raises(NexusError, match="not finite") as said:
        observe(home, inputs("decoder"), "logprob", residency=residency)
    assert f"in the tensor 'lm_head.weight' of '{file}'" in str(said.value)


@pytest.mark.parametrize("key", [UP, NORM, "lm_head.weight"])
def test_no_answer_is_made_of_what_is_not_finite(key: str, home: Path, inputs: Inputs) -> None:
    """It would be an empty one, or noise."""
    file = not_finite(home, key)
    with (
        Sli().load(Installed().open(str(home)), Budget(micro_batch=2, residency="resident")) as teacher,
        pytest.raises(NexusError, match="not finite") as said,
    ):
        teacher.generate(inputs("decoder")[:2])
    assert f"in the tensor '{key}' of '{file}'" in str(said.value)


def test_an_expert_that_comes_in_a_group_is_named(
    home: Path, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it gives passes no module that is looked at, and the layer behind it is in order."""
    monkeypatch.setattr(units, "LARGE", 1 << 12)
    checkpoint: Any = Installed().open(str(home))
    room = Streamed(checkpoint, "cpu")
    divided = units.Division(checkpoint, room.module, 1 << 16)
    least = Fitting(checkpoint, room.module, torch.float32, copied=False).needed(divided)
    room.close()
    file = not_finite(home, UP)
    with pytest.raises(NexusError, match="not finite") as said:
        observe(home, inputs("decoder"), residency="stream", memory=least)
    assert f"in the tensor '{UP}' of '{file}'" in str(said.value)


@pytest.mark.parametrize("residency", ["stream", "resident"])
def test_an_expert_of_another_shape_is_named(residency: Any, home: Path, inputs: Inputs) -> None:
    file = Path(place(home, UP).file)
    tensors = load_file(file)
    tensors[UP] = tensors[UP][:-1].contiguous()
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(NexusError, match="shape") as said:
        observe(home, inputs("decoder"), residency=residency)
    assert f"'{UP}' of '{file}'" in str(said.value)


def _gone(path: Path) -> None:
    path.unlink()


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_gone, _a_folder])
def test_a_file_that_goes_while_the_model_runs(
    damage: Callable[[Path], None], home: Path, source: Path, inputs: Inputs
) -> None:
    file = Path(place(home, UP).file)
    with Sli().load(Installed().open(str(home)), Budget(micro_batch=2, residency="stream")) as teacher:
        damage(file)
        with pytest.raises(NexusError, match="cannot be read at byte") as said:
            teacher.observe(inputs("decoder"), [Tap(path="final")], ListSink())
    assert f"'{file}'" in str(said.value)
    assert "inside the tensor 'model.layers.1" in str(said.value)


def test_a_disk_that_fails_is_told_with_the_tensor(
    home: Path, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, read = place(home, UP), os.preadv

    def failing(file: int, views: Any, at: int) -> int:
        if Path(f"/proc/self/fd/{file}").readlink() == Path(found.file) and at <= found.start < at + len(views[0]):
            raise OSError(5, "Input/output error")
        return read(file, views, at)

    monkeypatch.setattr(past_cache.os, "preadv", failing)
    with pytest.raises(NexusError, match=r"inside the tensor '.*' \(Input/output error\)\. Check the disk") as said:
        observe(home, inputs("decoder"), residency="stream")
    assert f"'{found.file}'" in str(said.value)


def test_an_index_that_knows_nothing_of_a_file(home: Path) -> None:
    file, index = Path(place(home, UP).file), home / "model.safetensors.index.json"
    known = json.loads(index.read_text())
    known["weight_map"] = {key: name for key, name in known["weight_map"].items() if name != file.name}
    index.write_text(json.dumps(known))
    with pytest.raises(NexusError, match=r"has no entry for the tensor 'model\.layers") as said:
        Installed().open(str(home))
    assert f"which '{file}' holds" in str(said.value)
    file.rename(home / "consolidated.safetensors")           # of another set: nobody's business
    with pytest.raises(NexusError) as said, Sli().load(Installed().open(str(home)), Budget()):
        pass
    expert = r"no tensor 'model\.layers\.1\.mlp\.experts\.\d\.\w+\.weight', which other experts"
    assert re.search(expert, str(said.value)), said.value
    assert f"in '{home}/model-000" in str(said.value)


def test_experts_that_compute_nothing_lack_nothing(tmp_path: Path) -> None:
    """LongCat's zero experts have no second matrix in any layer."""
    config = hf.LongcatFlashConfig(
        vocab_size=64, hidden_size=32, num_layers=2, num_hidden_layers=4, num_attention_heads=2, ffn_hidden_size=32,
        q_lora_rank=16, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=8, v_head_dim=16, head_dim=8,
        moe_topk=2, n_routed_experts=4, zero_expert_num=2, expert_ffn_hidden_size=16, max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(0)
    hf.LongcatFlashForCausalLM(config).save_pretrained(tmp_path)
    with Sli().load(Installed().open(str(tmp_path)), Budget(memory=1 << 30, residency="resident")) as teacher:
        assert teacher.module(input_ids=torch.arange(5)[None]).logits.shape == (1, 5, 64)


@pytest.mark.parametrize("odd", [0, 1, 2])
def test_every_tensor_that_a_unit_gives_is_looked_at(odd: int) -> None:
    given = [torch.ones(2), torch.ones(3), torch.ones(1)]
    told: list[int] = []
    watch((given[0], {"text": given[1], "number": 3}, [given[2], None]), lambda: told.append(1))
    assert not told
    given[odd][0] = torch.nan
    watch((given[0], {"text": given[1], "number": 3}, [given[2], None]), lambda: told.append(1))
    assert told == [1], "once"
