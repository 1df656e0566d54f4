"""What a perfect denoiser would predict, where a pipeline or its scheduler makes something else of a prediction."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as df
import pytest
import torch
import transformers as hf
from diffusers_files.pipelines import VAE, stir, t5_tokenizer
from nexus_arch_diffusers.schedule import Schedule, noised
from nexus_specs.testing import sample


def lumina() -> df.DiffusionPipeline:
    """Alpha-VLLM/Lumina-Image-2.0."""
    transformer = df.Lumina2Transformer2DModel(
        sample_size=4, patch_size=2, in_channels=4, hidden_size=8, num_layers=2, num_attention_heads=1, num_kv_heads=1,
        multiple_of=16, ffn_dim_multiplier=None, norm_eps=1e-5, scaling_factor=1.0, axes_dim_rope=[4, 2, 2],
        cap_feat_dim=8,
    )  # fmt: skip
    words = hf.Gemma2Model(hf.Gemma2Config(
        vocab_size=32, head_dim=4, hidden_size=8, intermediate_size=8, num_attention_heads=2, num_hidden_layers=2,
        num_key_value_heads=2, sliding_window=2,
    ))  # fmt: skip
    vae = df.AutoencoderKL(latent_channels=4, shift_factor=0.06, scaling_factor=1.5, **VAE)
    return df.Lumina2Pipeline(transformer=transformer, text_encoder=words.eval(), tokenizer=t5_tokenizer(), vae=vae,
                              scheduler=df.FlowMatchEulerDiscreteScheduler(shift=6.0))  # fmt: skip


def test_a_pipeline_that_turns_the_sign_of_a_prediction(tmp_path: Path, observed: Callable[..., Any]) -> None:
    """Lumina 2 predicts x_0 - noise: its pipeline hands the opposite to the scheduler."""
    torch.manual_seed(0)
    pipeline = lumina()
    for each in pipeline.components.values():
        if isinstance(each, torch.nn.Module):
            stir(each)
    pipeline.save_pretrained(tmp_path)
    source = f"{tmp_path}#max_sequence_length=16&height=64&width=64&timesteps=900,300"
    clean = torch.randn(4, 8, 8)
    one = sample(text="a red cat", latents=clean.numpy())
    found = observed(source, [one], ["noisy", "target"])
    for at, sigma in enumerate((0.9, 0.3)):
        noise = (found[one.key, "noisy"][at] - (1 - sigma) * clean) / sigma
        torch.testing.assert_close(found[one.key, "target"][at], clean - noise, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"])
@pytest.mark.parametrize("predicts", ["epsilon", "v_prediction"])
def test_a_scheduler_that_scales_what_is_predicted(kind: str, predicts: str) -> None:
    """The scheduler's own step makes the clean latents of the target (Playground 2.5, Cosmos)."""
    scheduler = getattr(df, kind)(sigma_data=0.5, prediction_type=predicts)
    schedule = Schedule(scheduler)
    timestep = float(schedule.timesteps[400])
    clean, noise = torch.randn(2, 1, 4, 3, 3).unbind()
    held = schedule.at(timestep)
    shown = noised(held, clean, noise)
    target = schedule.target(clean, noise, timestep)
    held = schedule.at(timestep)
    held.scale_model_input(shown, held.timesteps[0])
    made = held.precondition_outputs(shown, target, held.sigmas[0])
    torch.testing.assert_close(made, clean, rtol=0, atol=1e-4)
    torch.testing.assert_close(schedule.guess(target, shown, timestep), clean, rtol=0, atol=1e-4)
