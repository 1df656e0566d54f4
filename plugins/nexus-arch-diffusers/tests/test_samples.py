"""What samples may carry, and what a pipeline does with it beside being observed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers as df
import numpy as np
import pytest
import torch
from nexus_arch_diffusers.architecture import Diffusers
from nexus_arch_diffusers.collate import PipelineCollate
from nexus_arch_diffusers.options import Options
from nexus_arch_diffusers.vae import encode
from nexus_specs import Budget, Installed, NexusError, Piece, Sample, Tap, content_key


def test_the_same_sample_has_the_same_noise_in_any_company(
    saved: Callable[[str], Path], prompts: list[Sample], observed: Callable[..., Any]
) -> None:
    source = f"{saved('sd3')}#max_sequence_length=24&timesteps=900,100"
    together, alone = (observed(source, prompts, ["noisy", "prediction"], batch=size) for size in (3, 1))
    for key, value in together.items():
        torch.testing.assert_close(alone[key], value, rtol=0, atol=1e-5)
    assert not torch.equal(together[prompts[0].key, "noisy"], together[prompts[1].key, "noisy"])
    assert together[prompts[0].key, "prediction"].shape[0] == 2


def test_a_sample_may_choose_its_timestep(saved: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    source = f"{saved('sd15')}"
    rows = [{"text": "a", "timestep": 10, "seed": 1}, {"text": "a", "timestep": 900, "seed": 1}]
    samples = [Sample(key=content_key(row), fields=row) for row in rows]
    found = observed(source, samples, ["noisy", "prediction"])
    assert found[samples[0].key, "noisy"].std() < found[samples[1].key, "noisy"].std()
    alone, key = observed(source, samples[1:], ["prediction"]), (samples[1].key, "prediction")
    torch.testing.assert_close(alone[key], found[key], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "shape"), [("wan", (16, 3, 2, 2)), ("cogvideo", (3, 4, 2, 2))])
def test_clean_films_are_noised_in_the_pipelines_own_order(
    name: str,
    shape: tuple[int, ...],
    saved: Callable[[str], Path],
    observed: Callable[..., Any],
    layers: Callable[[str], list[str]],
) -> None:
    film = np.random.default_rng(0).integers(256, size=(9, 16, 16, 3), dtype=np.uint8)
    fields = {"text": "a red cat", "video": film}
    samples = [Sample(key=content_key(fields), fields=fields)]
    source = f"{saved(name)}#num_frames=9&height=16&width=16&max_sequence_length=16&count=2"
    taps = [*(layer for layer in layers(source) if "vae" not in layer), "prediction", "target", "noisy"]
    found, streamed = (observed(source, samples, taps, how) for how in ("resident", "stream"))
    assert found[samples[0].key, "prediction"].shape == found[samples[0].key, "target"].shape == (2, *shape)
    for key, value in found.items():
        torch.testing.assert_close(streamed[key], value, rtol=0, atol=1e-5)


def test_films_of_as_many_latent_frames_as_channels_keep_their_order(
    saved: Callable[[str], Path], observed: Callable[..., Any],
) -> None:  # fmt: skip
    """CogVideoX draws its noise frame by frame, and its VAE gives channel by channel: 13 frames are 4 and 4."""
    film = np.random.default_rng(0).integers(256, size=(13, 16, 16, 3), dtype=np.uint8)
    fields = {"text": "a red cat", "video": film}
    one, folder = Sample(key=content_key(fields), fields=fields), saved("cogvideo")
    source = f"{folder}#num_frames=13&height=16&width=16&max_sequence_length=16&timesteps=0"
    shown = observed(source, [one], ["noisy"])[one.key, "noisy"][0]
    clean = encode(df.CogVideoXPipeline.from_pretrained(folder).vae, torch.as_tensor(film)[None])[0].detach()
    likeness = [float(torch.cosine_similarity(shown.flatten(), each.flatten(), dim=0))
                for each in (clean.transpose(0, 1), clean)]  # fmt: skip
    assert likeness[0] > 0.95 > 0.8 > likeness[1]


class Doubled:
    """An edit of one layer: twice its output."""

    def __init__(self, path: str) -> None:
        self.name, self.modules = path, (path,)

    def seen(self, path: str, inputs: Any, output: Any, mask: Any) -> None:
        pass

    def apply(self, path: str, inputs: Any, output: Any) -> Any:
        return 2 * output


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_every_layer_can_be_ablated(
    residency: str, saved: Callable[[str], Path], prompts: list[Sample], layers: Callable[[str], list[str]]
) -> None:
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


def test_half_precision_stays_close(
    saved: Callable[[str], Path], tmp_path: Path, prompts: list[Sample], observed: Callable[..., Any]
) -> None:
    pipe = df.DiffusionPipeline.from_pretrained(saved("sd15"), dtype=torch.bfloat16)
    pipe.save_pretrained(tmp_path / "half")
    source = f"{tmp_path / 'half'}#height=16&width=16&timesteps=501"
    assert Diffusers().inspect(source).dtype == "BF16"
    found = []
    for precision in ("float32", "bfloat16"):
        pieces = observed(source, prompts[:1], ["prediction"], precision=precision)
        found.append(pieces[prompts[0].key, "prediction"].float())
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


def test_without_the_vae(
    saved: Callable[[str], Path],
    prompts: list[Sample],
    pictures: list[Sample],
    observed: Callable[..., Any],
    layers: Callable[[str], list[str]],
) -> None:
    source = f"{saved('sd15')}#vae=off&height=16&width=16"
    assert not any(layer.startswith("vae") for layer in layers(source))
    assert observed(source, prompts[:1], ["prediction"])
    with pytest.raises(NexusError, match="Pictures need the VAE"):
        observed(source, pictures[:1], ["prediction"])


def test_samples_without_what_the_pipeline_takes_are_named(saved: Callable[[str], Path], prompts: list[Sample]) -> None:
    with pytest.raises(NexusError, match=r"takes image.*only: text"):
        Diffusers().open(str(saved("svd")), Installed()).collate(prompts)


def test_ready_embeddings_take_the_place_of_text(
    saved: Callable[[str], Path], prompts: list[Sample], observed: Callable[..., Any]
) -> None:
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


def test_what_only_some_samples_have_is_never_lost() -> None:
    arguments = {"prompt": inspect.Parameter("prompt", inspect.Parameter.KEYWORD_ONLY)}
    collate = PipelineCollate(arguments, Options(), [1.0], "p")
    picture = np.zeros((8, 8, 3), np.uint8)
    rows = [{"text": "a", "image": picture}, {"text": "b"}]
    samples = [Sample(key=content_key(row), fields=row) for row in rows]
    assert collate.groups(samples) == [[0], [1]]
    with pytest.raises(NexusError, match="Only some samples of a batch of 'p' have image"):
        collate(samples)
    assert collate(samples[1:])["prompt"] == ["b"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("sd15#timesteps=-1", "no timestep -1: those of its PNDMScheduler go from 0 to 999"),
     ("sd15#unet&timesteps=500,2000", "no timestep 2000"), ("sd3#timesteps=1001", "no timestep 1001.*from 0 to 1000")],
)  # fmt: skip
def test_a_timestep_that_the_scheduler_has_not_is_refused_at_once(
    name: str, said: str, saved: Callable[[str], Path]
) -> None:
    """A table would give the last step for -1, without a word."""
    folder, _, more = name.partition("#")
    for ask in (Diffusers().inspect, lambda source: Diffusers().open(source, Installed())):
        with pytest.raises(NexusError, match=said):
            ask(f"{saved(folder)}#{more}")


@pytest.mark.parametrize("name", ["sd15#timesteps=0,999", "sd3#timesteps=0.5,1000", "svd#timesteps=-1.5,1.6"])
def test_timesteps_at_both_ends_are_there(name: str, saved: Callable[[str], Path]) -> None:
    folder, _, more = name.partition("#")
    assert Diffusers().inspect(f"{saved(folder)}#{more}").stacks


CONTROL = {
    "block_out_channels": (8, 16), "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "layers_per_block": 1,
    "cross_attention_dim": 8, "attention_head_dim": 4, "norm_num_groups": 4,
    "conditioning_embedding_out_channels": (4, 8),
}  # fmt: skip


@pytest.mark.parametrize("residency", ["resident", "stream"])
@torch.no_grad()
def test_maps_of_several_sizes_are_one_vector(residency: str, tmp_path: Path, observed: Callable[..., Any]) -> None:
    """A ControlNet: every map that it gives, at every timestep."""
    torch.manual_seed(0)
    model = df.ControlNetModel(**CONTROL).eval()
    for each in model.parameters():                         # those that give the maps begin as zeros
        torch.nn.init.normal_(each, std=0.1)
    model.save_pretrained(tmp_path)
    draw = np.random.default_rng(0).standard_normal
    fields = {"sample": draw((4, 8, 8)), "encoder_hidden_states": draw((5, 8)), "controlnet_cond": draw((3, 16, 16))}
    fields = {name: each.astype("float32") for name, each in fields.items()}
    one = Sample(key="c" * 64, fields={**fields, "timesteps": [900, 100]})
    found = observed(str(tmp_path), [one], ["output", "prediction"], residency)
    given = {name: torch.tensor(each)[None] for name, each in fields.items()}
    rows = []
    for moment in (900, 100):
        maps = model(given["sample"], moment, given["encoder_hidden_states"], given["controlnet_cond"])
        every = [*maps.down_block_res_samples, maps.mid_block_res_sample]
        assert len({each.shape for each in every}) > 1
        rows.append(torch.cat([each.flatten() for each in every]))
    torch.testing.assert_close(found[one.key, "prediction"], torch.stack(rows), rtol=0, atol=1e-5)
    torch.testing.assert_close(found[one.key, "output"], torch.cat(rows), rtol=0, atol=1e-5)


def test_a_streamed_pipeline_does_no_more_than_a_resident_one(
    saved: Callable[[str], Path], prompts: list[Sample], observed: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asked for pictures: the VAE, whose arithmetic at full size is more than the denoiser's, does not run."""

    def runs(*_: Any, **__: Any) -> None:
        raise AssertionError("the VAE runs")

    monkeypatch.setattr(df.AutoencoderKL, "encode", runs)
    monkeypatch.setattr(df.AutoencoderKL, "decode", runs)
    source, taps = f"{saved('sd15')}#count=1", ["prediction", "unet.mid_block.resnets.0"]
    resident, streamed = (observed(source, prompts, taps, how) for how in ("resident", "stream"))
    for key, value in resident.items():
        torch.testing.assert_close(streamed[key], value, rtol=0, atol=0)


@pytest.mark.parametrize("residency", ["resident", "stream"])
def test_a_film_of_words_alone(residency: str, saved: Callable[[str], Path], observed: Callable[..., Any]) -> None:
    """Wan, also where somebody looks at the encoder that it does without: a grey picture of a size that it takes."""
    source = f"{saved('wan')}#num_frames=5&height=16&width=16&max_sequence_length=16&count=1"
    fields = {"text": "a red cat"}
    sample, tap = Sample(key=content_key(fields), fields=fields), "vae.encoder.mid_block.resnets.0"
    plain = observed(source, [sample], ["prediction"], residency)
    looked = observed(source, [sample], ["prediction", tap], residency)
    torch.testing.assert_close(plain[sample.key, "prediction"], looked[sample.key, "prediction"], rtol=0, atol=0)
    assert looked[sample.key, tap].isfinite().all()
