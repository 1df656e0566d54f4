"""Zero-shot accuracy: by hand, and against transformers' own CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nexus_metrics.plugin as plugin
import numpy as np
import pytest
import torch
import transformers as hf
from nexus_metrics.prompted import ZeroShotAccuracy
from nexus_specs import NexusError, Sample
from nexus_specs.testing import MetricTests, sample
from tokenizers import Tokenizer, models, pre_tokenizers

LABELS = ("cat", "dog", "bird")


class Words:
    """An encoder that knows how often three letters stand in a text."""

    def pair(self, image: Any, text: str) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(3), np.array([text.count(each) for each in "tgb"], np.float64)


class TestZeroShot(MetricTests):
    plugin = plugin
    name = "zero_shot_accuracy"
    options = {"labels": LABELS, "encoder": "x", "templates": ("{}",)}

    def component(self) -> Any:
        made = super().component()
        made.__dict__["encoder"] = Words()
        return made

    def samples(self) -> list[Sample]:
        return [sample(text="a", label=0), sample(text="b", label="dog"), sample(text="c", label=2), sample(text="d")]

    def outputs(self) -> dict[str, list]:
        return {"embedding": [np.eye(3)[at] for at in (0, 1, 0, 2)]}


def test_by_hand() -> None:
    metric = ZeroShotAccuracy(labels=LABELS, encoder="x", templates=("{}",))
    metric.__dict__["encoder"] = Words()
    samples = [sample(text=str(at), label=at) for at in range(3)] + [sample(text="no label")]
    found = {"embedding": [np.array([5.0, 1, 0]), np.array([1.0, 0, 0]), np.array([0.0, 1, 9]), np.ones(3)]}
    assert metric.measure(samples, found) == [(1.0,), (0.0,), (1.0,), ()]
    assert metric.floor([], samples) == pytest.approx(1 / 3)
    assert metric.floor([samples[0]] * 3, [samples[0], samples[0], samples[1]]) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("options", "fields", "vector", "said"),
    [
        ({"labels": ()}, {"label": 0}, np.ones(3), "needs the words of the classes"),
        ({}, {"label": "fish"}, np.ones(3), "none of zero_shot_accuracy's labels"),
        ({}, {"label": 3}, np.ones(3), "was given 3 labels"),
        ({}, {"label": 0}, np.ones(4), "not of one space"),
    ],
)
def test_what_does_not_fit_is_said(options: dict, fields: dict, vector: np.ndarray, said: str) -> None:
    metric = ZeroShotAccuracy(**{"labels": LABELS, "encoder": "x"} | options)
    metric.__dict__["encoder"] = Words()
    with pytest.raises(NexusError, match=said):
        metric.measure([sample(text="x", **fields)], {"embedding": [vector]})


def test_an_encoder_must_be_named() -> None:
    with pytest.raises(NexusError, match="a checkpoint that you name"):
        assert ZeroShotAccuracy(labels=LABELS).encoder


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP with a tokenizer of words."""
    torch.manual_seed(0)
    words = ["<s>", "</s>", "<unk>", "a", "photo", "of", ".", *LABELS, "drawing"]
    inner = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    text = {**shape, "vocab_size": len(words), "max_position_embeddings": 16, "eos_token_id": 6, "bos_token_id": 0}
    config = hf.CLIPConfig(text_config=text, vision_config={**shape, "image_size": 28, "patch_size": 14},
                           projection_dim=24)  # fmt: skip
    folder = tmp_path_factory.mktemp("clip")
    hf.CLIPModel(config).save_pretrained(folder)
    hf.PreTrainedTokenizerFast(tokenizer_object=inner, model_max_length=16, **ends).save_pretrained(folder)
    hf.CLIPImageProcessorPil(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(folder)
    return folder


def expected(clip: Path, pictures: Sequence[np.ndarray], templates: Sequence[str]) -> list[int]:
    """Classes of pictures by transformers alone."""
    model = hf.CLIPModel.from_pretrained(clip).eval()
    words, eyes = hf.AutoTokenizer.from_pretrained(clip), hf.CLIPImageProcessorPil.from_pretrained(clip)
    grey = eyes([np.full((224, 224, 3), 128, np.uint8)], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        classes = []
        for name in LABELS:
            units = [model(**words(each.format(name), return_tensors="pt"), pixel_values=grey).text_embeds[0]
                     for each in templates]  # fmt: skip
            classes.append(torch.stack(units).mean(0))
        some = words("a photo", return_tensors="pt")
        seen = [model(**some, pixel_values=eyes([each], return_tensors="pt")["pixel_values"]).image_embeds[0]
                for each in pictures]  # fmt: skip
    return [int(torch.cosine_similarity(torch.stack(classes), each[None]).argmax()) for each in seen]


def test_it_agrees_with_transformers(clip: Path) -> None:
    templates = ("a photo of a {}.", "a drawing of a {}.")
    metric = ZeroShotAccuracy(labels=LABELS, encoder=str(clip), templates=templates)
    draw = np.random.default_rng(0)
    pictures = [draw.integers(0, 256, (28, 28, 3), dtype=np.uint8) for _ in range(6)]
    right = expected(clip, pictures, templates)
    vectors = [metric.encoder.pair(image=each, text="a photo")[0] for each in pictures]
    samples = [sample(text=str(at), label=at % 3) for at in range(6)]
    found = metric.measure(samples, {"embedding": vectors})
    assert found == [(float(place == at % 3),) for at, place in enumerate(right)]
