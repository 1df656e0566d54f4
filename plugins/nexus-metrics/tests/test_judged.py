"""Metrics whose judge is an encoder, a small one here, and the distance of distributions, by hand."""

from __future__ import annotations

from typing import Any

import nexus_metrics.plugin as plugin
import numpy as np
import pytest
from nexus_metrics.judged import ClipScore, FrechetDistance, SpeakerSimilarity, cosine, frechet
from nexus_specs import NexusError, Sample
from nexus_specs.testing import MetricTests, sample

RANDOM = np.random.default_rng(0)
SOUNDS = [RANDOM.standard_normal(64) for _ in range(3)]


class Eyes:
    """An encoder whose embedding is the mean colour, or the letters' count."""

    def embedding(self, **fields: Any) -> np.ndarray:
        value = np.asarray(next(iter(fields.values())), np.float64)
        return value.mean(tuple(range(value.ndim - 1))) if value.ndim > 1 else value[:3]

    def pair(self, image: Any, text: str) -> tuple[np.ndarray, np.ndarray]:
        return self.embedding(image=image), np.array([text.count(each) for each in "rgb"], np.float64)


class Seeing(MetricTests):
    """Metrics with an encoder, which is a small one here."""

    def component(self) -> Any:
        made = super().component()
        made.__dict__["encoder"] = Eyes()
        return made


def picture(at: int) -> np.ndarray:
    return np.random.default_rng(at).integers(0, 255, (4, 4, 3), np.uint8)


class TestClip(Seeing):
    plugin = plugin
    name = "clip_score"

    def samples(self) -> list[Sample]:
        return [sample(text="red"), sample(text="green"), sample(text="brb")]

    def outputs(self) -> dict[str, list]:
        return {"answer": [picture(at) for at in range(3)]}


class TestFrechet(Seeing):
    plugin = plugin
    name = "frechet_distance"

    def samples(self) -> list[Sample]:
        return [sample(image=picture(at)) for at in range(6)]

    def outputs(self) -> dict[str, list]:
        return {"answer": [picture(at + 50) for at in range(6)]}


class TestVoices(Seeing):
    plugin = plugin
    name = "speaker_similarity"

    def samples(self) -> list[Sample]:
        return [sample(audio=each) for each in SOUNDS]

    def outputs(self) -> dict[str, list]:
        return {"answer": SOUNDS[::-1]}


def test_frechet_distance_of_normal_distributions() -> None:
    """Between N(m, C) and N(m', C) it is |m - m'|²; between N(0, 1) and N(0, s²) in one dimension (1 - s)²."""
    points = np.random.default_rng(0).standard_normal((500, 4))
    assert frechet(points, points) == pytest.approx(0, abs=1e-9)
    assert frechet(points, points + np.array([3, 0, 4, 0])) == pytest.approx(25)
    line = (points[:, :1] - points[:, :1].mean()) / points[:, :1].std(ddof=1)
    assert frechet(line, 3 * line) == pytest.approx(4)


def test_frechet_distance_agrees_with_matrix_roots() -> None:
    one, other = (np.random.default_rng(seed).standard_normal((60, 3)) @ np.diag([1, 2, 3]) for seed in (0, 1))
    covariances = [np.cov(each.T) for each in (one, other)]
    values = np.linalg.eigvals(covariances[0] @ covariances[1])
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(sum(covariances)) - 2 * np.sqrt(values).real.sum()
    assert frechet(one, other) == pytest.approx(expected)


def test_frechet_distance_is_the_same_with_few_items_and_none_of_no_numbers() -> None:
    one, other = (np.random.default_rng(seed).standard_normal((9, 4)) for seed in (0, 1))
    wide = [np.hstack([each, np.zeros((9, 20))]) for each in (one, other)]
    assert frechet(*wide) == pytest.approx(frechet(one, other))
    assert np.isnan(frechet(one * np.nan, other))


def test_encoders_judge() -> None:
    red = np.zeros((4, 4, 3), np.uint8)
    red[..., 0] = 200
    clip, distance, voices = ClipScore(encoder="x"), FrechetDistance(encoder="x"), SpeakerSimilarity(encoder="x")
    for metric in (clip, distance, voices):
        metric.__dict__["encoder"] = Eyes()
    asked = [sample(text="rrr"), sample(text="b"), sample(other=1)]
    assert clip.measure(asked, {"answer": [red] * 3}) == [(100.0,), (0.0,), ()]
    assert clip.floor([], [sample(text="rgb")]) == pytest.approx(100)
    pictures = [sample(image=np.full((2, 2, 3), at * 40, np.uint8)) for at in range(4)]
    rows = distance.measure(pictures, {"answer": [each.fields["image"] for each in pictures]})
    assert distance.reduce(rows) == pytest.approx(0, abs=1e-6)
    assert distance.floor([], pictures) > 1000
    sounds = [sample(audio=np.array([1.0, 0, 0, 0], np.float32)), sample(audio=np.array([0, 1.0, 0, 0], np.float32))]
    assert voices.measure(sounds, {"answer": [sounds[0].fields["audio"]] * 2}) == [(1.0,), (0.0,)]
    assert voices.floor([], sounds) == 0
    assert cosine(np.zeros(3), np.ones(3)) == 0


def test_what_is_no_sound_and_no_picture_is_refused() -> None:
    """A teacher of speech may answer with codes or words: a score of these would be a number, and mean nothing."""
    voices, clip = SpeakerSimilarity(encoder="x"), ClipScore(encoder="x")
    voices.__dict__["encoder"] = clip.__dict__["encoder"] = Eyes()
    for answer in (np.arange(32).reshape(2, 16), "words", [1, 2]):
        with pytest.raises(NexusError, match="compares sounds"):
            voices.measure([sample(audio=SOUNDS[0])], {"answer": [answer]})
    with pytest.raises(NexusError, match="uint8"):
        clip.measure([sample(text="r")], {"answer": [np.full((4, 4, 3), 0.5)]})


def test_a_voice_is_heard_at_its_rate() -> None:
    given: list[dict[str, Any]] = []

    class Ears(Eyes):
        def embedding(self, **fields: Any) -> np.ndarray:
            given.append(fields)
            return super().embedding(**fields)

    voices = SpeakerSimilarity(encoder="x")
    voices.__dict__["encoder"] = Ears()
    voices.measure([sample(audio=SOUNDS[0], rate=24_000)], {"answer": [SOUNDS[1]]})
    assert [each.get("rate") for each in given] == [None, 24_000]


def test_of_a_long_film_as_many_frames_are_seen_as_the_encoder_takes() -> None:
    class Films(Eyes):
        frames = 4

        def embedding(self, **fields: Any) -> np.ndarray:
            assert len(fields["video"]) == 4
            return np.asarray(fields["video"], np.float64).mean((1, 2, 3))

    distance = FrechetDistance(encoder="x")
    distance.__dict__["encoder"] = Films()
    film = np.arange(9, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    assert distance.measure([sample(video=film[:7])], {"answer": [film]}) == [(0, 3, 5, 8, 0, 2, 4, 6)]


@pytest.mark.parametrize("metric", [ClipScore(), FrechetDistance(), SpeakerSimilarity()])
def test_an_encoder_must_be_named(metric: Any) -> None:
    with pytest.raises(NexusError, match="a checkpoint that you name"):
        assert metric.encoder
