"""Pipelines that draw their latents in their call, and what else is told in a call alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as df
import numpy as np
import pytest
import torch
from diffusers.pipelines.shap_e import ShapERenderer
from diffusers_files.pipelines import VAE, clip_text, clip_tokenizer, save_made, sd15
from diffusers_files.rarer import UNET, UNSAFE, t5, t5_tokenizer
from nexus_arch_diffusers.rows import rows
from nexus_arch_diffusers.schedule import Schedule
from nexus_specs import Installed, NexusError, Sample
from nexus_specs.testing import sample

Observed = Callable[..., dict[tuple[str, str], torch.Tensor]]
SIDE = 8


def pixel_unet(channels: int) -> df.UNet2DModel:
    return df.UNet2DModel(
        sample_size=SIDE, in_channels=channels, out_channels=channels, layers_per_block=1, block_out_channels=(32, 64),
        norm_num_groups=8, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "channels"), [("DDPM", 3), ("DDIM", 1)])
@torch.no_grad()
def test_pixels_without_words(kind: str, channels: int, tmp_path: Path, observed: Observed) -> None:
    """google/ddpm-cifar10-32: no method draws its noise, and its pictures are no latents."""
    unet, scheduler = pixel_unet(channels), getattr(df, f"{kind}Scheduler")()
    save_made(lambda: getattr(df, f"{kind}Pipeline")(unet=unet, scheduler=scheduler), tmp_path)
    assert Installed().inspect(str(tmp_path)).takes == ("noise",)
    grey = np.random.default_rng(0).integers(256, size=(2, SIDE, SIDE, 1), dtype=np.uint8).repeat(3, -1)
    samples = [sample(image=each) for each in grey]
    source, taps = f"{tmp_path}#timesteps=900,1", ["noisy", "prediction", "target", "unet.down_blocks.0"]
    found, streamed = (observed(source, samples, taps, how) for how in ("resident", "stream"))
    for at, each in enumerate(samples):
        noisy = found[each.key, "noisy"]
        expected = unet.eval()(noisy, torch.tensor([900, 1])).sample
        torch.testing.assert_close(found[each.key, "prediction"], expected, rtol=0, atol=1e-5)
        clean = torch.from_numpy(grey[at]).permute(2, 0, 1)[:channels].float() / 127.5 - 1
        kept = scheduler.alphas_cumprod[torch.tensor([900, 1])].reshape(2, 1, 1, 1)
        again = kept.sqrt() * clean + (1 - kept).sqrt() * found[each.key, "target"]
        torch.testing.assert_close(noisy, again, rtol=0, atol=1e-4)
        assert all(torch.equal(found[each.key, tap], streamed[each.key, tap]) for tap in taps)
    plain = [sample(text=word, seed=at) for at, word in enumerate("ab")]
    drawn = observed(f"{tmp_path}#timesteps=999", plain, ["noisy"])
    assert not torch.equal(drawn[plain[0].key, "noisy"], drawn[plain[1].key, "noisy"])


@torch.no_grad()
def test_labels_of_a_whole_pipeline(tmp_path: Path, observed: Observed) -> None:
    """facebook/DiT-XL-2-256."""
    dit = df.DiTTransformer2DModel(sample_size=SIDE, num_layers=2, patch_size=2, attention_head_dim=8, in_channels=4,
                                   num_attention_heads=2, out_channels=8, num_embeds_ada_norm=10)  # fmt: skip
    vae = df.AutoencoderKL(latent_channels=4, **VAE)
    save_made(lambda: df.DiTPipeline(transformer=dit, vae=vae, scheduler=df.DDIMScheduler()), tmp_path)
    assert Installed().inspect(str(tmp_path)).takes == ("label",)
    samples = [sample(class_labels=3), sample(label=7)]     # a label alone is no part of what a sample is known by
    found = observed(f"{tmp_path}#timesteps=900,100&decode=on", samples, ["noisy", "prediction", "image"])
    for each in samples:
        label = torch.tensor(list(each.fields.values()) * 2)
        expected = dit.eval()(found[each.key, "noisy"], torch.tensor([900, 100]), label).sample
        torch.testing.assert_close(found[each.key, "prediction"], expected, rtol=0, atol=1e-5)
        assert found[each.key, "image"].shape == (3, 2 * SIDE, 2 * SIDE)
    with pytest.raises(NexusError, match=r"takes class_labels \(a whole number in each\), but .* only: text"):
        observed(str(tmp_path), [sample(text="a cat")], ["prediction"])


@torch.no_grad()
def test_states_of_several_layers_of_an_encoder(tmp_path: Path, observed: Observed) -> None:
    """HiDream is given them one layer after another, [L, B, N, D]: several timesteps shared out one sample's words."""
    dit = df.HiDreamImageTransformer2DModel(
        patch_size=2, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8,
        num_attention_heads=4, caption_channels=[16, 16], text_emb_dim=16, num_routed_experts=4, llama_layers=(0, 1),
        num_activated_experts=2, axes_dims_rope=(4, 2, 2), max_resolution=(8, 8),
    ).eval()  # fmt: skip
    dit.save_pretrained(tmp_path)
    shapes = {"hidden_states": (4, 8, 8), "encoder_hidden_states_t5": (6, 16), "pooled_embeds": (16,),
              "encoder_hidden_states_llama3": (2, 6, 16)}  # fmt: skip
    draw = np.random.default_rng(0).standard_normal
    samples = [sample(timesteps=[900, 100], **{name: draw(shape).astype(np.float32) for name, shape in shapes.items()})
               for _ in range(2)]  # fmt: skip
    found = observed(str(tmp_path), samples, ["prediction"])
    for each in samples:
        given = {name: torch.from_numpy(each.fields[name]) for name in shapes}
        layers = given.pop("encoder_hidden_states_llama3")[:, None]
        for at, moment in enumerate((900, 100)):
            expected = dit(**{name: value[None] for name, value in given.items()}, timesteps=torch.tensor([moment]),
                           encoder_hidden_states_llama3=layers).sample  # fmt: skip
            torch.testing.assert_close(found[each.key, "prediction"][at], expected[0], rtol=0, atol=1e-5)
    name, stacked = "encoder_hidden_states_llama3", torch.randn(3, 2, 6, 4)
    places = [(0, 0), (1, 0), (0, 1), (1, 1)]
    torch.testing.assert_close(rows([{name: stacked}] * 2, places, 2)[name], stacked.repeat_interleave(2, 1))


def test_a_pipeline_that_asks_for_the_class_of_its_scheduler() -> None:
    """Bria scales for all but one, by its very class."""
    held, latents = Schedule(df.FlowMatchEulerDiscreteScheduler()).at(300.0), torch.randn(2, 4, 3, 3)
    assert torch.equal(held.scale_model_input(latents, held.timesteps[0]), latents)


def refiner() -> df.DiffusionPipeline:
    """stabilityai/stable-diffusion-xl-refiner-1.0."""
    more = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": 72}  # fmt: skip
    return df.StableDiffusionXLImg2ImgPipeline(
        unet=df.UNet2DConditionModel(**UNET, **more), vae=df.AutoencoderKL(latent_channels=4, **VAE), text_encoder=None,
        tokenizer=None, text_encoder_2=clip_text(), tokenizer_2=clip_tokenizer(), requires_aesthetics_score=True,
        scheduler=df.EulerDiscreteScheduler(beta_schedule="scaled_linear"), force_zeros_for_empty_prompt=False,
    )  # fmt: skip


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_vae_that_a_call_would_move_streams(
    precision: str, tmp_path: Path, pictures: list[Sample], observed: Observed
) -> None:
    """SDXL makes its VAE one of single precision, whose layers are elsewhere."""
    save_made(refiner, tmp_path)
    source, taps = f"{tmp_path}#timesteps=500", ["prediction", "vae.encoder.down_blocks.0"]
    found, streamed = (observed(source, pictures[:1], taps, how, precision=precision) for how in ("resident", "stream"))
    assert all(torch.equal(value, streamed[key]) for key, value in found.items())


def adapter() -> df.DiffusionPipeline:
    """TencentARC/t2iadapter_canny_sd15v2."""
    parts = {name: each for name, each in sd15().components.items() if name not in UNSAFE and name != "image_encoder"}
    guide = df.T2IAdapter(in_channels=3, channels=[32, 64], num_res_blocks=1, downscale_factor=2)
    return df.StableDiffusionAdapterPipeline(adapter=guide, **parts, **UNSAFE)


def latte() -> df.DiffusionPipeline:
    """maxin-cn/Latte-1."""
    transformer = df.LatteTransformer3DModel(
        sample_size=8, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=3, caption_channels=32,
        in_channels=4, out_channels=8, cross_attention_dim=24, norm_type="ada_norm_single", video_length=2,
        norm_elementwise_affine=False,
    )  # fmt: skip
    return df.LattePipeline(transformer=transformer, vae=df.AutoencoderKL(latent_channels=4, **VAE), text_encoder=t5(),
                            tokenizer=t5_tokenizer(), scheduler=df.DDIMScheduler())  # fmt: skip


@pytest.mark.parametrize(
    ("make", "medium", "shape", "more"),
    [(adapter, "image", (3, 16, 16), {}), (latte, "video", (2, 3, 16, 16), {"video_length": 2})],
)
def test_what_is_decoded_has_its_channels_first(
    make: Callable[[], Any], medium: str, shape: tuple[int, ...], more: dict[str, Any], tmp_path: Path,
    pictures: list[Sample], observed: Observed,
) -> None:  # fmt: skip
    """Also where a pipeline gives arrays, whose channels come last, or decodes its frames by their number."""
    save_made(make, tmp_path)
    fields = dict(pictures[0].fields) if make is adapter else {"text": "a red cat"}
    one = sample(**fields, **more)
    found = observed(f"{tmp_path}#timesteps=500&decode=on&height=16&width=16", [one], [medium])
    assert found[one.key, medium].shape == shape


def test_a_class_of_a_package_of_pipelines(tmp_path: Path) -> None:
    """openai/shap-e: diffusers does not export the class of its renderer, and its index says where it is."""
    prior = df.PriorTransformer(num_attention_heads=2, attention_head_dim=16, embedding_dim=8, num_embeddings=8,
                                embedding_proj_dim=32, num_layers=1, clip_embed_dim=16)  # fmt: skip
    renderer = ShapERenderer(param_shapes=((8, 93), (8, 8), (8, 8), (8, 8)), d_latent=8, d_hidden=8, n_output=12)
    save_made(lambda: df.ShapEPipeline(
        prior=prior, text_encoder=clip_text(), tokenizer=clip_tokenizer(), shap_e_renderer=renderer,
        scheduler=df.HeunDiscreteScheduler(prediction_type="sample"),
    ), tmp_path)  # fmt: skip
    assert "shap_e_renderer.mlp.mlp" in {stack.path for stack in Installed().inspect(str(tmp_path)).stacks}
    assert Installed().inspect(f"{tmp_path}#shap_e_renderer").head == "ShapERenderer"
