"""Pickles are never read here. What is printed instead converts them: run as it is printed, and opened."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError
from nexus_specs.testing.hub import LocalHub
from nexus_torch.files import read_tensors

META = {
    "model.embed_tokens": "tok_embeddings", "lm_head": "output", "model.norm": "norm",
    "self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk", "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1", "mlp.down_proj": "feed_forward.w2", "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
}  # fmt: skip
ACROSS = ("wo", "w2", "tok_embeddings")
"""Weights that several processors share along their columns."""


def printed(message: str) -> str:
    """The lines that a message ends with, to be typed."""
    return message[message.index("\n  ") :].partition("\nWhere that")[0].strip()


def run(message: str, folder: Path) -> None:
    """The Python that a message ends with, in this process: a new one imports transformers again, for seconds. That a
    shell takes the line as it is printed, `test_a_repository_of_pickles` and test_checkpoint.py see."""
    program, flag, code = shlex.split(printed(message))
    assert (program, flag) == ("python", "-c")
    with contextlib.chdir(folder):
        exec(code, {})


def typed(message: str, folder: Path, **environment: str) -> None:
    """The lines that a message ends with, as a shell takes them."""
    command = f"set -e\n{printed(message)}"
    found = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **environment}
    done = subprocess.run(["bash", "-c", command], env=found, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def refused(source: str) -> str:
    with pytest.raises(NexusError, match="pickles") as caught:
        Installed().inspect(source)
    return str(caught.value)


@pytest.fixture
def folder(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A decoder without weights."""
    shutil.copytree(checkpoint_folder("llama"), tmp_path / "old model")
    (tmp_path / "old model" / "model.safetensors").unlink()
    return tmp_path / "old model"


@pytest.fixture
def expected(checkpoint_folder: Callable[[str], Path]) -> dict[str, torch.Tensor]:
    """The weights that it had."""
    return read_tensors(checkpoint_folder("llama") / "model.safetensors")


def test_what_any_program_saved(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    """A table of tensors inside another, in two files."""
    names = sorted(expected)
    torch.save({"epoch": 3, "state_dict": {name: expected[name] for name in names[:4]}}, folder / "one.pth")
    torch.save({name: expected[name] for name in names[4:]}, folder / "two.pt")
    torch.save([1, 2], folder / "optimizer.pt")
    run(refused(str(folder)), folder.parent)
    assert set(read_tensors(folder / "model.safetensors")) == set(expected)
    assert Transformers().open(str(folder), Installed()).parts


def test_a_head_under_its_old_name_is_converted_with_the_rest(tmp_path: Path) -> None:
    """As t5-11b is published: pickled alone, and named as its class was called in 2019."""
    home = tmp_path / "t5"
    shape = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 1, "num_heads": 4, "vocab_size": 90}
    model = hf.T5ForConditionalGeneration(hf.T5Config(**shape, architectures=["T5WithLMHeadModel"]))
    model.config.save_pretrained(home)
    torch.save(model.state_dict(), home / "pytorch_model.bin")
    run(refused(str(home)), tmp_path)
    assert Transformers().open(str(home), Installed()).blueprint.head == "T5ForConditionalGeneration"
    assert json.loads((home / "config.json").read_text())["architectures"] == ["T5ForConditionalGeneration"]


@pytest.mark.parametrize(("processors", "described"), [(1, True), (2, False)], ids=["config.json", "params.json"])
def test_what_meta_publishes(
    processors: int, described: bool, folder: Path, expected: dict[str, torch.Tensor], loaded: Any,
    checkpoint_folder: Callable[[str], Path],
) -> None:  # fmt: skip
    config = json.loads((folder / "config.json").read_text())
    for number, weights in enumerate(consolidated(expected, config, processors)):
        torch.save(weights, folder / f"consolidated.{number:02}.pth")
    params = {"dim": config["hidden_size"], "n_layers": config["num_hidden_layers"], "norm_eps": config["rms_norm_eps"],
              "n_heads": config["num_attention_heads"], "n_kv_heads": config["num_key_value_heads"],
              "vocab_size": -1, "multiple_of": 16}  # fmt: skip
    (folder / "params.json").write_text(json.dumps(params))
    if not described:
        (folder / "config.json").unlink()
    run(refused(str(folder)), folder.parent)
    module = loaded(Transformers().open(str(folder), Installed()))
    theirs = hf.LlamaForCausalLM.from_pretrained(checkpoint_folder("llama")).eval()
    ids = torch.arange(20)[None] * 7 % 300
    with torch.no_grad():
        torch.testing.assert_close(module(input_ids=ids).logits, theirs(input_ids=ids).logits, rtol=0, atol=0)


def consolidated(weights: dict[str, torch.Tensor], config: dict[str, Any], count: int) -> list[dict[str, torch.Tensor]]:
    """As Meta lays a Llama out: other names, rows of queries and keys in rotary pairs, shared among processors."""
    parts: list[dict[str, torch.Tensor]] = [{"rope.freqs": torch.zeros(4)} for _ in range(count)]
    for name, tensor in weights.items():
        stem = name.removesuffix(".weight")
        for ours, theirs in META.items():
            stem = stem.replace(ours, theirs)
        stem = stem.replace("model.layers.", "layers.")
        if stem.endswith(("wq", "wk")):
            heads = config["num_attention_heads" if stem.endswith("wq") else "num_key_value_heads"]
            halves = tensor.view(heads, 2, tensor.shape[0] // heads // 2, tensor.shape[1])
            tensor = halves.transpose(1, 2).reshape(tensor.shape)
        split = [tensor] * count if tensor.ndim == 1 else tensor.chunk(count, int(stem.endswith(ACROSS)))
        for part, each in zip(parts, split, strict=True):
            part[f"{stem}.weight"] = each.clone()
    return parts


def test_a_repository_of_pickles(
    folder: Path, expected: dict[str, torch.Tensor], server: LocalHub, tmp_path: Path
) -> None:
    torch.save(expected, folder / "pytorch_model.bin")
    server.add("acme/pickled", folder)
    message = refused("acme/pickled")
    assert not server.served["acme/pickled/pytorch_model.bin"]
    typed(message, tmp_path, HF_ENDPOINT=os.environ["HF_ENDPOINT"], HF_HOME=str(tmp_path / "cache"))
    assert Transformers().inspect(str(tmp_path / "pickled")).missing == ()


def test_pickles_and_nothing_that_describes_them(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    torch.save({"a": torch.zeros(2)}, tmp_path / "alone" / "pytorch_model.bin")
    message = refused(str(tmp_path / "alone"))
    assert "has no config.json" in message
    run(message, tmp_path)
    assert list(read_tensors(tmp_path / "alone" / "model.safetensors")) == ["a"]


def test_what_training_leaves_is_no_weights(folder: Path) -> None:
    torch.save([1], folder / "optimizer.pt")
    torch.save([1], folder / "rng_state.pth")
    assert "weights (*.safetensors)" in Transformers().inspect(str(folder)).missing
