"""Packed checkpoints through the engine: resident and streamed, with a head that is the embedding, and with experts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from packed_files.writing import METHODS, pack
from safetensors.torch import load_file, save_file

IDS = torch.tensor([[5, 2, 3, 4, 7, 11]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("builder", ["tied", "experts"])
@torch.no_grad()
def test_streamed_is_resident_is_what_was_packed(
    builder: str, method: str, checkpoint_folder: Callable[[str], Path], observed: Callable[..., Any], tmp_path: Path
) -> None:
    source, target = checkpoint_folder(builder), tmp_path / method
    meant = pack(source, target, method)
    (tmp_path / "meant").mkdir()
    save_file(meant, tmp_path / "meant" / "model.safetensors")
    (tmp_path / "meant" / "config.json").write_bytes((source / "config.json").read_bytes())
    expected = hf.AutoModelForCausalLM.from_pretrained(tmp_path / "meant", dtype=torch.float32).eval()(IDS).logits[0]
    resident, streamed = (observed(str(target), IDS, residency) for residency in ("resident", "stream"))
    assert torch.equal(resident, streamed)
    torch.testing.assert_close(resident, expected, rtol=1e-5, atol=2e-4)


def llama4(folder: Path) -> Any:
    """A tiny Llama 4 as fbgemm packs one: rows of linear layers, outputs of the experts that multiply from the left.
    Returns the model with the values that are stored."""
    torch.manual_seed(0)
    config = hf.Llama4TextConfig(
        vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=32, intermediate_size_mlp=48, num_local_experts=4, interleave_moe_layer_step=1,
        max_position_embeddings=64, attention_chunk_size=32, pad_token_id=0,
    )  # fmt: skip
    model = hf.Llama4ForCausalLM(config).eval()
    with torch.no_grad():
        for each in model.parameters():
            each.normal_(std=0.05)                          # experts are left as memory had them
    model.save_pretrained(folder)
    stored = load_file(folder / "model.safetensors")
    for key, weight in list(stored.items()):
        if weight.ndim == 3:                                # [E, I, O], a scale for each output
            scale = weight.abs().amax(1, keepdim=True) / 448
            turned = scale.mT.contiguous() if "down_proj" in key else scale
            stored[f"{key}_scale"] = turned
        elif key.endswith("proj.weight"):
            scale = weight.abs().amax(1, keepdim=True) / 448
            stored[f"{key}_scale"] = scale
        else:
            continue
        stored[key] = (weight / scale).to(torch.float8_e4m3fn)
        model.get_parameter(key).data = stored[key].float() * scale
    save_file({key: each.contiguous() for key, each in stored.items()}, folder / "model.safetensors")
    settings = {"quant_method": "fbgemm_fp8", "activation_scale_ub": 1200.0, "modules_to_not_convert": ["lm_head"]}
    written = json.loads((folder / "config.json").read_text()) | {"quantization_config": settings}
    (folder / "config.json").write_text(json.dumps(written))
    return model


@torch.no_grad()
def test_experts_of_fbgemm(observed: Callable[..., Any], tmp_path: Path) -> None:
    model = llama4(tmp_path)
    for residency in ("resident", "stream"):
        found = observed(str(tmp_path), IDS, residency)
        torch.testing.assert_close(found, model(IDS).logits[0], rtol=1e-5, atol=2e-4)
