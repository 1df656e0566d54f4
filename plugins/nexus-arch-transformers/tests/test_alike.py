"""Sounds and pictures of unequal size are no one batch: what fills them up is never recorded, nor taken for a part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Installed, NexusError, Sample, Tap
from nexus_specs.testing import ListSink, sample
from nexus_torch.hugging_face.inputs.processor import check_kept, check_parts
from torch import Tensor

RANDOM = np.random.default_rng(0)


def observed(home: Path, samples: list[Sample], tap: str, together: int) -> list[Tensor]:
    checkpoint, sink = Transformers().open(str(home), Installed()), ListSink()
    with Installed().make("engine", "sli").load(checkpoint, Budget(micro_batch=together)) as teacher:
        teacher.observe(samples, [Tap(path=tap)], sink)
    found = {key: value for piece in sink.pieces for key, value in zip(piece.keys, piece.values, strict=True)}
    return [torch.as_tensor(found[each.key]) for each in samples]


def each_alone(home: Path, samples: list[Sample], tap: str) -> list[Tensor]:
    """Small samples pass together whatever the budget says: these do not."""
    return [observed(home, [one], tap, 1)[0] for one in samples]


@pytest.fixture
def hearer(tmp_path: Path) -> Callable[..., Path]:
    """A Wav2Vec2 that sees padding (no mask)."""

    def make() -> Path:
        torch.manual_seed(0)
        config = hf.Wav2Vec2Config(
            vocab_size=20, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
            conv_dim=(16, 16), conv_stride=(5, 2), conv_kernel=(10, 3), num_feat_extract_layers=2,
            num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
        )  # fmt: skip
        hf.Wav2Vec2Model(config).save_pretrained(tmp_path / "hearer")
        hf.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(tmp_path / "hearer")
        return tmp_path / "hearer"

    return make


@pytest.mark.parametrize("tap", ["embedding", "encoder.layers.1"])
def test_a_sound_is_what_it_is_alone(tap: str, hearer: Callable[..., Path]) -> None:
    home = hearer()
    sounds = [sample(audio=RANDOM.standard_normal(length).astype(np.float32)) for length in (1600, 900, 2000, 900)]
    alone, together = each_alone(home, sounds, tap), observed(home, sounds, tap, 4)
    for one, other in zip(alone, together, strict=True):
        assert one.shape == other.shape
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    "wrong", [np.ones(1600, np.int16), np.ones((2, 1600), np.float32), np.ones(0, np.float32), np.full(1600, np.nan)]
)
def test_what_is_no_sound_is_said(wrong: Any, hearer: Callable[..., Path]) -> None:
    with pytest.raises(NexusError, match=r"hears one channel of float32"):
        Transformers().open(str(hearer()), Installed()).collate([sample(audio=wrong)])


def test_pictures_of_unequal_size_do_not_meet(tmp_path: Path) -> None:
    """YOLOS has no mask for what fills them up."""
    torch.manual_seed(0)
    config = hf.YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, image_size=[32, 48],
        patch_size=8, num_detection_tokens=3,
    )  # fmt: skip
    hf.YolosForObjectDetection(config).save_pretrained(tmp_path)
    hf.YolosImageProcessorPil(size={"shortest_edge": 24, "longest_edge": 48}).save_pretrained(tmp_path)
    shapes = ((30, 30, 3), (24, 40, 3), (40, 24, 3))
    pictures = [sample(image=RANDOM.integers(256, size=each, dtype=np.uint8)) for each in shapes]
    alone, together = each_alone(tmp_path, pictures, "embedding"), observed(tmp_path, pictures, "embedding", 3)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(alone, together, strict=True))


def test_pictures_of_one_size_in_the_end_stay_together(checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("vit")), Installed())
    pictures = [sample(image=RANDOM.integers(256, size=(side, 9, 3), dtype=np.uint8)) for side in (8, 9, 12)]
    assert [list(each) for each in checkpoint.groups(pictures)] == [[0, 1, 2]]


def test_a_masked_autoencoder_hides_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"image_size": 32, "patch_size": 8, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 48, "decoder_hidden_size": 16, "decoder_num_hidden_layers": 1,
        "decoder_num_attention_heads": 2, "decoder_intermediate_size": 24}  # fmt: skip
    model = hf.ViTMAEForPreTraining(hf.ViTMAEConfig(**sizes)).eval()
    model.save_pretrained(tmp_path)
    hf.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path)
    pictures = [sample(image=RANDOM.integers(256, size=(32, 32, 3), dtype=np.uint8)) for _ in range(3)]
    layer, vectors = "vit.layers.1", [each_alone(tmp_path, pictures, "embedding")]
    vectors.append(observed(tmp_path, pictures, "embedding", 3))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(*vectors, strict=True))
    states = observed(tmp_path, pictures, layer, 3)
    assert [each.shape for each in states] == [(17, 32)] * 3
    model.config.mask_ratio = 0.0
    pixels = Transformers().open(str(tmp_path), Installed()).collate(pictures)["pixel_values"]
    with torch.no_grad():
        right = model.vit(pixels, noise=torch.arange(16.0).expand(3, -1)).last_hidden_state
    assert torch.allclose(torch.stack(vectors[1]), right.mean(1), atol=1e-5)


@pytest.mark.parametrize("length", [3, 4, 9])
def test_a_film_has_as_many_frames_as_its_model(length: int, checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("videomae")), Installed())
    film = RANDOM.integers(256, size=(length, 16, 16, 3), dtype=np.uint8)
    taken = film[np.linspace(0, length - 1, 4).round().astype(int)]
    given, right = (checkpoint.collate([sample(video=each)])["pixel_values"] for each in (film, taken))
    assert given.shape[1] == 4
    assert torch.equal(given, right)


@pytest.mark.parametrize("fields", [{"image": "a path"}, {"image": np.ones((8, 8, 5), np.uint8)}, {"image": 7}])
def test_what_a_processor_raises_names_the_sample(
    fields: dict[str, Any], checkpoint_folder: Callable[[str], Path]
) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("vit")), Installed())
    with pytest.raises(NexusError):
        checkpoint.collate([sample(**fields)])


class Processor:
    """Of films and pictures, here without its part for films."""

    image_processor = "there"

    @classmethod
    def get_attributes(cls) -> list[str]:
        return ["image_processor", "video_processor"]


def test_a_film_that_a_processor_would_leave_out_is_said() -> None:
    check_parts(Processor(), ["image"], "seer")
    with pytest.raises(NexusError, match=r"'seer' has no video_processor here.*Films need torchvision"):
        check_parts(Processor(), ["image", "video"], "seer")
    check_kept({"input_ids": 0, "pixel_values_videos": 0}, ["video"], "seer")
    with pytest.raises(NexusError, match=r"makes nothing of `video`: its batch has input_ids"):
        check_kept({"input_ids": 0}, ["video"], "seer")


def test_an_empty_rate_is_none(hearer: Callable[..., Path]) -> None:
    checkpoint = Transformers().open(str(hearer()), Installed())
    sound = RANDOM.standard_normal(1600).astype(np.float32)
    assert checkpoint.collate([sample(audio=sound, rate=None)])["input_values"].shape == (1, 1600)
    with pytest.raises(NexusError, match=r"makes nothing of the sample .* It holds: audio \(float32 \[1600\]\), rate"):
        checkpoint.collate([sample(audio=sound, rate="often")])
