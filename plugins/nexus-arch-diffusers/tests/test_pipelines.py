"""Whole pipelines: observed through the engine, they answer as diffusers' own components do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as df
import numpy as np
import pytest
import torch
from nexus_arch_diffusers.architecture import Diffusers
from nexus_specs import Installed, Sample

SHORT = "#max_sequence_length=24"
OPTIONS = {"sd3": SHORT, "flux": SHORT, "svd": "#num_frames=3", "sd15": "#count=3"}
STACKS = {
    "sd3": ("text_encoder", "text_encoder_2", "text_encoder_3", "vae.encoder", "transformer", "vae.decoder"),
    "svd": ("image_encoder", "vae.encoder", "unet", "vae.decoder"),
    "sd15": ("text_encoder", "vae.encoder", "unet", "vae.decoder"),
    "flux": ("text_encoder", "text_encoder_2", "vae.encoder", "transformer", "vae.decoder"),
}
ALL = tuple(STACKS)


@pytest.mark.parametrize("name", ALL)
def test_a_pipeline_is_known_without_its_weights(name: str, saved: Callable[[str], Path]) -> None:
    found = Diffusers().inspect(str(saved(name)))
    pipeline = df.DiffusionPipeline.from_pretrained(saved(name))
    modules = [each for each in pipeline.components.values() if isinstance(each, torch.nn.Module)]
    assert found.head == type(pipeline).__name__
    assert found.parameters == sum(each.numel() for module in modules for each in module.parameters())
    assert found.buffers == sum(each.nbytes for module in modules for each in module.buffers())
    assert (found.takes, found.gives) == ((("image",), ("video",)) if name == "svd" else (("text",), ("image",)))
    places = list(dict.fromkeys(
        ".".join(stack.path.split(".")[: 2 if stack.path.startswith("vae") else 1]) for stack in found.stacks
    ))  # fmt: skip
    assert tuple(places) == STACKS[name]
    assert not found.missing
    parts = pipeline.components
    for stack in found.stacks:
        component, _, inner = stack.layers[0].partition(".")
        assert type(parts[component].get_submodule(inner)).__name__ in stack.kind.split(" / ")


@pytest.mark.parametrize(
    ("name", "options", "layer", "words"),
    [
        ("sd3", "&height=16&width=16", "transformer.transformer_blocks.1", 24),
        ("flux", "&height=16&width=16&timesteps=900,100", "transformer.transformer_blocks.1", 24),
        ("sd15", "&height=16&width=16", "unet.up_blocks.0", 0),
        ("svd", "&height=16&width=16&timesteps=1.0", "unet.up_blocks.0", 0),
    ],
)
def test_the_largest_state_of_a_sample_is_known(
    name: str, options: str, layer: str, words: int, saved: Callable[[str], Path], pictures: list[Sample],
    observed: Callable[..., Any],
) -> None:  # fmt: skip
    """What memory is predicted from: the picture's states at every timestep, and those of the words beside them."""
    source = f"{saved(name)}{OPTIONS[name]}{options}"
    state = observed(source, pictures[:1], [layer])[pictures[0].key, layer]
    blueprint = Diffusers().inspect(source)
    times = len(Diffusers().open(source, Installed()).collate(pictures[:1])["timesteps"][0])
    picture = state.numel()
    assert blueprint.seen == picture + words * times * state.shape[-1]
    if name == "svd":
        assert Diffusers().inspect(str(saved(name))).seen == 0, "its films are as large as the pictures"


def test_every_stack_has_the_dtype_of_its_own_headers(saved: Callable[[str], Path], tmp_path: Path) -> None:
    """A denoiser in half beside a VAE that is not, as many are published; no configuration says so."""
    home = tmp_path / "half"
    shutil.copytree(saved("sd15"), home)
    df.UNet2DConditionModel.from_pretrained(home / "unet").to(torch.float16).save_pretrained(home / "unet")
    stacks = Diffusers().inspect(str(home)).stacks
    assert {stack.dtype for stack in stacks if stack.path.startswith("unet")} == {"F16"}
    assert {stack.dtype for stack in stacks if stack.path.startswith("vae")} == {"F32"}
    alone = Diffusers().inspect(str(home / "unet"))
    assert {alone.dtype, *(stack.dtype for stack in alone.stacks)} == {"F16"}
    assert alone.bytes == 2 * alone.parameters


@pytest.mark.parametrize("name", ALL)
def test_streamed_and_resident_agree_at_every_layer(
    name: str,
    saved: Callable[[str], Path],
    pictures: list[Sample],
    observed: Callable[..., Any],
    layers: Callable[[str], list[str]],
) -> None:
    source = f"{saved(name)}{OPTIONS[name]}"
    taps = [*layers(source), "prediction", "output"]
    resident, streamed = (observed(source, pictures, taps, how) for how in ("resident", "stream"))
    assert set(resident) == set(streamed) == {(sample.key, tap) for sample in pictures for tap in taps}
    for key, value in resident.items():
        torch.testing.assert_close(streamed[key], value, rtol=0, atol=1e-5)
    for stack in Diffusers().inspect(source).stacks:
        for layer, width in zip(stack.layers, stack.widths, strict=True):
            assert resident[pictures[0].key, layer].shape[-1] == width, layer


@pytest.mark.parametrize("name", ["sd3", "sd15", "flux"])
@torch.no_grad()
def test_what_reaches_the_denoiser_is_what_diffusers_gives_it(
    name: str, saved: Callable[[str], Path], pictures: list[Sample], observed: Callable[..., Any]
) -> None:
    """Against diffusers by hand: its prompt encoding, its VAE, its scheduler's noising, its denoiser."""
    source = f"{saved(name)}{OPTIONS[name]}"
    found = observed(source, pictures[:1], ["prediction", "noisy", "target"])
    key, pipe = pictures[0].key, df.DiffusionPipeline.from_pretrained(saved(name))
    noisy = found[key, "noisy"]
    timesteps = Diffusers().open(source, Installed()).collate(pictures[:1])["timesteps"][0]
    more = {"max_sequence_length": 24} if name != "sd15" else {}
    prompt = {"prompt": pictures[0].fields["text"], "device": torch.device("cpu"), "num_images_per_prompt": 1}
    if name == "sd3":
        embeds, _, pooled, _ = pipe.encode_prompt(
            **prompt, prompt_2=None, prompt_3=None, do_classifier_free_guidance=False, **more
        )
        shown = {"encoder_hidden_states": embeds, "pooled_projections": pooled}
    elif name == "flux":
        embeds, pooled, ids = pipe.encode_prompt(prompt["prompt"], None, num_images_per_prompt=1, **more)
        places = pipe._prepare_latent_image_ids(1, 4, 4, torch.device("cpu"), torch.float32)
        shown = {"encoder_hidden_states": embeds, "pooled_projections": pooled, "txt_ids": ids, "img_ids": places,
                 "guidance": torch.full([1], 3.5)}  # fmt: skip
    else:
        shown = {"encoder_hidden_states": pipe.encode_prompt(**prompt, do_classifier_free_guidance=False)[0]}
    clean = _latents(pipe, name, pictures[0])
    for at, timestep in enumerate(timesteps):
        expected = _denoised(pipe, name, noisy[at][None], timestep, shown)
        torch.testing.assert_close(found[key, "prediction"][at], expected[0], rtol=0, atol=1e-5)
        noise = _noise(pipe, name, clean, noisy[at], timestep)
        target = noise - clean if name != "sd15" else noise
        torch.testing.assert_close(found[key, "target"][at], target, rtol=0, atol=1e-3)


def _denoised(pipe: Any, name: str, noisy: torch.Tensor, timestep: float, shown: dict[str, Any]) -> torch.Tensor:
    if name == "sd15":
        return pipe.unet(noisy, torch.tensor(timestep), **shown)[0]
    scaled = timestep / 1000 if name == "flux" else timestep
    return pipe.transformer(hidden_states=noisy, timestep=torch.tensor([scaled]), **shown)[0]


def _latents(pipe: Any, name: str, sample: Sample) -> torch.Tensor:
    pixels = torch.from_numpy(sample.fields["image"]).permute(2, 0, 1)[None].float() / 127.5 - 1
    config = pipe.vae.config
    found = (pipe.vae.encode(pixels).latent_dist.mode() - (config.shift_factor or 0)) * config.scaling_factor
    return pipe._pack_latents(found, 1, 4, 8, 8)[0] if name == "flux" else found[0]


def _noise(pipe: Any, name: str, clean: torch.Tensor, noisy: torch.Tensor, timestep: float) -> torch.Tensor:
    """The noise that was put on the clean latents, worked out from what came of it."""
    if name == "sd15":
        kept = pipe.scheduler.alphas_cumprod[int(timestep)]
        return (noisy - kept.sqrt() * clean) / (1 - kept).sqrt()
    sigma = timestep / 1000
    return (noisy - (1 - sigma) * clean) / sigma


@torch.no_grad()
def test_films_pass_as_diffusers_passes_them(
    saved: Callable[[str], Path], pictures: list[Sample], observed: Callable[..., Any]
) -> None:
    source = f"{saved('svd')}#num_frames=3&decode=on"
    found = observed(source, pictures[:2], ["prediction", "noisy", "video"])
    pipe = df.DiffusionPipeline.from_pretrained(saved("svd"))
    asked: list[dict[str, Any]] = []
    native = pipe.unet.forward

    def forward(sample: torch.Tensor, timestep: Any, **given: Any) -> Any:
        asked.append(given | {"sample": sample, "timestep": timestep})
        return native(sample, timestep, **given)

    pipe.unet.forward = forward
    batch = Diffusers().open(source, Installed()).collate(pictures[:1])
    from PIL import Image

    pipe(Image.fromarray(pictures[0].fields["image"]), height=16, width=16, num_frames=3, num_inference_steps=1,
         min_guidance_scale=1.0, max_guidance_scale=1.0, output_type="latent", fps=7,
         generator=torch.Generator().manual_seed(int(batch["seeds"][0])))  # fmt: skip
    key = pictures[0].key
    for at, timestep in enumerate(batch["timesteps"][0]):
        sigma = np.exp(4 * timestep)
        shown = asked[0]["sample"].clone()
        shown[:, :, :4] = found[key, "noisy"][at] / (sigma**2 + 1) ** 0.5
        expected = native(shown, torch.tensor(timestep), asked[0]["encoder_hidden_states"],
                          added_time_ids=asked[0]["added_time_ids"])[0]  # fmt: skip
        torch.testing.assert_close(found[key, "prediction"][at], expected[0], rtol=0, atol=1e-5)
    assert found[key, "prediction"].shape == (3, 3, 4, 8, 8)
    assert found[key, "video"].shape == (3, 3, 16, 16)


@pytest.mark.parametrize("name", ["sd3", "flux"])
@torch.no_grad()
def test_blocks_with_two_streams_give_the_picture(
    name: str,
    saved: Callable[[str], Path],
    prompts: list[Sample],
    observed: Callable[..., Any],
    layers: Callable[[str], list[str]],
) -> None:
    """SD3's blocks return (text, picture), its last one (None, picture): a tap is the picture, every time."""
    source = f"{saved(name)}{OPTIONS[name]}&height=16&width=16"
    found = observed(source, prompts, layers(source), batch=3)
    positions = {"sd3": 64, "flux": 16}[name]
    for layer in layers(source):
        if layer.startswith("transformer"):
            assert found[prompts[0].key, layer].shape == (3 * positions, 32)


@pytest.mark.parametrize(
    "kind", ["DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "DEISMultistepScheduler",
             "UniPCMultistepScheduler", "EulerDiscreteScheduler", "LCMScheduler"],
)  # fmt: skip
def test_schedulers_as_diffusers_itself_saves_them(kind: str, saved: Callable[[str], Path], tmp_path: Path) -> None:
    """Some write that a number has no lower bound."""
    home = tmp_path / "other"
    shutil.copytree(saved("sd15"), home)
    pipeline = df.DiffusionPipeline.from_pretrained(home)
    made = getattr(df, kind).from_config({**pipeline.scheduler.config})
    pipeline.register_modules(scheduler=made)
    pipeline.save_pretrained(home)
    assert Diffusers().open(str(home), Installed()).blueprint.head == "StableDiffusionPipeline"
