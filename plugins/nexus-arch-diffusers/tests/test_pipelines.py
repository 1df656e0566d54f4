"""Whole pipelines: observed through the engine, they answer as diffusers' own components do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import diffusers as df
import numpy as np
import pytest
import torch
from nexus_arch_diffusers.architecture import Diffusers
from nexus_specs import Budget, Installed, NexusError, Piece, Sample, Tap, content_key

SHORT = "#max_sequence_length=24"
OPTIONS = {"sd3": SHORT, "flux": SHORT, "svd": "#num_frames=3", "sd15": "#count=3"}
STACKS = {
    "sd3": ("text_encoder", "text_encoder_2", "text_encoder_3", "vae.encoder", "transformer", "vae.decoder"),
    "svd": ("image_encoder", "vae.encoder", "unet", "vae.decoder"),
    "sd15": ("text_encoder", "vae.encoder", "unet", "vae.decoder"),
    "flux": ("text_encoder", "text_encoder_2", "vae.encoder", "transformer", "vae.decoder"),
}
ALL = tuple(STACKS)


class Pieces:
    """A sink that keeps."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Any] = {}

    def put(self, piece: Piece) -> None:
        for key, value in zip(piece.keys, piece.values, strict=True):
            assert (key, piece.tap) not in self.found, f"{piece.tap} came twice"
            self.found[key, piece.tap] = value

    def flush(self) -> None:
        pass


def observed(
    source: str, samples: Sequence[Sample], taps: Sequence[str], residency: str = "resident", batch: int = 2
) -> dict[tuple[str, str], Any]:
    lookup, pieces = Installed(), Pieces()
    engine = lookup.make("engine", "sli")
    budget = Budget(micro_batch=batch, residency=residency)  # type: ignore[arg-type]
    with engine.load(Diffusers().open(source, lookup), budget) as teacher:
        teacher.observe(samples, [Tap(path=path) for path in taps], pieces)
    return pieces.found


def layers(source: str) -> list[str]:
    return [layer for stack in Diffusers().inspect(source).stacks for layer in stack.layers]


@pytest.mark.parametrize("name", ALL)
def test_a_pipeline_is_known_without_its_weights(name: str, saved: Callable[[str], Path]) -> None:
    found = Diffusers().inspect(str(saved(name)))
    pipeline = df.DiffusionPipeline.from_pretrained(saved(name))
    modules = [each for each in pipeline.components.values() if isinstance(each, torch.nn.Module)]
    assert found.head == type(pipeline).__name__
    assert found.parameters == sum(each.numel() for module in modules for each in module.parameters())
    assert (found.takes, found.gives) == ((("image",), ("video",)) if name == "svd" else (("text",), ("image",)))
    places = list(dict.fromkeys(
        ".".join(stack.path.split(".")[: 2 if stack.path.startswith("vae") else 1]) for stack in found.stacks
    ))  # fmt: skip
    assert tuple(places) == STACKS[name]
    assert not found.missing


@pytest.mark.parametrize("name", ALL)
def test_streamed_and_resident_agree_at_every_layer(
    name: str, saved: Callable[[str], Path], pictures: list[Sample]
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
    name: str, saved: Callable[[str], Path], pictures: list[Sample]
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
def test_films_pass_as_diffusers_passes_them(saved: Callable[[str], Path], pictures: list[Sample]) -> None:
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
    name: str, saved: Callable[[str], Path], prompts: list[Sample]
) -> None:
    """SD3's blocks return (text, picture), its last one (None, picture): a tap is the picture, every time."""
    source = f"{saved(name)}{OPTIONS[name]}&height=16&width=16"
    found = observed(source, prompts, layers(source), batch=3)
    positions = {"sd3": 64, "flux": 16}[name]
    for layer in layers(source):
        if layer.startswith("transformer"):
            assert found[prompts[0].key, layer].shape == (3 * positions, 32)


def test_the_same_sample_has_the_same_noise_in_any_company(saved: Callable[[str], Path], prompts: list[Sample]) -> None:
    source = f"{saved('sd3')}#max_sequence_length=24&timesteps=900,100"
    together, alone = (observed(source, prompts, ["noisy", "prediction"], batch=size) for size in (3, 1))
    for key, value in together.items():
        torch.testing.assert_close(alone[key], value, rtol=0, atol=1e-5)
    assert not torch.equal(together[prompts[0].key, "noisy"], together[prompts[1].key, "noisy"])
    assert together[prompts[0].key, "prediction"].shape[0] == 2


def test_a_sample_may_choose_its_timestep(saved: Callable[[str], Path]) -> None:
    source = f"{saved('sd15')}"
    rows = [{"text": "a", "timestep": 10, "seed": 1}, {"text": "a", "timestep": 900, "seed": 1}]
    samples = [Sample(key=content_key(row), fields=row) for row in rows]
    found = observed(source, samples, ["noisy", "prediction"])
    assert found[samples[0].key, "noisy"].std() < found[samples[1].key, "noisy"].std()
    alone, key = observed(source, samples[1:], ["prediction"]), (samples[1].key, "prediction")
    torch.testing.assert_close(alone[key], found[key], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "shape"), [("wan", (16, 3, 2, 2)), ("cogvideo", (3, 4, 2, 2))])
def test_clean_films_are_noised_in_the_pipelines_own_order(
    name: str, shape: tuple[int, ...], saved: Callable[[str], Path]
) -> None:
    film = np.random.default_rng(0).integers(256, size=(9, 16, 16, 3), dtype=np.uint8)
    fields = {"text": "a red cat", "video": film}
    samples = [Sample(key=content_key(fields), fields=fields)]
    source = f"{saved(name)}#num_frames=9&height=16&width=16&max_sequence_length=16&count=2"
    taps = [*layers(source), "prediction", "target", "noisy"]
    found, streamed = (observed(source, samples, taps, how) for how in ("resident", "stream"))
    assert found[samples[0].key, "prediction"].shape == found[samples[0].key, "target"].shape == (2, *shape)
    for key, value in found.items():
        torch.testing.assert_close(streamed[key], value, rtol=0, atol=1e-5)


class Doubled:
    """An edit of one layer: twice its output."""

    def __init__(self, path: str) -> None:
        self.name, self.modules = path, (path,)

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        pass

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        return 2 * output


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_every_layer_can_be_ablated(residency: str, saved: Callable[[str], Path], prompts: list[Sample]) -> None:
    """Whatever is in the sample, every stack that the blueprint names is passed while something looks at it."""
    source = f"{saved('sd15')}#height=16&width=16&count=1"
    paths = layers(source)
    seen: dict[str, Any] = {}

    class Sink:
        def put(self, piece: Piece) -> None:
            seen[piece.edit] = piece.values[0]

        def flush(self) -> None:
            pass

    budget = Budget(residency=residency)  # type: ignore[arg-type]
    lookup = Installed()
    with lookup.make("engine", "sli").load(Diffusers().open(source, lookup), budget) as teacher:
        teacher.observe(prompts[:1], [Tap(path="prediction")], Sink(), [Doubled(path) for path in paths])
    assert set(seen) == {"", *paths}
    for path in paths:
        assert torch.equal(seen[path], seen[""]) == path.startswith("vae"), path


def test_half_precision_stays_close(saved: Callable[[str], Path], tmp_path: Path, prompts: list[Sample]) -> None:
    pipe = df.DiffusionPipeline.from_pretrained(saved("sd15"), dtype=torch.bfloat16)
    pipe.save_pretrained(tmp_path / "half")
    source = f"{tmp_path / 'half'}#height=16&width=16&timesteps=501"
    assert Diffusers().inspect(source).dtype == "BF16"
    found = []
    for precision in ("float32", "bfloat16"):
        pieces, lookup = Pieces(), Installed()
        budget = Budget(precision=precision)  # type: ignore[arg-type]
        with lookup.make("engine", "sli").load(Diffusers().open(source, lookup), budget) as teacher:
            teacher.observe(prompts[:1], [Tap(path="prediction")], pieces)
        found.append(pieces.found[prompts[0].key, "prediction"].float())
    assert float((found[0] - found[1]).abs().max()) < 0.1


@torch.no_grad()
def test_pictures_are_made_by_the_pipeline(saved: Callable[[str], Path], prompts: list[Sample]) -> None:
    source = f"{saved('sd3')}#max_sequence_length=24&height=16&width=16&steps=2"
    engine = Installed().make("engine", "sli")
    with engine.load(Diffusers().open(source, Installed()), Budget()) as teacher:
        made = teacher.generate(prompts[:1])[0]
    assert made.shape == (16, 16, 3)
    assert made.dtype == np.uint8
    pipe = df.DiffusionPipeline.from_pretrained(saved("sd3"))
    seed = int(Diffusers().open(source, Installed()).collate(prompts[:1])["seeds"][0])
    expected = pipe(prompts[0].fields["text"], height=16, width=16, num_inference_steps=2, max_sequence_length=24,
                    generator=torch.Generator().manual_seed(seed), output_type="np").images[0]  # fmt: skip
    assert np.abs(made.astype(int) - (expected * 255).round().astype(int)).max() <= 1


def test_without_the_vae(saved: Callable[[str], Path], prompts: list[Sample], pictures: list[Sample]) -> None:
    source = f"{saved('sd15')}#vae=off&height=16&width=16"
    assert not any(layer.startswith("vae") for layer in layers(source))
    assert observed(source, prompts[:1], ["prediction"])
    with pytest.raises(NexusError, match="Pictures need the VAE"):
        observed(source, pictures[:1], ["prediction"])


def test_samples_without_what_the_pipeline_takes_are_named(saved: Callable[[str], Path], prompts: list[Sample]) -> None:
    with pytest.raises(NexusError, match=r"takes image.*only: text"):
        Diffusers().open(str(saved("svd")), Installed()).collate(prompts)


def test_ready_embeddings_take_the_place_of_text(saved: Callable[[str], Path], prompts: list[Sample]) -> None:
    generator = np.random.default_rng(1)
    fields = {"prompt_embeds": generator.standard_normal((7, 32)).astype(np.float32)}
    ready = Sample(key=content_key(fields), fields=fields)
    found = observed(f"{saved('sd15')}#height=16&width=16", [ready], ["prediction"])
    assert found[ready.key, "prediction"].shape == (3, 4, 8, 8)


def test_the_preprocessor_is_kept_without_weights(saved: Callable[[str], Path], tmp_path: Path) -> None:
    Diffusers().open(str(saved("sd3")), Installed()).save_preprocessor(tmp_path / "kept")
    assert (tmp_path / "kept" / "model_index.json").is_file()
    assert (tmp_path / "kept" / "tokenizer" / "tokenizer_config.json").is_file()
    assert not list((tmp_path / "kept").rglob("*.safetensors*"))


def test_the_forward_names_what_it_takes() -> None:
    from nexus_arch_diffusers.observing import PipelineModule

    assert {"seeds", "timesteps", "clean", "latents"} <= set(inspect.signature(PipelineModule.forward).parameters)
