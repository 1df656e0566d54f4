"""Files that are no folder: what they are is said, with the command of diffusers that makes a folder of them."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import diffusers as df
import pytest
import torch
from nexus_arch_diffusers.architecture import Diffusers
from nexus_specs import NexusError
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file

FILES = {
    "v1": ["model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.encoder.conv_in.weight",
           "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight"],
    "flux-schnell": ["double_blocks.0.img_attn.norm.key_norm.scale"],
    "controlnet": ["control_model.time_embed.0.weight"],
}  # fmt: skip


def code(error: str) -> str:
    """The Python that a message tells to run, which is Python."""
    words = shlex.split(error.splitlines()[-1])
    assert words[:2] == ["python", "-c"]
    compile(words[2], "said", "exec")
    return words[2]


@pytest.mark.parametrize("kind", list(FILES))
def test_a_pipeline_in_one_file_is_told_by_its_keys(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "a model.safetensors"
    save_file({key: torch.zeros(4, 4, 3, 3) for key in FILES[kind]}, file)
    assert Diffusers().match(str(file)) == 1
    with pytest.raises(NexusError, match=f"diffusers calls '{kind}'") as told:
        Diffusers().inspect(str(file))
    assert f'from_single_file("{file}"' in code(str(told.value))


@torch.no_grad()
def test_a_lora_and_its_base_become_one(saved: Callable[[str], Path], tmp_path: Path) -> None:
    pipe = df.StableDiffusionPipeline.from_pretrained(saved("sd15"))
    pipe.unet.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_v"], init_lora_weights="gaussian"))
    for name, each in pipe.unet.named_parameters():
        if "lora_B" in name:
            each.normal_()
    shown, words = torch.randn(1, 4, 8, 8), torch.randn(1, 5, 32)
    expected = pipe.unet(shown, 10, words)[0]
    layers = get_peft_model_state_dict(pipe.unet)
    df.StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=layers)
    with pytest.raises(NexusError, match="is a LoRA of a Diffusers pipeline") as told:
        Diffusers().inspect(str(tmp_path))
    exec(code(str(told.value)).replace("BASE", str(saved("sd15"))), {})
    made = tmp_path / "pytorch_lora_weights"
    assert Diffusers().inspect(str(made)).missing == ()
    found = df.UNet2DConditionModel.from_pretrained(made / "unet")(shown, 10, words)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_other_weights_are_not_claimed(tmp_path: Path) -> None:
    """Those of a language model's adapter, and those of a model of diffusers that lack their configuration."""
    keys = ("base_model.model.layers.0.q_proj.lora_A.weight", "down_blocks.1.attentions.0.norm.weight")
    for at, key in enumerate(keys):
        save_file({key: torch.zeros(1)}, tmp_path / f"{at}.safetensors")
        assert Diffusers().match(str(tmp_path / f"{at}.safetensors")) == 0
    (tmp_path / "0.safetensors").write_bytes(b"cut")
    assert Diffusers().match(str(tmp_path)) == 0
