"""BitNet, whose states are rounded as they pass: whole or packed weights, with the answers of transformers' own
modules."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError
from safetensors.torch import load_file, save_file
from transformers.integrations.bitnet import pack_weights

TINY = {
    "vocab_size": 128, "max_position_embeddings": 64, "hidden_size": 64, "num_hidden_layers": 2, "bos_token_id": 0,
    "eos_token_id": 1, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 96,
}  # fmt: skip
MODELS: dict[str, Callable[[], Any]] = {
    "bitnet": lambda: hf.BitNetForCausalLM(hf.BitNetConfig(**TINY, tie_word_embeddings=True)),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**TINY, attention_bias=True)),
}
ONLINE = {"linear_class": "autobitlinear", "quantization_mode": "online"}
OFFLINE = {"linear_class": "autobitlinear", "quantization_mode": "offline"}
WAYS: dict[str, dict[str, Any]] = {
    "online": ONLINE, "offline": OFFLINE, "bitlinear": {},
    "some": OFFLINE | {"modules_to_not_convert": ["lm_head", "down_proj"]},
}  # fmt: skip


def stored(name: str, way: str, home: Path) -> str:
    """A folder as its quantiser writes it."""
    torch.manual_seed(0)
    model, said = MODELS[name](), {"quant_method": "bitnet", **WAYS[way]}
    for each in model.parameters():
        each.data.add_(torch.randn_like(each) * 0.02)
    model.save_pretrained(home)
    tensors = load_file(home / "model.safetensors")
    for key in [each for each in tensors if each.endswith("_proj.weight") and way != "online"]:
        if any(each in key for each in said.get("modules_to_not_convert", ())):
            continue
        scale = tensors[key].abs().mean()
        whole = (tensors[key] / scale).round().clamp(-1, 1)
        tensors[key] = pack_weights(whole)
        tensors[key.replace("weight", "weight_scale")] = (scale if "linear_class" in said else 1 / scale).reshape(1)
    save_file(tensors, home / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((home / "config.json").read_text())
    (home / "config.json").write_text(json.dumps(config | {"quantization_config": said}))
    return str(home)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_it_answers_as_transformers_does(
    name: str, way: str, loaded: Callable[[Any], Any], observed: Callable[..., Any], tmp_path: Path
) -> None:
    home = stored(name, way, tmp_path / "packed")
    ids = torch.tensor([[5, 2, 3, 4, 7]])
    with torch.compiler.set_stance("force_eager"):          # else it asks for a compiler
        expected = hf.AutoModelForCausalLM.from_pretrained(home, dtype=torch.float32).eval()
        wanted = expected(input_ids=ids).logits
    checkpoint = Transformers().open(home, Installed())
    assert checkpoint.blueprint.quantisation == "bitnet"
    assert checkpoint.blueprint.parameters == sum(each.numel() for each in MODELS[name]().parameters())
    torch.testing.assert_close(loaded(checkpoint)(input_ids=ids).logits, wanted, rtol=0, atol=0)
    for residency in ("resident", "stream"):
        torch.testing.assert_close(observed(home, ids, residency), wanted[0], rtol=1e-5, atol=2e-4)


def test_norms_before_are_refused(tmp_path: Path) -> None:
    home = Path(stored("llama", "offline", tmp_path / "packed"))
    config = json.loads((home / "config.json").read_text())
    config["quantization_config"]["use_rms_norm"] = True
    (home / "config.json").write_text(json.dumps(config))
    with pytest.raises(NexusError, match=r"packed by 'bitnet' in .*use_rms_norm"):
        Transformers().open(str(home), Installed())


def test_an_adapter_on_rounded_states_is_refused(tmp_path: Path) -> None:
    """It adds to what it makes of states that are not rounded: merged, it would be wrong in silence."""
    if "peft" not in Installed().components("architecture"):
        pytest.skip("the loader of adapters is not installed")
    path, home = "base_model.model.model.layers.0.self_attn.q_proj.", tmp_path / "adapter"
    home.mkdir()
    said = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["q_proj"]}
    base = stored("llama", "offline", tmp_path / "packed")
    (home / "adapter_config.json").write_text(json.dumps(said | {"base_model_name_or_path": base}))
    sizes = {"lora_A": (2, 64), "lora_B": (64, 2)}
    tensors = {f"{path}{name}.weight": torch.ones(shape) for name, shape in sizes.items()}
    save_file(tensors, home / "adapter_model.safetensors")
    with pytest.raises(NexusError, match="its base rounds states"):
        Installed().open(str(home))


@pytest.mark.parametrize("way", ["online", "offline"])
def test_what_weights_take_is_expected_without_them(way: str, tmp_path: Path) -> None:
    home = stored("llama", way, tmp_path / "packed")
    there = Transformers().inspect(home).bytes
    (tmp_path / "packed" / "model.safetensors").unlink()
    assert Transformers().inspect(home).bytes == pytest.approx(there, rel=0.02)
