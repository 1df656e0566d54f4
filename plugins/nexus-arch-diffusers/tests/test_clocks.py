"""A denoiser that is opened alone is told what its pipeline tells it, and no option is left unheard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffusers as df
import pytest
import torch
from diffusers_files.pipelines import save_made
from diffusers_files.rarer import RARER
from nexus_arch_diffusers.architecture import Diffusers
from nexus_arch_diffusers.clocks import Clock
from nexus_arch_diffusers.schedule import Schedule, noised
from nexus_specs import Installed, NexusError
from nexus_specs.testing import sample

WRITERS = {name: partial(save_made, make) for name, make in RARER.items()}


@pytest.mark.parametrize(
    ("name", "component", "timestep", "told"),
    [
        ("flux", "transformer", 300.0, 0.3),
        ("sd3", "transformer", 300.0, 300.0),
        ("sd15", "unet", 301, 301),
        ("zimage", "transformer", 300.0, 0.7),
        ("sana_sprint", "transformer", 1.0, 0.6089),        # sin / (sin + cos)
        ("cascade", "prior", 0.25, 0.25),
        ("mochi", "transformer", 300.0, 300.0),
    ],
)
def test_the_timestep_is_told_as_the_pipeline_tells_it(
    name: str, component: str, timestep: float, told: float, saved: Callable[[str], Path], once: Callable[..., Path]
) -> None:
    home = once(name, WRITERS) if name in WRITERS else saved(name)
    checkpoint: Any = Diffusers().open(f"{home}#{component}&timesteps={timestep}", Installed())
    assert checkpoint.collator.spread == (timestep,)
    assert checkpoint.collator.clock(timestep) == pytest.approx(told, abs=1e-4)


def test_flux_alone_answers_as_in_its_pipeline(saved: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    states, pooled, ids = torch.randn(5, 64), torch.randn(32), torch.zeros(5, 3)
    fields = {"hidden_states": torch.randn(4, 16), "encoder_hidden_states": states, "pooled_projections": pooled,
              "txt_ids": ids, "img_ids": torch.zeros(4, 3), "guidance": torch.tensor(3.5)}  # fmt: skip
    one = sample(**{name: each.numpy() for name, each in fields.items()})
    found = observed(f"{saved('flux')}#transformer&timesteps=250", [one], ["prediction"])[one.key, "prediction"]
    model = df.FluxTransformer2DModel.from_pretrained(saved("flux") / "transformer")
    given = {name: each if "ids" in name else each[None] for name, each in fields.items()}
    with torch.no_grad():
        expected = model(**given, timestep=torch.tensor([0.25]))[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_denoiser_whose_sign_its_pipeline_turns(once: Callable[..., Path]) -> None:
    """Z-Image predicts x_0 - noise: so does the target of its transformer alone."""
    checkpoint: Any = Diffusers().open(f"{once('zimage', WRITERS)}#transformer", Installed())
    clean = torch.randn(16, 1, 4, 4)
    shown = checkpoint.collator._shown(sample(latents=clean.numpy()), [400.0])
    noise = (shown["shown"][0] - 0.6 * clean) / 0.4
    torch.testing.assert_close(shown["target"][0], clean - noise, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "told"),
    [("LongCatAudioDiTPipeline", 0.3), ("Ideogram4Pipeline", 0.7), ("Cosmos2TextToImagePipeline", 0.3 / 1.3)],
)
def test_shapes_and_precisions_that_the_loop_does_not_name_hide_no_number(kind: str, told: float) -> None:
    schedule = Schedule(df.FlowMatchEulerDiscreteScheduler())
    assert Clock(getattr(df, kind), "transformer", "timestep", schedule, {}, {})(300.0) == pytest.approx(told, abs=1e-4)


def test_a_coefficient_is_no_prediction_whose_sign_is_turned() -> None:
    """Cosmos 2 works with `c_out = -current_t`, and its denoiser predicts noise - x_0."""
    schedule = Schedule(df.FlowMatchEulerDiscreteScheduler())
    made = [Clock(kind, "transformer", "timestep", schedule, {}, {}) for kind in (
        df.Cosmos2TextToImagePipeline, df.Lumina2Pipeline)]  # fmt: skip
    assert [each.sense for each in made] == [1, -1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("#unet&height=7", r"has no use for 'height'. After '#' it takes: timesteps, count"),
        ("#text_encoder&timesteps=100", r"has no use for 'timesteps'. After '#' it takes: nothing"),
        ("#vae&count=2", r"has no use for 'count'"),
        ("#max_sequence_length=8", r"StableDiffusionPipeline, has no use for 'max_sequence_length'.*clip_skip"),
        ("#num_frames=8", r"has no use for 'num_frames'"),
    ],
)
def test_an_option_of_which_nothing_would_come_is_refused(
    options: str, says: str, saved: Callable[[str], Path]
) -> None:
    with pytest.raises(NexusError, match=says):
        Diffusers().inspect(f"{saved('sd15')}{options}")


def test_noise_that_is_added_to_a_whole_picture() -> None:
    """Cosmos 2: levels up to 80; what its pipeline shows at x_0 + s n is x_t (1 - s / (1 + s)), and predicted is
    n - x_0: its own lines make x_0 of that."""
    config = {"use_karras_sigmas": True, "sigma_max": 80.0, "sigma_min": 0.002}
    schedule = Schedule(df.FlowMatchEulerDiscreteScheduler.from_config(config))
    clean, noise = torch.randn(2, 1, 4, 3, 3).unbind()
    for timestep in (20_000.0, 400.0):
        sigma = timestep / 1000
        time = Clock(df.Cosmos2VideoToWorldPipeline, "transformer", "timestep", schedule, {}, {})(timestep)
        assert time == pytest.approx(sigma / (1 + sigma), rel=1e-5)
        shown = noised(schedule.at(timestep), clean, noise)
        target = schedule.target(clean, noise, timestep)
        torch.testing.assert_close((1 - time) * shown - time * target, clean, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "told"), [("Cosmos2VideoToWorldPipeline", 0.3 / 1.3), ("Cosmos2_5_PredictBasePipeline", 0.3)]
)
def test_frames_that_are_not_given_have_the_time_of_the_others(kind: str, told: float) -> None:
    """What marks the frames of a condition is known in the call alone."""
    schedule = Schedule(df.FlowMatchEulerDiscreteScheduler())
    assert Clock(getattr(df, kind), "transformer", "timestep", schedule, {}, {})(300.0) == pytest.approx(told, abs=1e-4)
