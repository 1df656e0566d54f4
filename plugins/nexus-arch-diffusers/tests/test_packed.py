"""Models packed by bitsandbytes, in the layout in which diffusers saves them: opened, equal to what the codes say.

diffusers itself packs on a GPU alone, so the codes and their companions are made here by bitsandbytes' own functions,
under the names of its state dicts.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bitsandbytes.functional as bnb
import diffusers as df
import numpy as np
import pytest
import torch
from nexus_arch_diffusers.architecture import Diffusers
from nexus_specs import Installed, NexusError, Sample
from safetensors.torch import save_file
from torch import Tensor, nn

SAID = {"nf4": {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        "int8": {"quant_method": "bitsandbytes", "load_in_8bit": True}}  # fmt: skip


def nf4(name: str, weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """What is stored for a weight, and the weight as that says: two codes a byte, the first above, in blocks that
    share a scale (bitsandbytes' own function reads short rows wrongly on a processor)."""
    codes, state = bnb.quantize_4bit(weight, quant_type="nf4")
    stored = {f"{name}.{key}": value for key, value in state.as_dict(packed=True).items()}
    pairs = torch.stack([codes.flatten() >> 4, codes.flatten() & 15], 1).flatten().long()
    blocks = state.code[pairs].split(state.blocksize)
    value = torch.cat([block * scale for block, scale in zip(blocks, state.absmax, strict=True)])
    return {name: codes, **stored}, value.reshape(weight.shape)


def int8(name: str, weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The same in eight bits, row by row."""
    scale = weight.abs().amax(1)
    codes = (weight / scale[:, None] * 127).round().to(torch.int8)
    stored = {name: codes, name.replace("weight", "SCB"): scale,
              name.replace("weight", "weight_format"): torch.tensor(0, dtype=torch.uint8)}  # fmt: skip
    return stored, codes.float() * scale[:, None] / 127


def packed(folder: Path, plain: Path, way: str) -> nn.Module:
    """Writes the folder; the model with every weight as its codes say."""
    wanted = df.SD3Transformer2DModel.from_pretrained(plain).eval()
    stored = dict(wanted.state_dict())
    with torch.no_grad():
        for path, layer in wanted.transformer_blocks.named_modules(prefix="transformer_blocks"):
            if isinstance(layer, nn.Linear):
                found, value = (nf4 if way == "nf4" else int8)(f"{path}.weight", layer.weight.data)
                stored |= found
                layer.weight.copy_(value)
    folder.mkdir()
    save_file({name: value.clone().contiguous() for name, value in stored.items()},
              folder / "diffusion_pytorch_model.safetensors")  # fmt: skip
    config = json.loads((plain / "config.json").read_text()) | {"quantization_config": SAID[way]}
    (folder / "config.json").write_text(json.dumps(config))
    return wanted


@pytest.mark.parametrize("way", list(SAID))
def test_packed_by_bitsandbytes(
    way: str, saved: Callable[[str], Path], tmp_path: Path, observed: Callable[..., Any]
) -> None:
    wanted = packed(tmp_path / way, saved("sd3") / "transformer", way)
    checkpoint = Diffusers().open(str(tmp_path / way), Installed())
    assert checkpoint.blueprint.quantisation == "bitsandbytes"
    assert checkpoint.blueprint.parameters == sum(each.numel() for each in wanted.parameters())
    draw = np.random.default_rng(0)
    shapes = {"hidden_states": (4, 8, 8), "encoder_hidden_states": (6, 64), "pooled_projections": (64,)}
    fields = {name: draw.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    given = {name: torch.from_numpy(value)[None] for name, value in fields.items()}
    with torch.no_grad():
        expected = wanted(**given, timestep=torch.tensor([500.0])).sample
    samples = [Sample(key="0", fields={**fields, "timestep": 500.0})]
    for residency in ("resident", "stream"):
        found = observed(str(tmp_path / way), samples, ["prediction"], residency)["0", "prediction"]
        torch.testing.assert_close(found[0], expected[0], atol=1e-5, rtol=1e-5)


def test_weights_that_no_quantiser_packed(edited: Callable[..., Path], observed: Callable[..., Any]) -> None:
    """A configuration may speak of one that is gone: what is stored says what it is."""
    said = {"quantization_config": SAID["nf4"]}
    place = edited("sd3", "transformer/config.json", lambda config: config | said)
    assert Diffusers().inspect(str(place)).quantisation == ""
    assert Diffusers().inspect(f"{place}#transformer").quantisation == ""
    sample = Sample(key="0", fields={"text": "a red cat"})
    source = f"{place}#timesteps=500&height=16&width=16&max_sequence_length=24"
    assert observed(source, [sample], ["prediction"])["0", "prediction"].isfinite().all()


def test_a_quantiser_that_is_not_read_is_named_with_its_component(edited: Callable[..., Path]) -> None:
    said = {"quantization_config": {"quant_method": "torchao"}}
    place = edited("sd3", "transformer/config.json", lambda config: config | said)
    with pytest.raises(NexusError, match=f"'{place}#transformer' is packed by 'torchao'"):
        Diffusers().open(f"{place}#timesteps=500", Installed())
