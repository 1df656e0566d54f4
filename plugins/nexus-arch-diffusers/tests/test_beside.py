"""What lies beside a film: its sound, and the adapter that makes a film of pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as df
import pytest
import torch
import transformers as hf
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors
from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder
from diffusers_files.pipelines import clip_tokenizer, save_made, sd15
from diffusers_files.rarer import UNSAFE
from nexus_specs import Installed
from nexus_specs.testing import sample

Observed = Callable[..., dict[tuple[str, str], torch.Tensor]]


def ltx2() -> df.DiffusionPipeline:
    """Lightricks/LTX-2."""
    transformer = df.LTX2VideoTransformer3DModel(
        in_channels=4, out_channels=4, num_attention_heads=2, attention_head_dim=8, cross_attention_dim=16,
        audio_in_channels=4, audio_out_channels=4, audio_num_attention_heads=2, audio_attention_head_dim=4,
        audio_cross_attention_dim=8, num_layers=2, caption_channels=32, rope_double_precision=False,
    )  # fmt: skip
    heads = {f"{each}_connector_{name}": value for each in ("video", "audio") for name, value in (
        ("num_attention_heads", 4), ("attention_head_dim", 8), ("num_layers", 1), ("num_learnable_registers", None))}
    connectors = LTX2TextConnectors(
        caption_channels=32, text_proj_in_factor=3, connector_rope_base_seq_len=32, rope_double_precision=False,
        causal_temporal_positioning=False, **heads,
    )  # fmt: skip
    vae = df.AutoencoderKLLTX2Video(
        latent_channels=4, block_out_channels=(8,), decoder_block_out_channels=(8,), layers_per_block=(1,),
        decoder_layers_per_block=(1, 1), spatio_temporal_scaling=(True,), decoder_spatio_temporal_scaling=(True,),
        decoder_inject_noise=(False, False), downsample_type=("spatial",), upsample_residual=(False,), patch_size=1,
        upsample_factor=(1,), down_block_types=("LTX2VideoDownBlock3D",),
    )  # fmt: skip
    sound = df.AutoencoderKLLTX2Audio(base_channels=4, ch_mult=(1,), num_res_blocks=1, resolution=32, latent_channels=2,
                                      mid_block_add_attention=False, mel_bins=8)  # fmt: skip
    vocoder = LTX2Vocoder(in_channels=16, hidden_channels=32, upsample_kernel_sizes=[4], upsample_factors=[2],
                          resnet_kernel_sizes=[3], resnet_dilations=[[1, 3, 5]])  # fmt: skip
    words = hf.Gemma3ForConditionalGeneration(hf.Gemma3Config(
        text_config={"vocab_size": 600, "head_dim": 8, "hidden_size": 32, "intermediate_size": 16,
                     "num_attention_heads": 2, "num_hidden_layers": 2, "num_key_value_heads": 2},
        vision_config={"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 28, "patch_size": 14}, image_token_index=599, mm_tokens_per_image=1,
    ))  # fmt: skip
    return df.LTX2Pipeline(
        transformer=transformer, connectors=connectors, vae=vae, audio_vae=sound, vocoder=vocoder,
        tokenizer=clip_tokenizer(), text_encoder=words.eval(), scheduler=df.FlowMatchEulerDiscreteScheduler(),
    )  # fmt: skip


def test_the_sound_beside_a_film_is_as_noisy_as_the_film(
    tmp_path: Path, observed: Observed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was pure noise at every timestep."""
    kind, asked = df.LTX2VideoTransformer3DModel, []
    native = kind.forward

    @functools.wraps(native)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(kwargs)
        return native(self, *args, **kwargs)

    monkeypatch.setattr(kind, "forward", forward)
    save_made(ltx2, tmp_path)
    source = f"{tmp_path}#timesteps=1000,500&height=32&width=32&num_frames=5&max_sequence_length=16"
    observed(source, [sample(text="a red cat")], ["prediction"])
    for name in ("hidden_states", "audio_hidden_states"):
        most, half = asked[0][name]
        torch.testing.assert_close(half, 0.5 * most, rtol=0, atol=1e-5)
    made = observed(f"{source}&decode=on", [one := sample(text="a red cat")], ["video"])[one.key, "video"]
    assert made.shape == (5, 3, 32, 32), "the film goes on with its sound beside it"


def animated() -> df.DiffusionPipeline:
    """guoyww/animatediff-motion-adapter-v1-5-2 on Stable Diffusion 1.5, as diffusers saves the two."""
    parts = {name: each for name, each in sd15().components.items() if name not in UNSAFE and name != "image_encoder"}
    motion = df.MotionAdapter(block_out_channels=(32, 64), motion_layers_per_block=1, motion_norm_num_groups=2)
    return df.AnimateDiffPipeline(motion_adapter=motion, **parts)


def test_an_adapter_that_its_unet_holds_is_no_model_beside_it(tmp_path: Path, observed: Observed) -> None:
    """Its weights counted twice, and its layers, which never run, stood among those to look at."""
    save_made(animated, tmp_path)
    found = Installed().inspect(str(tmp_path))
    assert not [stack.path for stack in found.stacks if stack.path.startswith("motion_adapter")]
    layers = [layer for stack in found.stacks if stack.path.startswith("unet") for layer in stack.layers]
    one = sample(text="a red cat")
    source = f"{tmp_path}#timesteps=500&height=16&width=16&num_frames=2"
    assert set(observed(source, [one], layers)) == {(one.key, layer) for layer in layers}
