"""Single models: a transformer, a U-Net or a VAE on its own, and one component of a pipeline."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffusers as df
import numpy as np
import pytest
import torch
from diffusers_files.pipelines import unet
from nexus_arch_diffusers.architecture import Diffusers
from nexus_specs import Installed, NexusError, Sample, content_key

NARROW = {"num_attention_heads": 2, "attention_head_dim": 8}


def made(count: int = 2, **shapes: Any) -> list[Sample]:
    """Samples of random arrays of these shapes; what is no shape stays as it is."""
    generator = np.random.default_rng(0)

    def value(given: Any) -> Any:
        return generator.standard_normal(given).astype(np.float32) if isinstance(given, tuple) else given

    rows = [{name: value(each) for name, each in shapes.items()} for _ in range(count)]
    return [Sample(key=content_key(row), fields=row) for row in rows]


def added() -> Any:
    """SDXL's: the sizes and a pooled text beside the words."""
    plain = {name: value for name, value in unet().config.items() if not name.startswith("_")}
    more = {"addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 6 * 8 + 16}
    return df.UNet2DConditionModel(**{**plain, **more, "addition_embed_type": "text_time"})


def flux() -> Any:
    return df.FluxTransformer2DModel(in_channels=4, num_layers=2, num_single_layers=2, joint_attention_dim=16,
                                     pooled_projection_dim=16, axes_dims_rope=(2, 2, 4), **NARROW)  # fmt: skip


def pixart() -> Any:
    return df.PixArtTransformer2DModel(num_layers=2, in_channels=4, out_channels=8, cross_attention_dim=16,
                                       sample_size=8, caption_channels=16, **NARROW)  # fmt: skip


def dit() -> Any:
    return df.DiTTransformer2DModel(num_layers=2, in_channels=4, out_channels=8, sample_size=8, norm_num_groups=1,
                                    num_embeds_ada_norm=10, **NARROW)  # fmt: skip


def wan() -> Any:
    return df.WanTransformer3DModel(num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
                                    text_dim=16, freq_dim=16, ffn_dim=32, num_layers=2,
                                    rope_max_seq_len=32)  # fmt: skip


def ltx() -> Any:
    return df.LTXVideoTransformer3DModel(in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=8,
                                         cross_attention_dim=16, num_layers=2, caption_channels=16)  # fmt: skip


def cogvideo() -> Any:
    return df.CogVideoXTransformer3DModel(in_channels=4, out_channels=4, num_layers=2, time_embed_dim=8,
                                          text_embed_dim=16, sample_width=8, sample_height=8, sample_frames=9,
                                          max_text_seq_length=6, **NARROW)  # fmt: skip


WORDS = {"encoder_hidden_states": (6, 32)}
IDS = np.arange(45, dtype=np.float32).reshape(15, 3)
TEXT = {"encoder_hidden_states": (6, 16)}
MODELS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "unet": (unet, {"sample": (4, 8, 8), "encoder_hidden_states": (6, 32)}),
    "flux": (flux, {"hidden_states": (9, 4), "pooled_projections": (16,), "img_ids": IDS[:9], "txt_ids": IDS[9:],
                    **TEXT}),
    "pixart": (pixart, {"hidden_states": (4, 8, 8), **TEXT}),
    "dit": (dit, {"hidden_states": (4, 8, 8), "class_labels": np.int64(3)}),
    "wan": (wan, {"hidden_states": (4, 3, 8, 8), **TEXT}),
    "ltx": (ltx, {"hidden_states": (12, 8), "num_frames": 3, "height": 2, "width": 2,
                  "encoder_attention_mask": np.ones(6, np.int64), **TEXT}),
    "cogvideo": (cogvideo, {"hidden_states": (3, 4, 8, 8), **TEXT}),
}  # fmt: skip


def _write(build: Callable[[], Any], folder: Path) -> None:
    torch.manual_seed(0)
    build().save_pretrained(folder)


ADDED = {"text_embeds": (16,), "time_ids": (6,)}
"""What lies inside `added_cond_kwargs`."""


WRITERS = {name: partial(_write, build) for name, (build, _) in MODELS.items()}


@pytest.fixture(scope="session")
def model(once: Callable[..., Path]) -> Callable[[str], Path]:
    """Name of a model -> its folder, made once by diffusers."""
    return lambda name: once(name, WRITERS)


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_denoisers_answer_as_their_own_forward(
    name: str, model: Callable[[str], Path], observed: Callable[..., Any]
) -> None:
    source, samples = f"{model(name)}#timesteps=900,100", made(**MODELS[name][1])
    blueprint = Diffusers().inspect(source)
    layers = [layer for stack in blueprint.stacks for layer in stack.layers]
    found = observed(source, samples, [*layers, "prediction"])
    streamed = observed(source, samples, [*layers, "prediction"], "stream")
    native = df.AutoModel.from_pretrained(str(model(name))).eval()
    for sample in samples:
        arguments = {key: _argument(key, value) for key, value in sample.fields.items()}
        for at, timestep in enumerate((900, 100)):
            expected = native(timestep=torch.tensor([timestep]), **arguments)[0][0]
            torch.testing.assert_close(found[sample.key, "prediction"][at], expected, rtol=0, atol=1e-5)
    for key, value in found.items():
        torch.testing.assert_close(streamed[key], value, rtol=0, atol=1e-5)
    for stack in blueprint.stacks:
        for layer, width in zip(stack.layers, stack.widths, strict=True):
            assert found[samples[0].key, layer].shape[-1] == width, layer


@torch.no_grad()
def test_arrays_inside_an_argument(tmp_path: Path, observed: Callable[..., Any]) -> None:
    """Named by their place, by their name alone, or as a table."""
    _write(added, tmp_path)
    source, words = f"{tmp_path}#timesteps=900,100", {"sample": (4, 8, 8), **WORDS}
    drawn = made(**words, **ADDED)
    inside = [{name: each.fields[name] for name in ADDED} for each in drawn]
    plain = [{name: each.fields[name] for name in words} for each in drawn]
    placed = [{f"added_cond_kwargs.{name}": value for name, value in each.items()} for each in inside]
    ways = (inside, placed, [{"added_cond_kwargs": each} for each in inside])
    native = df.AutoModel.from_pretrained(str(tmp_path)).eval()
    tensors = [{name: torch.as_tensor(value)[None] for name, value in each.items()} for each in (*plain, *inside)]
    for way in ways:
        samples = [Sample(key=str(at), fields={**plain[at], **way[at]}) for at in range(len(plain))]
        found = observed(source, samples, ["prediction"])
        for at, sample in enumerate(samples):
            expected = native(timestep=torch.tensor([900]), **tensors[at],
                              added_cond_kwargs=tensors[len(plain) + at])[0][0]  # fmt: skip
            torch.testing.assert_close(found[sample.key, "prediction"][0], expected, rtol=0, atol=1e-5)
    with pytest.raises(NexusError, match=r"takes added_cond_kwargs\.text_embeds, added_cond_kwargs\.time_ids as"):
        observed(source, [Sample(key="0", fields=plain[0])], ["prediction"])


def _argument(name: str, value: Any) -> Any:
    if not hasattr(value, "shape"):
        return value
    tensor = torch.as_tensor(np.asarray(value))
    return tensor if name.endswith("_ids") else tensor[None]


@torch.no_grad()
def test_a_vae_passes_pictures(
    saved: Callable[[str], Path], pictures: list[Sample], observed: Callable[..., Any]
) -> None:
    source = f"{saved('sd3')}#vae"
    blueprint = Diffusers().inspect(source)
    assert (blueprint.takes, blueprint.gives) == (("image",), ("image",))
    layers = [layer for stack in blueprint.stacks for layer in stack.layers]
    found, streamed = (observed(source, pictures, [*layers, "prediction"], how) for how in ("resident", "stream"))
    native = df.AutoencoderKL.from_pretrained(saved("sd3"), subfolder="vae").eval()
    for sample in pictures:
        pixels = torch.from_numpy(sample.fields["image"]).permute(2, 0, 1)[None].float() / 127.5 - 1
        torch.testing.assert_close(found[sample.key, "prediction"], native(pixels).sample[0], rtol=0, atol=1e-5)
    for key, value in found.items():
        torch.testing.assert_close(streamed[key], value, rtol=0, atol=1e-5)
    with pytest.raises(NexusError, match="takes an image, or 'sample' as an array, but the samples have only: text"):
        Diffusers().open(source, Installed()).collate(made(text="a"))


def test_a_text_encoder_passes_text(
    saved: Callable[[str], Path], prompts: list[Sample], observed: Callable[..., Any]
) -> None:
    source = f"{saved('sd3')}#text_encoder"
    blueprint = Diffusers().inspect(source)
    assert blueprint.head == "CLIPTextModelWithProjection"
    assert blueprint.tokenizer
    assert not blueprint.missing
    layer = blueprint.stacks[0].layers[-1]
    found = observed(source, prompts, [layer, "embedding"])
    assert found[prompts[0].key, layer].shape[-1] == 32
    assert found[prompts[0].key, "embedding"].shape == (32,)


def test_an_image_encoder_passes_pictures(
    saved: Callable[[str], Path], pictures: list[Sample], observed: Callable[..., Any]
) -> None:
    found = observed(f"{saved('svd')}#image_encoder", pictures, ["embedding"])
    assert found[pictures[0].key, "embedding"].shape == (32,)


def test_clean_latents_are_noised_by_the_pipelines_scheduler(
    saved: Callable[[str], Path], observed: Callable[..., Any]
) -> None:
    source = f"{saved('sd3')}#transformer&timesteps=999,1"
    samples = made(latents=(4, 8, 8), encoder_hidden_states=(6, 64), pooled_projections=(64,))
    checkpoint = Diffusers().open(source, Installed())
    batch = checkpoint.collate(samples)
    clean = torch.from_numpy(samples[0].fields["latents"])
    torch.testing.assert_close(batch["hidden_states"][0, 1], clean, rtol=0, atol=0.02)
    assert batch["timestep"].tolist() == [[999, 1], [999, 1]]
    assert observed(source, samples, ["target"])[samples[0].key, "target"].shape == (2, 4, 8, 8)


def test_noise_where_nothing_is_shown(model: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    samples = made(**WORDS, label=1)
    found = observed(str(model("unet")), samples, ["prediction"])
    assert found[samples[0].key, "prediction"].shape == (3, 4, 8, 8)
    with pytest.raises(NexusError, match=r"takes encoder_hidden_states as arrays.*whole pipeline"):
        Diffusers().open(str(model("unet")), Installed()).collate(made(label=1, text="a"))
    with pytest.raises(NexusError, match="lies in no pipeline"):
        Diffusers().open(str(model("unet")), Installed()).collate(made(latents=(4, 8, 8), **WORDS))


def test_old_names_of_attention_are_known(
    saved: Callable[[str], Path], tmp_path: Path, observed: Callable[..., Any]
) -> None:
    """The VAE of Stable Diffusion 1.5 was saved before diffusers renamed its attention."""
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    vae = df.AutoencoderKL(block_out_channels=(16,), norm_num_groups=8, latent_channels=4)
    vae.save_pretrained(tmp_path)
    file = tmp_path / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    stored = load_file(file)
    for new, name in old.items():
        stored = {key.replace(f"attentions.0.{new}.", f"attentions.0.{name}."): each for key, each in stored.items()}
    save_file(stored, file)
    samples = made(count=1, sample=(3, 8, 8))
    found = observed(str(tmp_path), samples, ["prediction"])
    expected = vae.eval()(torch.from_numpy(samples[0].fields["sample"])[None]).sample[0]
    torch.testing.assert_close(found[samples[0].key, "prediction"], expected, rtol=0, atol=1e-5)


def test_a_legacy_class_opens_as_what_it_became(model: Callable[[str], Path], tmp_path: Path) -> None:
    """PixArt's first checkpoints say Transformer2DModel."""
    import json
    import shutil

    shutil.copytree(model("pixart"), tmp_path / "old")
    config = json.loads((tmp_path / "old" / "config.json").read_text()) | {"_class_name": "Transformer2DModel"}
    (tmp_path / "old" / "config.json").write_text(json.dumps(config))
    assert Diffusers().inspect(str(tmp_path / "old")).head == "PixArtTransformer2DModel"


@pytest.mark.parametrize("variant", ["diffusion_pytorch_model.fp16.safetensors", "sharded"])
def test_variants_and_shards(variant: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = unet().half()
    if variant == "sharded":
        module.save_pretrained(tmp_path, max_shard_size="300KB", variant="fp16")
        assert (tmp_path / "diffusion_pytorch_model.safetensors.index.fp16.json").is_file()
    else:
        module.save_pretrained(tmp_path, variant="fp16")
    found = Diffusers().inspect(str(tmp_path))
    assert (found.dtype, found.bytes) == ("F16", 2 * found.parameters)
