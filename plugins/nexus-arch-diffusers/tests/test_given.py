"""Pictures that a pipeline's call is given: a frame that stays, samples that pass alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import diffusers as df
import numpy as np
import pytest
import torch
from diffusers_files.pipelines import save_made
from diffusers_files.rarer import RARER
from nexus_arch_diffusers.calling import natural
from nexus_arch_diffusers.collate import PipelineCollate
from nexus_arch_diffusers.conditions import apart, put_back
from nexus_arch_diffusers.options import Options
from nexus_specs import Installed, NexusError, Sample
from nexus_specs.testing import sample
from PIL import Image

WRITERS = {name: partial(save_made, make) for name, make in RARER.items()}
FILM = {"height": 32, "width": 32, "num_frames": 9, "max_sequence_length": 8}
FRAME = 64
"""Latents of one frame of it."""


@pytest.fixture(scope="module")
def ltx(once: Callable[..., Path]) -> Path:
    return once("ltx_i2v", WRITERS)


@torch.no_grad()
def test_a_given_frame_is_the_same_at_every_timestep(
    ltx: Path, pictures: list[Sample], observed: Callable[..., dict[tuple[str, str], np.ndarray]]
) -> None:
    """As its pipeline shows it, which never noises it; and the rest is noised as far as the timestep says."""
    pipe, kept = df.DiffusionPipeline.from_pretrained(ltx), []
    pipe.set_progress_bar_config(disable=True)
    first = Sample(key=pictures[0].key, fields={**pictures[0].fields, "seed": 1})
    keep = lambda _, __, given: kept.append(given["hidden_states"])  # noqa: E731
    pipe.transformer.register_forward_pre_hook(keep, with_kwargs=True)
    pipe(image=Image.fromarray(first.fields["image"]), prompt=first.fields["text"], guidance_scale=1.0,
         num_inference_steps=2, generator=[torch.Generator().manual_seed(1)], output_type="latent", **FILM)  # fmt: skip
    assert Installed().inspect(str(ltx)).takes == ("text", "image")
    layer = "vae.encoder.down_blocks.0"
    source = f"{ltx}#{'&'.join(f'{name}={value}' for name, value in FILM.items())}&timesteps=1000,300&decode=on"
    found = observed(source, [first, pictures[1]], ["noisy", "prediction", layer, "video"])
    streamed = observed(source, [first, pictures[1]], ["noisy", "prediction", layer], "stream")
    noisy = torch.as_tensor(found[first.key, "noisy"])
    torch.testing.assert_close(noisy[0], kept[0][0], rtol=0, atol=1e-6)
    torch.testing.assert_close(noisy[1, :FRAME], kept[1][0, :FRAME], rtol=0, atol=1e-6)
    torch.testing.assert_close(noisy[1, FRAME:], 0.3 * noisy[0, FRAME:], rtol=0, atol=1e-6)
    assert found[first.key, "video"].shape == (9, 3, 32, 32)
    assert all(np.array_equal(found[key], value) for key, value in streamed.items())


def test_frames_that_are_blended_in_are_given() -> None:
    """noise + 1.0 * (frame - noise) is the frame, but for a rounding."""
    frame, noise = torch.randn(1, 4, 3), torch.randn(1, 4, 3)
    whole = [torch.cat([each + (frame - each), each], 1) for each in (noise, -noise)]
    shown = put_back(whole[0] * 0.5, *whole)
    torch.testing.assert_close(shown, torch.cat([frame, noise * 0.5], 1))


@pytest.mark.parametrize(("kind", "alone"), [("LTXImageToVideoPipeline", True), ("WanImageToVideoPipeline", True),
                                             ("Flux2Pipeline", True), ("FluxPipeline", False),
                                             ("StableVideoDiffusionPipeline", False)])  # fmt: skip
def test_samples_whose_pictures_are_encoded_one_by_one_pass_alone(kind: str, alone: bool) -> None:
    """A list of pictures is of several prompts for one pipeline, of one prompt for another, and refused by a third."""
    native = getattr(df, kind)
    collate = PipelineCollate(dict.fromkeys(("image", "prompt")), Options(), (5.0,), "x", apart=apart(native))
    picture = np.zeros((8, 8, 3), np.uint8)
    assert apart(native) == alone
    assert len(collate.groups([sample(text=each, image=picture) for each in "ab"])) == 1 + alone
    assert len(collate.groups([sample(text=each) for each in "ab"])) == 1


def test_pictures_and_films_as_a_pipeline_takes_them() -> None:
    one, film = torch.zeros(1, 4, 6, 3, dtype=torch.uint8), torch.zeros(2, 5, 4, 6, 3, dtype=torch.uint8)
    found = natural(None, {"image": one, "video": film, "seeds": torch.zeros(2)})
    assert found["image"].size == (6, 4)
    assert [len(each) for each in found["video"]] == [5, 5]
    assert found["video"][0][0].size == (6, 4)
    assert torch.equal(found["seeds"], torch.zeros(2))


def test_a_library_that_a_pipeline_needs_is_named(
    ltx: Path, pictures: list[Sample], observed: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """diffusers imports some only where they are installed, and asks for them all the same."""

    def clean(*_: object, **__: object) -> None:
        raise NameError("name 'ftfy' is not defined", name="ftfy")

    monkeypatch.setattr(df.LTXImageToVideoPipeline, "encode_prompt", clean)
    with pytest.raises(NexusError, match="pip install ftfy"):
        observed(f"{ltx}#height=32&width=32&num_frames=9", pictures[:1], ["prediction"])


@torch.no_grad()
def test_labels_are_numbers(tmp_path: Path, observed: Callable[..., dict[tuple[str, str], np.ndarray]]) -> None:
    model = df.DiTTransformer2DModel(sample_size=8, num_layers=1, patch_size=4, attention_head_dim=8, in_channels=4,
                                     num_attention_heads=2, num_embeds_ada_norm=10).eval()  # fmt: skip
    model.save_pretrained(tmp_path / "dit")
    latents = np.random.default_rng(0).standard_normal((4, 8, 8)).astype(np.float32)
    samples = [sample(hidden_states=latents, class_labels=label, timestep=500) for label in (1, 3)]
    found = observed(str(tmp_path / "dit"), samples, ["prediction"])
    for each in samples:
        label = torch.tensor([each.fields["class_labels"]])
        expected = model(torch.from_numpy(latents)[None], torch.tensor([500]), label)
        np.testing.assert_allclose(found[each.key, "prediction"], expected.sample, atol=1e-5)
