"""Metrics of answers, embeddings and what is made, against values known from elsewhere or worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import nexus_metrics.plugin as plugin
import numpy as np
import pytest
from nexus_metrics.judged import ClipScore, FrechetDistance, SpeakerSimilarity, cosine, frechet
from nexus_metrics.judging import ChoiceAccuracy, NumberMatch, chosen, last_number
from nexus_metrics.neighbours import KnnAccuracy
from nexus_metrics.programs import PassAt1, passes, program_of
from nexus_metrics.reconstructed import MeanSquaredError, SignalToDistortion, VarianceExplained, decibels
from nexus_metrics.references import edits
from nexus_metrics.spoken import CharacterErrorRate, WordErrorRate
from nexus_metrics.translated import Bleu, Chrf
from nexus_specs import NexusError, Sample, content_key
from nexus_specs.testing import MetricTests


def sample(**fields: object) -> Sample:
    return Sample(key=content_key(fields), fields=fields)


RANDOM = np.random.default_rng(0)
SOUNDS = [RANDOM.standard_normal(64) for _ in range(3)]


class TestNumber(MetricTests):
    plugin = plugin
    name = "number_match"

    def samples(self) -> list[Sample]:
        return [sample(text="a", answer="so 6 * 7 #### 42"), sample(text="b", answer="1,000"), sample(text="c")]

    def outputs(self) -> dict[str, list]:
        return {"answer": ["It is 42.0.", "999", "7"]}


class TestChoice(MetricTests):
    plugin = plugin
    name = "choice_accuracy"

    def samples(self) -> list[Sample]:
        return [sample(text="a", answer="B"), sample(text="b", answer=0, choices=["red", "blue"]), sample(text="c")]

    def outputs(self) -> dict[str, list]:
        return {"answer": ["(B)", "blue", "?"]}


class TestWords(MetricTests):
    plugin = plugin
    name = "word_error_rate"

    def samples(self) -> list[Sample]:
        return [sample(text="the cat sat"), sample(text="on the mat")]

    def outputs(self) -> dict[str, list]:
        return {"answer": ["The cat, sat!", "on mat"]}


class TestCharacters(TestWords):
    name = "character_error_rate"


class TestBleu(MetricTests):
    plugin = plugin
    name = "bleu"

    def samples(self) -> list[Sample]:
        return [sample(text="x", translation="the cat sat on the mat"), sample(text="y", translation="hello world")]

    def outputs(self) -> dict[str, list]:
        return {"answer": ["the cat sat on a mat", "hello world"]}


class TestChrf(TestBleu):
    name = "chrf"


class TestNeighbours(MetricTests):
    plugin = plugin
    name = "knn_accuracy"

    def samples(self) -> list[Sample]:
        return [sample(text=str(at), label=at % 2) for at in range(8)]

    def outputs(self) -> dict[str, list]:
        return {"embedding": [np.array([1.0, 0.1 * at]) if at % 2 else np.array([0.1 * at, 1.0]) for at in range(8)]}


class TestSquares(MetricTests):
    plugin = plugin
    name = "mean_squared_error"

    def samples(self) -> list[Sample]:
        return [sample(text=str(at)) for at in range(3)]

    def outputs(self) -> dict[str, list]:
        return {"prediction": [np.ones((2, 3))] * 3, "target": [np.full((2, 3), at) for at in range(3)]}


class TestVariance(TestSquares):
    name = "variance_explained"

    def outputs(self) -> dict[str, list]:
        return {"prediction": [np.zeros((4, 2))] * 3, "target": [RANDOM.standard_normal((4, 2)) for _ in range(3)]}


class TestDistortion(MetricTests):
    plugin = plugin
    name = "signal_to_distortion"

    def samples(self) -> list[Sample]:
        return [sample(audio=each) for each in SOUNDS]

    def outputs(self) -> dict[str, list]:
        return {"answer": [each + 0.1 * np.cos(np.arange(64)) for each in SOUNDS]}


def test_numbers_are_compared_as_numbers() -> None:
    assert last_number("1,000 then 2.50") == last_number("2.5")
    assert last_number("-3") != last_number("3")
    assert last_number("9" * 500) is None
    rows = NumberMatch().measure([sample(answer="#### 12")] * 3, {"answer": ["x = 12", "12 or 13", "none"]})
    assert rows == [(1.0,), (0.0,), (0.0,)]
    train = [sample(answer="3"), sample(answer="3"), sample(answer="4")]
    assert NumberMatch().floor(train, [sample(answer="3")]) == 1.0


@pytest.mark.parametrize(
    ("answer", "place"),
    [("B", 1), ("(b)", 1), ("b.", 1), ("The answer is C.", 2), ("Answer: (D)", 3), ("I think A) is right", 0),
     ("blue", 1), ("It is the blue one", 1), ("red or blue", None), ("", None), ("E", None)],
)  # fmt: skip
def test_choices_are_read_from_answers(answer: str, place: int | None) -> None:
    assert chosen(answer, ["red", "blue", "green", "black"], 4) == place


def test_choices_floor_is_chance() -> None:
    held_out = [sample(answer="A", choices=["1", "2"]), sample(answer="A", choices=["1", "2", "3", "4"])]
    assert ChoiceAccuracy().floor([], held_out) == pytest.approx((1 / 2 + 1 / 4) / 2)


def test_word_errors_by_hand() -> None:
    metric = WordErrorRate()
    rows = metric.measure([sample(text="the quick brown fox")] * 2, {"answer": ["the quick fox jumped", ""]})
    assert rows == [(2.0, 4.0), (4.0, 4.0)]
    assert metric.reduce(rows) == pytest.approx(6 / 8)
    assert WordErrorRate(normalise=False).measure([sample(text="A b")], {"answer": ["a b"]}) == [(1.0, 2.0)]
    assert CharacterErrorRate().measure([sample(text="abc")], {"answer": ["abd"]}) == [(1.0, 3.0)]
    assert metric.floor([], [sample(text="a")]) == 1.0
    assert edits("intention", "execution") == 5


def test_bleu_by_hand() -> None:
    reference, answer = "the cat is on the mat", "the the cat mat"
    row = Bleu().counts(reference, answer)
    assert row == (4.0, 1.0, 0.0, 0.0, 4.0, 3.0, 2.0, 1.0, 4.0, 6.0)
    precisions = [4 / 4, 1 / 3, 1 / (2 * 2), 1 / (4 * 1)]
    expected = 100 * math.exp(1 - 6 / 4) * math.prod(precisions) ** 0.25
    assert Bleu().score(np.array(row)) == pytest.approx(expected)
    assert Bleu().reduce([Bleu().counts(reference, reference)]) == pytest.approx(100)
    assert Bleu().reduce([Bleu().counts(reference, "")]) == 0
    assert math.isnan(Bleu().reduce([]))


def test_chrf_by_hand() -> None:
    assert Chrf().reduce([Chrf().counts("a cat", "a cat")]) == pytest.approx(100)
    assert Chrf().reduce([Chrf().counts("abc", "xyz")]) == 0
    row = np.array(Chrf().counts("ab", "abc")).reshape(-1, 3)
    assert row[:3].tolist() == [[2, 3, 2], [1, 2, 1], [0, 1, 0]]
    assert row[6:].tolist() == [[0, 1, 1], [0, 0, 0]]
    one = 5 * (2 / 3) * 1 / (4 * (2 / 3) + 1)
    two = 5 * (1 / 2) * 1 / (4 * (1 / 2) + 1)
    assert Chrf().score(row.ravel()) == pytest.approx(100 * (one + two + 0) / 3)


def test_a_reference_may_stand_in_the_answer_of_a_sample() -> None:
    assert WordErrorRate().measure([sample(audio=[0.0], answer="a b")], {"answer": ["a c"]}) == [(1.0, 2.0)]
    pair = sample(text="Hallo Welt hello world", prompt="Translate: Hallo Welt", original="Hallo Welt", answer="hello")
    assert Bleu().floor([], [pair]) == Bleu().reduce(Bleu().measure([pair], {"answer": ["Hallo Welt"]}))


def test_a_translation_that_is_the_source_is_the_floor() -> None:
    held_out = [sample(text="bonjour Paris", translation="hello Paris")]
    assert 0 < Chrf().floor([], held_out) < 100
    assert Bleu().floor([], [sample(translation="hello")]) == 0


def test_corpus_scores_of_many_draws_are_those_of_one() -> None:
    rows = [Chrf().counts("the cat sat", text) for text in ("the cat", "a cat sat", "dog")]
    picks = np.array([[0, 1, 2], [0, 0, 1]])
    assert Chrf().reduce_many(rows, picks).tolist() == [Chrf().reduce([rows[at] for at in pick]) for pick in picks]


def test_neighbours_leave_the_item_itself_out() -> None:
    metric = KnnAccuracy(neighbours=1)
    same = [(0.0, 1.0, 0.0), (0.0, 1.0, 0.1), (1.0, 0.0, 1.0), (1.0, 0.1, 1.0)]
    assert metric.reduce(same) == 1.0
    assert metric.reduce([*same[:2], same[2], same[2]]) == 0.5, "twice the same item has no neighbour of its label"
    words = [sample(text=str(at), label=word) for at, word in enumerate(("cat", "cat", "dog", "dog"))]
    rows = metric.measure(words, {"embedding": [np.array(row[1:]) for row in same]})
    assert metric.reduce(rows) == 1.0
    assert metric.floor([], words) == 0.5
    assert math.isnan(metric.reduce(same[:1]))


def test_squares_and_variance_by_hand() -> None:
    target = np.array([[0.0, 0.0], [2.0, 4.0]])
    outputs: Mapping[str, Any] = {"prediction": [np.array([[0.0, 0.0], [2.0, 2.0]])], "target": [target]}
    assert MeanSquaredError().measure([sample(text="a")], outputs) == [(4.0, 4.0)]
    assert VarianceExplained().measure([sample(text="a")], outputs) == [(6.0, 10.0)]
    assert VarianceExplained().reduce([(6.0, 10.0)]) == pytest.approx(0.6)
    learned = {"prediction": [np.concatenate([target, target + 9], 1)], "target": [target]}
    assert MeanSquaredError().measure([sample(text="a")], learned) == [(0.0, 4.0)]
    with pytest.raises(NexusError, match="shape"):
        MeanSquaredError().measure([sample(text="a")], {"prediction": [np.zeros(3)], "target": [target]})
    named = MeanSquaredError(found="made", wanted="real")
    assert [tap.path for tap in named.taps] == ["made", "real"]


def test_distortion_does_not_mind_loudness() -> None:
    signal = np.sin(np.arange(1000))
    noise = np.cos(np.arange(1000) * 1.7)
    noise -= noise @ signal / (signal @ signal) * signal
    noise *= np.linalg.norm(signal) / np.linalg.norm(noise) / 10
    assert decibels(signal + noise, signal) == pytest.approx(20, abs=0.1)
    assert decibels(5 * (signal + noise), signal) == pytest.approx(20, abs=0.1)
    assert decibels(signal, signal) == 100
    assert decibels(signal, np.zeros(1000)) is None
    assert SignalToDistortion().floor([], [sample(audio=signal)]) == 0


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


class Eyes:
    """An encoder whose embedding is the mean colour, or the letters' count."""

    def embedding(self, **fields: Any) -> np.ndarray:
        value = np.asarray(next(iter(fields.values())), np.float64)
        return value.mean(tuple(range(value.ndim - 1))) if value.ndim > 1 else value[:3]

    def pair(self, image: Any, text: str) -> tuple[np.ndarray, np.ndarray]:
        return self.embedding(image=image), np.array([text.count(each) for each in "rgb"], np.float64)


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


@pytest.mark.parametrize("metric", [ClipScore(), FrechetDistance(), SpeakerSimilarity()])
def test_an_encoder_must_be_named(metric: Any) -> None:
    with pytest.raises(NexusError, match="a checkpoint that you name"):
        assert metric.encoder


def test_programs_are_not_run_unless_allowed() -> None:
    task = sample(text="def f():\n", tests="assert f() == 1")
    for options in ({}, {"run": False}, {"run": "yes"}):
        with pytest.raises(NexusError, match="run: true"):
            PassAt1(**options)
    assert PassAt1(run=True).measure([sample(text="x")], {"answer": ["y"]}) == [()]
    assert PassAt1(run=True).floor([], [task]) == 0


def test_programs_are_put_together() -> None:
    prompt = "def f(x):\n    '''Doubles.'''\n"
    assert program_of(prompt, "    return 2 * x\n\nprint(f(2))").endswith("return 2 * x")
    assert program_of(prompt, "Here:\n```python\ndef f(x):\n    return 2\n```\nDone.") == "def f(x):\n    return 2"
    assert program_of(prompt, "import math\ndef f(x):\n    return x\n") == "import math\ndef f(x):\n    return x"
    assert program_of(prompt, "```\n    return x\n```") == prompt + "    return x"
    assert program_of("Double a number.", "Sure:\ndef f(x):\n    return 2 * x\n") == "def f(x):\n    return 2 * x"

@pytest.fixture(scope="module")
def confines() -> None:
    try:
        passes("pass", 5, 512)
    except NexusError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("confines")
@pytest.mark.parametrize(
    ("program", "passed"),
    [
        ("import math, re, heapq\nassert math.sqrt(4) == 2", True), ("assert False", False), ("def f(:", False),
        ("while True: pass", False), ("x = 'a' * (1 << 33)", False), ("import sys; sys.exit(3)", False),
        ("import socket; socket.create_connection(('127.0.0.1', 1), 1)", False), ("import os; os.fork()", False),
        ("open('/etc/passwd').read()", False), ("open('x', 'w').write('1' * 99999)", False),
        ("import subprocess", False),
        ("import os; assert not os.path.exists('/etc')", True),
    ],
)  # fmt: skip
def test_programs_are_confined(program: str, passed: bool) -> None:
    assert passes(program, 1, 512) == passed


@pytest.mark.usefixtures("confines")
def test_human_eval_and_mbpp_tasks() -> None:
    metric = PassAt1(run=True)
    tests = "def check(candidate):\n    assert candidate(2) == 4\n"
    solved = "def double(x):\n    return 2 * x\n"  # the text to learn from holds the solution, the prompt does not
    human = sample(text=solved, prompt="def double(x):\n", tests=tests, entry_point="double")
    mbpp = sample(text="Double a number.", tests=["assert double(2) == 4", "assert double(0) == 0"])
    answers = ["    return 2 * x\n", "```python\ndef double(x):\n    return x + x\n```"]
    assert metric.measure([human, mbpp], {"answer": answers}) == [(1.0,), (1.0,)]
    assert metric.measure([human], {"answer": ["    return x"]}) == [(0.0,)]


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


@pytest.mark.usefixtures("confines")
class TestPrograms(MetricTests):
    """Programs run, confined, since the option allows it."""

    plugin = plugin
    name = "pass_at_1"
    options: Mapping[str, Any] = {"run": True, "seconds": 5}

    def samples(self) -> list[Sample]:
        return [sample(text="def f():\n", tests="assert f() == 1"), sample(text="def f():\n", tests="assert f() == 2")]

    def outputs(self) -> dict[str, list]:
        return {"answer": ["    return 1", "    return 1"]}
