"""Scores by hand, floors, empty rows and the vectorised bootstrap."""

from __future__ import annotations

import math

import nexus_metrics.plugin as plugin
import numpy as np
import pytest
from nexus_metrics.answers import ExactMatch
from nexus_metrics.bigram import Bigram
from nexus_metrics.classes import Accuracy
from nexus_metrics.neighbours import KnnAccuracy
from nexus_metrics.text import BitsPerByte
from nexus_specs import NexusError, Sample
from nexus_specs.testing import MetricTests, PluginTests, sample


class TestPlugin(PluginTests):
    plugin = plugin


class TestBits(MetricTests):
    plugin = plugin
    name = "bits_per_byte"

    def samples(self) -> list[Sample]:
        return [sample(text="abc"), sample(text="é"), sample(text="other words")]

    def outputs(self) -> dict[str, list]:
        return {
            "logprob": [[-1.0, -2.0], [-0.5], [-3.0, -1.0, -1.0]],
            "spans": [[[0, 0], [0, 2], [2, 3]], [[0, 0], [0, 2]], [[0, 0], [0, 5], [5, 6], [6, 11]]],
        }


class TestAccuracy(MetricTests):
    plugin = plugin
    name = "accuracy"

    def samples(self) -> list[Sample]:
        return [sample(text=str(at), **({"label": at % 3} if at != 2 else {})) for at in range(7)]

    def outputs(self) -> dict[str, list]:
        return {"output": [np.eye(3)[at % 2] for at in range(7)]}


class TestExactMatch(MetricTests):
    plugin = plugin
    name = "exact_match"

    def samples(self) -> list[Sample]:
        return [sample(text="1+1", answer="2"), sample(text="2+2", label="four"), sample(text="?")]

    def outputs(self) -> dict[str, list]:
        return {"answer": [" 2 ", "FOUR", "x"]}


def test_bits_per_byte_counts_bytes_that_were_read() -> None:
    metric = BitsPerByte()
    rows = metric.measure(
        [sample(text="éé"), sample(text="abcdef"), sample(label=1)],
        {"logprob": [[-math.log(2)] * 4, [-math.log(2)] * 3, []], "spans": [[], [[0, 0], [0, 3]], []]},
    )
    assert rows[0][1] == 4
    assert rows[1][1] == 3
    assert rows[2] == ()
    assert metric.reduce(rows) == pytest.approx(1.0)


def test_bigram_sums_to_one_and_beats_nothing_known() -> None:
    model = Bigram([b"abababab" * 20])
    np.testing.assert_allclose(np.exp(model.logarithms).sum(1), 1.0)
    assert model.nats([b"abab"]) < model.nats([b"zqzq"])
    assert model.nats([b""]) == 0
    floor = BitsPerByte().floor([sample(text="abab" * 50)], [sample(text="abababab")])
    assert 0 < floor < 1.5


def test_the_majority_of_training_is_scored_on_held_out() -> None:
    train = [sample(text=str(at), label=0 if at < 6 else 1) for at in range(10)]
    held_out = [sample(text=f"h{at}", label=at % 4 % 2) for at in range(8)]
    assert Accuracy().floor(train, held_out) == 0.5
    assert Accuracy().floor(train, held_out[1::2]) == 0.5, "chance of two classes"
    assert Accuracy(classes=4).floor(train, held_out[1::2]) == 0.25
    assert Accuracy().floor([], held_out) == 0.5


def test_labels_in_words() -> None:
    outputs = {"output": [[0.1, 0.9]]}
    assert Accuracy(labels=("cat", "dog")).measure([sample(text="x", label="dog")], outputs) == [(1.0,)]
    with pytest.raises(NexusError, match="Known: none"):
        Accuracy().measure([sample(text="x", label="dog")], outputs)


def test_exact_match_and_its_floor() -> None:
    metric = ExactMatch(case=True)
    assert metric.measure([sample(answer="Yes")], {"answer": ["yes"]}) == [(0.0,)]
    train = [sample(text=str(at), answer="yes" if at else "no") for at in range(3)]
    assert ExactMatch().floor(train, [sample(answer="YES"), sample(answer="no")]) == 0.5
    assert ExactMatch(field="result").floor([], [sample(result=3)]) == 0.0


@pytest.mark.parametrize(
    ("said", "right"), [("The Eiffel tower.", "Eiffel Tower"), ("$1,250", "1250"), ("3.", "3"), ("A", "a"), ("2!", "2")]
)
def test_words_alone_are_compared_where_that_is_asked_for(said: str, right: str) -> None:
    assert ExactMatch(words=True).measure([sample(answer=right)], {"answer": [said]}) == [(1.0,)]
    assert ExactMatch(words=True).measure([sample(answer=right)], {"answer": [f"{said} more"]}) == [(0.0,)]
    assert ExactMatch(words=True, case=True).measure([sample(answer="us")], {"answer": ["U.S."]}) == [(0.0,)]


@pytest.mark.parametrize("metric", [BitsPerByte(), Accuracy(), ExactMatch()])
def test_nothing_to_score_is_said(metric: object) -> None:
    with pytest.raises(NexusError, match="held-out"):
        metric.floor([], [sample(other=1)])
    assert math.isnan(metric.reduce([]))
    assert math.isnan(metric.reduce([(), ()]))


def test_many_draws_are_what_reduce_gives_one_by_one() -> None:
    random = np.random.default_rng(0)
    for metric, rows in (
        (BitsPerByte(), [tuple(random.uniform(1, 9, 2)) if at % 5 else () for at in range(30)]),
        (Accuracy(), [(float(at % 3 == 0),) if at % 7 else () for at in range(30)]),
    ):
        picks = random.integers(30, size=(20, 30))
        expected = [metric.reduce([rows[at] for at in pick]) for pick in picks]
        np.testing.assert_allclose(metric.reduce_many(rows, picks), expected)
        full = [row for row in rows if row]
        assert metric.reduce(np.array(full)) == pytest.approx(metric.reduce(full))


def test_a_label_of_minus_one_is_none() -> None:
    """The tests of ImageNet and GLUE on the hub: nobody is right or wrong there."""
    samples = [sample(text="a", label=1), sample(text="b", label=-1)]
    assert Accuracy().measure(samples, {"output": [np.eye(2)[1], np.eye(2)[1]]}) == [(1.0,), ()]
    assert Accuracy(classes=4).floor([sample(text="c", label=-1)], samples) == 0.25
    assert KnnAccuracy().measure(samples, {"embedding": [np.ones(2), np.ones(2)]})[1] == ()
    with pytest.raises(NexusError, match="-1"):
        KnnAccuracy().floor([], samples[1:])


def test_a_label_that_no_class_has_is_told() -> None:
    for label, said in ((3, "The label 3 of a is none of the 3 classes"), (1.5, "The label 1.5 of a is no class")):
        with pytest.raises(NexusError, match=said):
            Accuracy().measure([sample(label=label, source="a")], {"output": [np.eye(3)[0]]})
    assert Accuracy().measure([sample(label=math.nan)], {"output": [np.eye(3)[0]]}) == [()]
