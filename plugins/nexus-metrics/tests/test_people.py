"""Answers beside those of several people, as VQA scores them."""

from __future__ import annotations

import nexus_metrics.plugin as plugin
import pytest
from nexus_metrics.people import VqaAccuracy, agreement, simple
from nexus_specs import NexusError, Sample
from nexus_specs.testing import MetricTests, sample

TEN = ["two", "2", "Two.", "three"] + ["4"] * 6


class TestPeople(MetricTests):
    plugin = plugin
    name = "vqa_accuracy"

    def samples(self) -> list[Sample]:
        return [sample(text="a", answers=TEN), sample(text="b", answer="yes"), sample(text="c")]

    def outputs(self) -> dict[str, list[str]]:
        return {"answer": ["2", "No", "?"]}


@pytest.mark.parametrize(("answer", "score"), [("2", 0.9), ("three", 0.3), ("four", 1.0), ("5", 0.0), ("", 0.0)])
def test_three_of_ten_are_enough_over_all_sets_of_nine(answer: str, score: float) -> None:
    assert agreement(answer, TEN) == pytest.approx(score)


@pytest.mark.parametrize(
    ("one", "other"),
    [("the dog", "dog"), ("don't know", "dont know"), ("t-shirt", "T shirt"), ("1,000", "1000"), ("none", "0"),
     ("red, white", "red white"), ("St. Louis", "st louis"), ("3.5", "3.5.")],
)  # fmt: skip
def test_answers_are_made_alike(one: str, other: str) -> None:
    assert simple(one) == simple(other)


def test_numbers_keep_their_point() -> None:
    assert simple("3.5") != simple("35")


def test_answers_come_in_every_layout_of_the_hub() -> None:
    written = sample(text="q", answers=[{"answer": "net", "answer_confidence": "maybe"}] * 10)
    assert VqaAccuracy().measure([written], {"answer": ["Net\n\nQuestion: why?"]}) == [(1.0,)]
    columns = sample(text="q", answers={"answer": ["net"] * 4 + ["web"] * 6})
    assert VqaAccuracy().measure([columns], {"answer": ["<think>web</think>net"]}) == [(1.0,)]
    spelt = sample(text="q", answers=str(written.fields["answers"]))
    assert VqaAccuracy().measure([spelt], {"answer": ["net"]}) == [(1.0,)]
    said = sample(text="q", answers="['net', 'web']")
    assert VqaAccuracy().measure([said], {"answer": ["net"]})[0][0] == pytest.approx(0.5)


def test_the_floor_is_the_commonest_answer() -> None:
    train = [sample(text="a", answer="yes"), sample(text="b", answer="Yes"), sample(text="c", answer="no")]
    assert VqaAccuracy().floor(train, [sample(text="d", answers=["yes"] * 10), sample(text="e", answer="no")]) == 0.5
    with pytest.raises(NexusError, match="columns"):
        VqaAccuracy().floor(train, [sample(text="d")])
