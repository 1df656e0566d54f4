"""Folders of which a part is not what it should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nexus_arch_diffusers.architecture import Diffusers
from nexus_specs import Installed, NexusError

UNET = ["diffusers", "UNet2DConditionModel"]


@pytest.mark.parametrize(
    "entry",
    [
        {"unet": [*UNET, "x"]},
        {"unet": ["diffusers"]},
        {"unet": ["diffusers", None]},
        {"../unet": UNET},
        {"": UNET},
    ],
    ids=str,
)
def test_an_entry_that_is_no_component_is_named(entry: dict[str, Any], edited: Callable[..., Path]) -> None:
    place = edited("sd15", "model_index.json", lambda data: {**data, **entry})
    with pytest.raises(NexusError, match=r"model_index\.json' has the entry .*\[\"library\", \"Class\"\]"):
        Diffusers().inspect(str(place))


def test_a_pipeline_without_a_denoiser_is_refused(edited: Callable[..., Path]) -> None:
    place = edited("sd15", "model_index.json", lambda data: {**data, "unet": [None, None]})
    assert Diffusers().inspect(str(place)).seen == 0
    with pytest.raises(NexusError, match="names no denoiser"):
        Diffusers().open(str(place), Installed()).skeleton()


def test_a_tokenizer_without_its_words_is_missing(edited: Callable[..., Path]) -> None:
    """transformers makes one that knows no word, and every prompt would be the same."""
    place = edited("sd15", "tokenizer/tokenizer_config.json", dict)
    (place / "tokenizer" / "tokenizer.json").unlink()
    assert "tokenizer/" in Diffusers().inspect(str(place)).missing
    with pytest.raises(NexusError, match=r"neither tokenizer\.json nor merges\.txt and vocab\.json"):
        Diffusers().open(str(place), Installed()).skeleton()


def test_a_list_of_numbers_is_a_setting(edited: Callable[..., Path]) -> None:
    """Krea 2 names the layers of its text encoder so."""
    from nexus_arch_diffusers.pipelines import PipelineFolder

    place = edited("sd15", "model_index.json", lambda data: {**data, "text_encoder_select_layers": [3, 7]})
    assert "text_encoder_select_layers" not in PipelineFolder(place, vae=True).entries
