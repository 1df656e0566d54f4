"""Pipelines whose calls go ways of their own: what reaches their denoisers is what diffusers gives them."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import diffusers as df
import pytest
import torch
from diffusers_files.pipelines import save_made
from diffusers_files.rarer import RARER, guides
from nexus_arch_diffusers.architecture import Diffusers
from nexus_arch_diffusers.arranging import arranged
from nexus_arch_diffusers.rows import rows as by_row
from nexus_arch_diffusers.vae import normalised
from nexus_specs import Budget, Installed, NexusError, Sample
from nexus_specs.testing import sample

WRITERS = {name: partial(save_made, make) for name, make in RARER.items()}
RARER_TOO = {"guides": partial(save_made, guides)}
SMALL = {"height": 32, "width": 32}
CALLS: dict[str, dict[str, Any]] = {
    "lcm": SMALL, "zimage": {**SMALL, "max_sequence_length": 64}, "sana_sprint": {**SMALL, "max_sequence_length": 24},
    "mochi": {**SMALL, "num_frames": 7, "max_sequence_length": 16}, "cascade": SMALL, "pixels": {},
}  # fmt: skip
TEXTS = ["a red cat", "two dogs in the snow"]


@pytest.fixture(scope="module")
def rarer(once: Callable[..., Path]) -> Callable[[str], Path]:
    return lambda name: once(name, WRITERS)


@contextlib.contextmanager
def recorded(kind: type[torch.nn.Module]) -> Iterator[list[dict[str, Any]]]:
    """Arguments of every forward of a class, in order."""
    native, found = kind.__dict__["forward"], []

    @functools.wraps(native)
    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(dict(inspect.signature(inspect.unwrap(native)).bind(self, *args, **kwargs).arguments))
        return native(self, *args, **kwargs)

    kind.forward = forward
    try:
        yield found
    finally:
        kind.forward = native


def options(call: Mapping[str, Any], timesteps: list[float]) -> str:
    return "#" + "&".join([*(f"{name}={value}" for name, value in call.items()),
                           "timesteps=" + ",".join(map(repr, timesteps))])  # fmt: skip


def told(given: Mapping[str, Any]) -> dict[str, list[torch.Tensor]]:
    """Rows of every argument but the main one, by name."""
    rest = list(given.items())[2:]                          # self, and what is shown
    return {name: list(torch.atleast_1d(value) if isinstance(value, torch.Tensor) else value)
            for name, value in rest if isinstance(value, (list, torch.Tensor))}  # fmt: skip


def alike(own: list[torch.Tensor], whole: list[torch.Tensor]) -> bool:
    """Whether rows are those of a call, or of the half of it that has the prompt."""
    whole = whole if len(whole) > 1 else whole * len(own)
    halves = [whole[at : at + len(own)] for at in range(0, len(whole), len(own))]
    return any(all(one.shape == other.shape and torch.allclose(one, other, atol=1e-5)
                   for one, other in zip(own, half, strict=True)) for half in halves)  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@torch.no_grad()
def test_a_denoiser_is_given_what_its_pipeline_gives_it(
    name: str, rarer: Callable[[str], Path], observed: Callable[..., Any]
) -> None:
    """At every timestep of the sampler's own run, where the call guides: in the half with the prompt."""
    pipe = df.DiffusionPipeline.from_pretrained(rarer(name))
    pipe.set_progress_bar_config(disable=True)
    denoiser = next(each for each in ("transformer", "unet", "prior") if getattr(pipe, each, None) is not None)
    kind = type(getattr(pipe, denoiser))
    with recorded(kind) as theirs:
        kept = "pt" if name in ("pixels", "cascade") else "latent"
        pipe(list(TEXTS), num_inference_steps=2, output_type=kept, **CALLS[name])
    timesteps = [float(each) for each in pipe.scheduler.timesteps][:2]
    samples = [sample(text=text) for text in TEXTS]
    with recorded(kind) as ours:
        observed(f"{rarer(name)}{options(CALLS[name], timesteps)}", samples, ["prediction"])
    assert len(ours) == 1
    for at in range(2):
        expected = told(theirs[at])
        for key, rows in told(ours[0]).items():
            assert len(rows) == 4
            assert alike(rows[at::2], expected[key]), (key, timesteps[at])


@torch.no_grad()
def test_a_guide_is_asked_at_every_timestep(
    rarer: Callable[[str], Path], pictures: list[Sample], observed: Callable[..., Any]
) -> None:
    """A ControlNet reads the noised latents and the timestep: its answer at one is none at another."""
    source = f"{rarer('controlnet')}#timesteps=900,300"
    with recorded(df.UNet2DConditionModel) as asked:
        found = observed(source, pictures[:2], ["prediction", "noisy"])
    streamed = observed(source, pictures[:2], ["prediction"], "stream")
    pipe = df.DiffusionPipeline.from_pretrained(rarer("controlnet"))
    states = asked[0]["encoder_hidden_states"]
    for row, (each, at) in enumerate((each, at) for each in (0, 1) for at in (0, 1)):
        key, timestep = pictures[each].key, torch.tensor((900, 300)[at])
        noisy, words = found[key, "noisy"][at][None], states[row][None]
        cond = torch.from_numpy(pictures[each].fields["image"]).permute(2, 0, 1)[None].float() / 255
        down, mid = pipe.controlnet(noisy, timestep, words, cond, return_dict=False)
        expected = pipe.unet(noisy, timestep, words, down_block_additional_residuals=down,
                             mid_block_additional_residual=mid)[0]  # fmt: skip
        torch.testing.assert_close(found[key, "prediction"][at], expected[0], rtol=0, atol=1e-5)
        torch.testing.assert_close(streamed[key, "prediction"], found[key, "prediction"], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_picture_that_a_pipeline_begins_with_is_noised_as_far_as_the_timestep(
    rarer: Callable[[str], Path], pictures: list[Sample], observed: Callable[..., Any]
) -> None:
    found = observed(f"{rarer('img2img')}#timesteps=900,1", pictures[:1], ["noisy"])[pictures[0].key, "noisy"]
    pipe = df.DiffusionPipeline.from_pretrained(rarer("img2img"))
    values = torch.from_numpy(pictures[0].fields["image"]).permute(2, 0, 1)[None].float() / 127.5 - 1
    posterior = pipe.vae.encode(values).latent_dist
    kept = pipe.scheduler.alphas_cumprod[torch.tensor([900, 1])].reshape(2, 1, 1, 1)
    clean = posterior.mean * pipe.vae.config.scaling_factor
    noise = (found - kept.sqrt() * clean) / (1 - kept).sqrt()
    assert 0.8 < float(noise[0].std()) < 1.2
    assert float((found[1] - clean[0]).abs().mean()) < 0.3


@pytest.mark.parametrize(("name", "shape", "kept"), [("mochi", (12, 2, 4, 4), (0.1, 0.7)),
                                                      ("zimage", (16, 16, 16), (0.9, 0.3))])  # fmt: skip
def test_denoisers_that_predict_the_opposite(
    name: str, shape: tuple[int, ...], kept: tuple[float, float], rarer: Callable[[str], Path],
    observed: Callable[..., Any],
) -> None:  # fmt: skip
    """x_0 - noise, of Mochi beside timesteps that count what is clean, of Z-Image beside one frame more."""
    source = f"{rarer(name)}{options(CALLS[name], [100.0, 700.0])}"
    clean = torch.randn(shape)
    one = sample(text="a red cat", latents=clean.numpy())
    found = observed(source, [one], ["noisy", "target"])
    for at, share in enumerate(kept):
        noise = (found[one.key, "noisy"][at] - share * clean) / (1 - share)
        torch.testing.assert_close(found[one.key, "target"][at], clean - noise, rtol=0, atol=1e-4)


def test_a_scheduler_that_gives_two_latents(rarer: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    """LCM: the next ones, and the clean ones, of which its pipeline makes the picture."""
    one = sample(text="a red cat")
    found = observed(f"{rarer('lcm')}{options(SMALL, [500.0])}&decode=on", [one], ["image"])
    assert found[one.key, "image"].shape == (3, 32, 32)


@torch.no_grad()
def test_a_sampler_runs_as_its_pipeline_does(
    rarer: Callable[[str], Path], pictures: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is off while it is observed is not while it answers: with the strength 1 the picture would be lost."""
    native, given = df.StableDiffusionImg2ImgPipeline.__call__, {}

    @functools.wraps(native)
    def call(self: Any, **asked: Any) -> Any:
        given.update(asked)
        return native(self, **asked)

    monkeypatch.setattr(df.StableDiffusionImg2ImgPipeline, "__call__", call)
    source = f"{rarer('img2img')}#steps=2&guidance_scale=3"
    with Installed().make("engine", "sli").load(Diffusers().open(source, Installed()), Budget()) as teacher:
        teacher.generate(pictures[:1])
    assert "strength" not in given
    assert given["guidance_scale"] == 3.0


def test_latents_by_means_that_lie_among_the_weights() -> None:
    """LTX has no means in its configuration."""
    vae = df.AutoencoderKLLTXVideo(
        latent_channels=4, block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1), spatio_temporal_scaling=(True, False), patch_size=1,
        decoder_spatio_temporal_scaling=(True, False), decoder_inject_noise=(False,) * 3, upsample_factor=(1, 1),
        upsample_residual=(False, False), down_block_types=("LTXVideoDownBlock3D",) * 2,
    )  # fmt: skip
    vae.latents_mean, vae.latents_std = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.0, 2.0, 4.0, 8.0])
    latents = torch.randn(2, 4, 1, 2, 2)
    expected = df.LTXPipeline._normalize_latents(latents, vae.latents_mean, vae.latents_std, vae.config.scaling_factor)
    torch.testing.assert_close(normalised(vae, latents), expected)


def test_the_one_frame_of_a_picture() -> None:
    """Qwen-Image: its VAE is one of films, its latents are those of pictures, packed."""
    pipe = object.__new__(df.QwenImagePipeline)
    clean, noise = torch.randn(2, 4, 1, 8, 8), torch.randn(2, 16, 16)
    expected = df.QwenImagePipeline._pack_latents(clean, 2, 4, 8, 8)
    torch.testing.assert_close(arranged(pipe, clean, noise), expected)


def test_a_row_that_is_nobodys_is_refused(
    rarer: Callable[[str], Path], prompts: list[Sample], observed: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Were guidance not off, two rows would come for each sample."""
    from nexus_arch_diffusers import guidance

    monkeypatch.setattr(guidance, "_off", lambda _: 7.0)
    with pytest.raises(NexusError, match=r"4 rows for 2 sample\(s\)"):
        observed(f"{rarer('zimage')}{options(CALLS['zimage'], [500.0])}", prompts[:2], ["prediction"])


def test_several_guides_are_refused(once: Callable[..., Path]) -> None:
    """Their folders are `controlnet` and `controlnet_1`: the second would be left out without a word."""
    with pytest.raises(NexusError, match=r"a MultiControlNetModel, several models \(controlnet, controlnet_1\)"):
        Diffusers().inspect(str(once("guides", RARER_TOO)))


def test_lists_are_of_samples_or_of_blocks() -> None:
    """As many blocks as samples, and as many channels as samples."""
    blocks, latents = [torch.randn(2, 3, 4, 4) for _ in range(2)], list(torch.randn(2, 2, 1, 4, 4))
    places = [(0, 0), (1, 0), (0, 1), (1, 1)]
    found = by_row([{"down": blocks, "x": latents}] * 2, places, 2)
    assert [each.shape[0] for each in found["down"]] == [4, 4]
    torch.testing.assert_close(found["down"][1], blocks[1].repeat_interleave(2, 0))
    assert [each.shape for each in found["x"]] == [(2, 1, 4, 4)] * 4


def test_frames_that_are_rows_have_a_timestep_each() -> None:
    """AnimateDiff's ControlNet is shown three frames of a film as three rows."""
    calls = [{"sample": torch.zeros(3, 4, 8, 8), "timestep": torch.tensor(each)} for each in (900, 100)]
    found = by_row(calls, [(0, 0), (1, 0)], 1)
    assert found["sample"].shape[0] == 6
    assert found["timestep"].tolist() == [900, 900, 900, 100, 100, 100]


@pytest.mark.parametrize("samples", [1, 3])
def test_positions_along_frames_rows_and_columns_are_of_no_sample(samples: int) -> None:
    """Three lists of numbers (Kandinsky 5), the first as long as there are frames: of a picture one."""
    positions = [torch.arange(count) for count in (1, 4, 4)]
    places = [(at, sample) for at in range(2) for sample in range(samples)]
    assert by_row([{"visual_rope_pos": positions}] * 2, places, samples)["visual_rope_pos"] is positions
