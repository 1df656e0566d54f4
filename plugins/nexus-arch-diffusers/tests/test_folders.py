"""Folders of which a part is not what it should be."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nexus_arch_diffusers.architecture import Diffusers
from nexus_specs import Installed, NexusError, Sample

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


@pytest.mark.parametrize("entry", [None, "UNet2DConditionModel", {"a": 1}, [1, 2], [["diffusers"], ["UNet"]]], ids=str)
def test_a_folder_whose_entry_is_no_component_is_no_setting(entry: Any, edited: Callable[..., Path]) -> None:
    """Its weights would be left out without a word."""
    place = edited("sd15", "model_index.json", lambda data: {**data, "unet": entry})
    with pytest.raises(NexusError, match="has the entry 'unet'"):
        Diffusers().inspect(str(place))


@pytest.mark.parametrize(
    ("entry", "lacks"),
    [
        ({"_class_name": "FluxPipeline"}, "transformer in model_index.json"),
        ({"scheduler": [None, None]}, "scheduler in model_index.json"),
        ({"unet": [None, None]}, r"a denoiser \(transformer, .*\) in model_index.json"),
    ],
)
def test_what_the_index_leaves_out_is_missing(
    entry: dict[str, Any], lacks: str, edited: Callable[..., Path]
) -> None:  # fmt: skip
    place = edited("sd15", "model_index.json", lambda data: {**data, **entry})
    assert any(re.fullmatch(lacks, each) for each in Diffusers().inspect(str(place)).missing)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"beta_start": float("nan")}, "sets beta_start = nan"),
        ({"beta_start": -1.0}, r"scheduler' is no PNDMScheduler"),
        ({"beta_end": 5.0}, "keeps less than nothing"),
        ({"beta_start": 0.0, "beta_end": 0.0}, "all of it, always"),
        ({"beta_schedule": "nope"}, "nope is not implemented"),
        ({"timestep_spacing": "nope"}, "has no timesteps with it .*nope is not supported"),
        ({"trained_betas": [0.1, 0.1]}, "noise for 2 of its 1000 timesteps"),
        ({"num_train_timesteps": None}, "sets num_train_timesteps = None: a number from 1"),
        ({"num_train_timesteps": -5}, "sets num_train_timesteps = -5: a number from 1"),
    ],
    ids=str,
)
def test_a_scheduler_that_cannot_be_is_named(
    said: dict[str, Any], words: str, edited: Callable[..., Path]
) -> None:  # fmt: skip
    """Before anything runs, and not as a tokenizer that is missing."""
    place = edited("sd15", "scheduler/scheduler_config.json", lambda data: {**data, **said})
    with pytest.raises(NexusError, match=words):
        Diffusers().inspect(str(place))


def test_a_scheduler_that_needs_another_library_says_which(
    edited: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Stable Audio's, whose words begin with an empty line."""
    import diffusers

    def needs(*_: Any, **__: Any) -> None:
        raise ImportError("\nPNDMScheduler requires the torchsde library: `pip install torchsde`\n")

    monkeypatch.setattr(diffusers.PNDMScheduler, "from_pretrained", needs)
    with pytest.raises(NexusError, match=r"requires the torchsde library: `pip install torchsde`\. Install that"):
        Diffusers().inspect(str(edited("sd15", "scheduler/scheduler_config.json", dict)))


def test_an_older_folder_opens_without_a_word(
    edited: Callable[..., Path], recwarn: pytest.WarningsRecorder
) -> None:  # fmt: skip
    """diffusers mends its scheduler's offset, and warns with a page of JSON that nobody can act upon."""
    place = edited("sd15", "scheduler/scheduler_config.json", lambda data: {**data, "steps_offset": 0})
    Diffusers().open(str(place), Installed()).skeleton()
    assert not [each for each in recwarn if "steps_offset" in str(each.message)]


def test_a_shift_of_nothing_leaves_no_noise_levels(edited: Callable[..., Path]) -> None:
    place = edited("sd3", "scheduler/scheduler_config.json", lambda data: {**data, "shift": 0.0})
    with pytest.raises(NexusError, match=r"no finite numbers.*shift 0\.0"):
        Diffusers().inspect(str(place))


@pytest.mark.parametrize("count", [-1, 0, 2])
def test_layers_that_would_be_left_out_are_named(count: int, edited: Callable[..., Path]) -> None:
    place = edited("sd3", "transformer/config.json", lambda data: {**data, "num_layers": count})
    words = "none less than 0" if count < 0 else rf"makes {count} of transformer_blocks: what is more"
    with pytest.raises(NexusError, match=words):
        Diffusers().inspect(f"{place}#transformer")


def test_shards_without_an_index_and_packed_denoisers_are_named(edited: Callable[..., Path]) -> None:
    place = edited("sd3", "transformer/config.json", dict)
    (place / "transformer" / "diffusion_pytorch_model.safetensors.index.json").unlink()
    with pytest.raises(NexusError, match=r"and no diffusion_pytorch_model\.safetensors\.index\.json"):
        Diffusers().inspect(str(place))
    for file in (place / "transformer").glob("*.safetensors"):
        file.unlink()
    (place / "transformer" / "model-Q4_0.gguf").write_bytes(b"GGUF")
    with pytest.raises(NexusError, match=r"holds model-Q4_0\.gguf: denoisers in GGUF are not read"):
        Diffusers().inspect(str(place))


def test_the_class_of_an_encoder_is_the_one_that_the_index_names(edited: Callable[..., Path]) -> None:
    """As diffusers has it: SD 3's encoder that was saved as one without its projection has it."""
    place = edited("sd3", "text_encoder/config.json", lambda data: {**data, "architectures": ["CLIPTextModel"]})
    assert Diffusers().inspect(f"{place}#text_encoder").head == "CLIPTextModelWithProjection"
    modules = Diffusers().open(str(place), Installed()).skeleton()
    assert type(modules.text_encoder).__name__ == "CLIPTextModelWithProjection"


def test_a_pipeline_without_text_encoders_asks_for_embeddings(
    edited: Callable[..., Path], prompts: list[Sample], observed: Callable[..., Any]
) -> None:
    none = {"text_encoder": [None, None], "tokenizer": [None, None]}
    place = edited("sd15", "model_index.json", lambda data: {**data, **none})
    with pytest.raises(NexusError, match=r"no text encoder.*prompt_embeds"):
        observed(str(place), prompts[:1], ["prediction"])


@pytest.mark.parametrize(("name", "kind"), [("unet", "FluxTransformer2DModel"), ("vae", "UNet2DConditionModel")])
def test_an_index_that_speaks_of_another_model(name: str, kind: str, edited: Callable[..., Path]) -> None:
    place = edited("sd15", "model_index.json", lambda index: {**index, name: ["diffusers", kind]})
    with pytest.raises(NexusError, match=f"names the {name} a {kind}, and its config.json a .*Fetch both"):
        Diffusers().inspect(str(place))


def test_what_only_a_safety_checker_needs_may_be_missing(edited: Callable[..., Path]) -> None:
    safe = {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
            "feature_extractor": ["transformers", "CLIPImageProcessor"]}  # fmt: skip
    place = edited("sd15", "model_index.json", lambda index: {**index, **safe})
    assert Diffusers().inspect(str(place)).missing == ()
    assert Diffusers().open(str(place), Installed()).skeleton().pipeline.safety_checker is None
    shutil.rmtree(place / "vae")
    with pytest.raises(NexusError, match="FOLDER#vae=off"):
        Diffusers().open(str(place), Installed()).skeleton()
