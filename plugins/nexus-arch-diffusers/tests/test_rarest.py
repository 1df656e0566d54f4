"""Pipelines that few people have: they open, and what is observed of a sample is the same in any company."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffusers as df
import numpy as np
import pytest
import torch
from diffusers_files.pipelines import save_made
from diffusers_files.rarest import RAREST, wan_vae
from nexus_arch_diffusers.architecture import Diffusers
from nexus_arch_diffusers.catalogue import pipelines
from nexus_arch_diffusers.conditions import alone, apart, takes_one
from nexus_specs import NexusError, Sample
from nexus_specs.testing import sample

WRITERS = {name: partial(save_made, make) for name, make in RAREST.items()}
TEXTS = ("a red cat", "two dogs in the snow, painted")


@pytest.fixture(scope="module")
def rarest(once: Callable[..., Path]) -> Callable[[str], Path]:
    return lambda name: once(name, WRITERS)


def numbers(*shape: int) -> Any:
    return np.random.default_rng(3).standard_normal(shape).astype("float32")


def test_an_encoder_that_diffusers_has(rarest: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    """Kandinsky 2.1: no model type of transformers, no class of it either."""
    pipe = df.DiffusionPipeline.from_pretrained(rarest("kandinsky"))
    one = sample(text=TEXTS[0], image_embeds=numbers(32), negative_image_embeds=numbers(32))
    source, last = str(rarest("kandinsky")), "text_encoder.transformer.encoder.layer.1"
    found = observed(f"{source}#timesteps=500&height=64&width=64", [one], [last, "prediction"])
    streamed = observed(f"{source}#timesteps=500&height=64&width=64", [one], [last, "prediction"], "stream")
    words = pipe.tokenizer(TEXTS[0], padding="max_length", max_length=77, return_tensors="pt")
    states = pipe.text_encoder.transformer(words.input_ids, attention_mask=words.attention_mask).last_hidden_state
    torch.testing.assert_close(found[one.key, last], states[0], rtol=0, atol=1e-5)
    torch.testing.assert_close(streamed[one.key, "prediction"], found[one.key, "prediction"], rtol=0, atol=1e-5)
    assert Diffusers().inspect(f"{source}#text_encoder").head == "MultilingualCLIP"


@pytest.mark.parametrize("library", ["diffusers", "wuerstchen"])
def test_a_class_that_diffusers_has_put_away(
    library: str, rarest: Callable[[str], Path], edited_index: Callable[..., Path], observed: Callable[..., Any]
) -> None:
    """As diffusers saves its VQGAN now, and as the hub's index names it."""
    home = edited_index(rarest("cascade_decoder"), vqgan=[library, "PaellaVQModel"])
    one = sample(text=TEXTS[0], image_embeddings=numbers(4, 2, 2))
    found = observed(f"{home}#timesteps=0.5", [one], ["prediction"])[one.key, "prediction"]
    assert found.shape[:2] == (1, 4)
    assert found.isfinite().all()
    assert not Diffusers().inspect(str(home)).missing


@pytest.fixture
def edited_index(tmp_path: Path) -> Callable[..., Path]:
    import json
    import shutil

    def copy(home: Path, **entries: Any) -> Path:
        place = tmp_path / "copy"
        shutil.copytree(home, place)
        index = json.loads((place / "model_index.json").read_text())
        (place / "model_index.json").write_text(json.dumps(index | entries))
        return place

    return copy


def test_a_control_picture_is_not_drawn_anew(rarest: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    """SD3's ControlNet is shown a draw of its picture's latents, by no seed: the middle of them here."""
    picture = np.random.default_rng(0).integers(256, size=(16, 16, 3), dtype=np.uint8)
    samples = [sample(text=text, control_image=picture) for text in TEXTS]
    source = f"{rarest('sd3_controlnet')}#timesteps=500&height=16&width=16&max_sequence_length=24"
    together, apart = (observed(source, samples, ["prediction"], batch=size) for size in (2, 1))
    for key, value in together.items():
        torch.testing.assert_close(apart[key], value, rtol=0, atol=1e-5)


def test_a_pipeline_that_gives_no_latents(
    rarest: Callable[[str], Path], pictures: list[Sample], observed: Callable[..., Any]
) -> None:
    one = Sample(key="a" * 64, fields={"image": pictures[0].fields["image"]})
    assert observed(f"{rarest('marigold')}#timesteps=500", [one], ["prediction"])[one.key, "prediction"].shape[0] == 1


def test_a_class_is_asked_for_and_never_drawn(rarest: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    with pytest.raises(NexusError, match=r"takes class_labels \(a whole number in each\)"):
        observed(str(rarest("consistency")), [sample(seed=1)], ["prediction"])
    both = [Sample(key=name * 64, fields={"label": label, "seed": 1}) for name, label in (("a", 1), ("b", 2))]
    first, second = observed(f"{rarest('consistency')}#count=1", both, ["prediction"]).values()
    assert not torch.equal(first, second)


def test_words_of_one_and_of_several(rarest: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    samples = [sample(text=text) for text in TEXTS]
    source = f"{rarest('latte')}#count=1&height=8&width=8"
    together, apart = (observed(source, samples, ["prediction"], batch=size) for size in (2, 1))
    for key, value in together.items():
        torch.testing.assert_close(apart[key], value, rtol=0, atol=1e-5)


def test_one_prompt_and_no_list(rarest: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    pytest.importorskip("ftfy")
    samples = [sample(text=text) for text in TEXTS]
    source = f"{rarest('vace')}#count=1&height=16&width=16&num_frames=5&max_sequence_length=16"
    assert len(observed(source, samples, ["prediction"])) == 2


def test_calls_that_are_told_by_their_source() -> None:
    """Who goes alone: who fills or cuts texts by the longest, encodes one by one, or takes one prompt."""
    assert takes_one(df.WanVACEPipeline)
    assert not takes_one(df.WanPipeline)
    assert all(map(alone, (df.CogView4Pipeline, df.Kandinsky3Pipeline, df.BriaPipeline, df.LTX2ConditionPipeline)))
    assert alone(df.AudioLDM2Pipeline), "for one of its two tokenizers"
    assert alone(df.LattePipeline), "for a text alone in its call"
    assert not any(map(alone, (df.StableDiffusionXLPipeline, df.StableDiffusion3Pipeline, df.FluxPipeline)))


@pytest.mark.slow
def test_patterns_find_what_they_found() -> None:
    """Of all pipelines of the installed release: a newer one may be written otherwise, and nothing would say so."""
    found = [getattr(df, name, None) for name in sorted(pipelines())]
    kinds = [each for each in found if isinstance(each, type) and issubclass(each, df.DiffusionPipeline)]
    assert len(kinds) >= 280
    assert sum(map(apart, kinds)) >= 98, "101 of diffusers 0.42 encode pictures one by one"
    assert sum(map(alone, kinds)) >= 36, "38 of them depend on their company"


def test_frames_one_after_another(rarest: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    samples = [sample(text=text) for text in TEXTS]
    source = f"{rarest('modelscope')}#timesteps=500&height=16&width=16&num_frames=3&decode=on"
    found = observed(source, samples, ["video"])
    assert all(film.shape == (3, 3, 16, 16) for film in found.values())


def test_every_block_of_a_films_vae_says_its_width(tmp_path: Path, observed: Callable[..., Any]) -> None:
    """Wan's lists hold blocks and resamplers, some of which name no width."""
    torch.manual_seed(0)
    wan_vae().save_pretrained(tmp_path)
    stacks = Diffusers().inspect(str(tmp_path)).stacks
    said = {layer: width for stack in stacks for layer, width in zip(stack.layers, stack.widths, strict=True)}
    film = sample(video=np.zeros((1, 16, 16, 3), np.uint8))
    found = observed(str(tmp_path), [film], list(said))
    assert {layer: found[film.key, layer].shape[-1] for layer in said} == said


