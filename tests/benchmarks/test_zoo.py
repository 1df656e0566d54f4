"""The kinds of `memory.py --zoo`: each says which checkpoint it is, and is written so that we open it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from nexus_specs import Installed, Sample

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def kinds():
    sys.path.insert(0, str(FOLDER))
    import zoo

    yield zoo.kinds()
    sys.path.remove(str(FOLDER))
    for name in [name for name in sys.modules if name.partition(".")[0] in ("zoo", "streaming")]:
        del sys.modules[name]


def test_each_names_the_checkpoint_that_it_stands_for_and_shows_other_samples(kinds):
    assert len(kinds) >= 70
    for name, kind in kinds.items():
        assert "/" in kind.make.__doc__.split()[0], name
        first, second = kind.fields(0), kind.fields(1)
        assert first.keys() == second.keys(), name
        assert repr(first) != repr(second), name


def test_a_kind_is_written_in_the_names_of_its_publisher(kinds, tmp_path, monkeypatch):
    import transformers as hf
    from zoo import writing

    small = {"vocab_size": 300, "hidden_size": 32, "intermediate_size": 16, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 2}
    words = kinds["mixtral"].make.__globals__["words"]()
    made = hf.MixtralForCausalLM(hf.MixtralConfig(**small, **heads)), words
    monkeypatch.setattr(writing, "SHARD", 4000)
    monkeypatch.setattr(writing, "kinds", lambda: {"small": kinds["mixtral"].__class__(lambda: made, ())})
    writing.main("small", tmp_path / "there")
    where = json.loads((tmp_path / "there" / "model.safetensors.index.json").read_text())["weight_map"]
    assert "model.layers.1.block_sparse_moe.experts.1.w2.weight" in where
    assert len(set(where.values())) > 1
    _, about = hf.MixtralForCausalLM.from_pretrained(tmp_path / "there", output_loading_info=True)
    assert not any(about[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    opened = Installed().open(str(tmp_path / "there"))
    assert opened.blueprint.head == "MixtralForCausalLM"
    assert opened.collate([Sample(key="a", fields=kinds["mixtral"].fields(0))])["input_ids"].shape[0] == 1


def test_what_a_class_keeps_in_float32_is_written_in_it(kinds):
    import torch
    from zoo import writing

    class Speaker(torch.nn.ModuleDict):
        _keep_in_fp32_modules_strict = ["codec"]

    speaker = Speaker({"codec": torch.nn.Linear(1, 1), "words": torch.nn.Linear(1, 1)})
    writing._narrow(speaker, torch.bfloat16)
    assert speaker["codec"].weight.dtype == torch.float32
    assert speaker["words"].weight.dtype == torch.bfloat16


@pytest.mark.slow
def test_all_can_be_made_and_are_large_enough(kinds):
    import torch

    for name, kind in kinds.items():
        with torch.device("meta"):
            model, *_ = kind.make()
        assert sum(each.numel() * 2 for each in model.parameters()) >= 5e8, name


def test_a_kind_that_is_not_there_is_said():
    command = [sys.executable, str(FOLDER / "memory.py"), "--zoo", "--only", "lava"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "No kind is called lava. There are" in done.stderr
