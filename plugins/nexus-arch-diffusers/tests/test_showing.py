"""What samples show of a pipeline: prompts alone, pictures of their own size, latents, more timesteps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from nexus_specs import Installed, Sample, as_shown
from nexus_specs.testing import sample


def pictured(side: int) -> Sample:
    return sample(text="a", image=np.zeros((side, side, 3), np.uint8))


def test_prompts_alone_do_not_come_to_the_vae(saved: Callable[[str], Path], prompts: list[Sample]) -> None:
    checkpoint = Installed().open(f"{saved('sd3')}#height=16&width=16")
    known = checkpoint.blueprint
    vae = {stack.path for stack in known.stacks if stack.path.startswith("vae.")}
    told = as_shown(known, checkpoint, prompts)
    assert set(told.unmet) == vae != set()
    assert replace(told, unmet=()) == known, "and are as large as the source says"
    some = set(as_shown(known, checkpoint, [*prompts, pictured(16)]).unmet)
    assert some == {path for path in vae if path.startswith("vae.decoder")}
    assert not as_shown(known, checkpoint, prompts, ["vae.decoder.mid_block"]).unmet, "somebody looks at it"
    decoding = Installed().open(f"{saved('sd3')}#height=16&width=16&decode=on")
    assert not as_shown(decoding.blueprint, decoding, [pictured(16)]).unmet


def test_pictures_are_as_large_as_they_are_where_the_source_says_no_size(saved: Callable[[str], Path]) -> None:
    checkpoint, told = Installed().open(str(saved("sd3"))), []
    for side in (16, 32):
        fixed = Installed().open(f"{saved('sd3')}#height={side}&width={side}").blueprint.seen
        told.append(as_shown(checkpoint.blueprint, checkpoint, [pictured(16), pictured(side)]).seen)
        assert told[-1] == fixed
    assert told[0] < told[1]
    film = Installed().open(str(saved("svd")))
    assert film.blueprint.seen == 0
    assert as_shown(film.blueprint, film, [pictured(16)]).seen > 0


def test_a_denoiser_for_any_size_draws_what_its_pipeline_draws(saved: Callable[[str], Path]) -> None:
    """Nothing was known of FLUX.1 without a size, which draws 1024 x 1024: 128 latents along a side."""
    open_, side = Installed().open(str(saved("flux"))), 128 * 2
    sized = Installed().open(f"{saved('flux')}#height={side}&width={side}")
    assert open_.blueprint.seen == sized.blueprint.seen > 0, "two pixels to a latent"


def test_what_is_drawn_of_one_area_whatever_is_asked_for(edited: Callable[..., Path]) -> None:
    """FLUX Kontext: a million pixels, and as many of a picture that is shown."""
    home = edited("flux", "model_index.json", lambda index: index | {"_class_name": "FluxKontextPipeline"})
    small, open_ = (Installed().open(f"{home}{more}") for more in ("#height=16&width=16", ""))
    assert small.blueprint.seen == open_.blueprint.seen
    words, shown = (as_shown(open_.blueprint, open_, [each]).seen for each in (sample(text="a"), pictured(16)))
    assert 1.9 * words < shown < 2 * words


def test_latents_and_timesteps_of_samples_count(saved: Callable[[str], Path]) -> None:
    checkpoint = Installed().open(f"{saved('sd3')}#timesteps=500")
    known, given = checkpoint.blueprint, {"text": "a", "latents": np.zeros((4, 8, 8), np.float32)}
    sized = as_shown(known, checkpoint, [sample(**given)]).seen
    assert sized == as_shown(known, checkpoint, [pictured(16)]).seen, "two pixels to a latent"
    assert as_shown(known, checkpoint, [sample(**given, timesteps=[100.0, 200.0])]).seen == 2 * sized


def test_words_are_as_many_as_the_pipeline_takes(saved: Callable[[str], Path]) -> None:
    """Flux takes 512 where nobody says another number."""
    source = f"{saved('flux')}#height=16&width=16"
    default, same, few = (Installed().open(f"{source}{more}").blueprint.seen for more in
                          ("", "&max_sequence_length=512", "&max_sequence_length=256"))  # fmt: skip
    assert default == same > few


def test_what_a_unet_holds_is_its_own_forward_with_every_skip(
    saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SVD of 500 MB was predicted .80 of what it took: of the last map, without those that wait for it."""
    monkeypatch.setattr("nexus_arch_diffusers.checkpoint.LEAST", 0)
    monkeypatch.setattr("nexus_torch.hugging_face.inputs.rehearsing.halves", lambda: True)      # else narrow takes more
    film = Installed().open(f"{saved('svd')}#height=16&width=16")
    moments = [{"timesteps": [100.0]}, {"timesteps": [100.0, 200.0]}]
    one, two = (as_shown(film.blueprint, film, [sample(**pictured(16).fields, **each)]) for each in moments)
    ends = {stack.path for stack in film.blueprint.stacks if stack.path.startswith("vae.decoder")}
    layers = {layer for stack in film.blueprint.stacks for layer in stack.layers}
    assert set(one.held) - layers == {"", *(stack.path for stack in film.blueprint.stacks)} - ends
    assert all(0 < narrow < wide for narrow, wide in one.held.values())
    up = "unet.up_blocks"
    assert 1.8 < two.held[up][0] / one.held[up][0] < 2.2, "all timesteps pass together"
    alike = Installed().open(f"{saved('sd3')}#height=16&width=16")
    assert not as_shown(alike.blueprint, alike, [sample(text="a")]).held, "blocks that are alike say more themselves"
