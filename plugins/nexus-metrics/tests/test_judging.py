"""Metrics of answers (numbers, choices) and of embeddings, against values worked out by hand."""

from __future__ import annotations

import math

import nexus_metrics.plugin as plugin
import numpy as np
import pytest
from nexus_metrics.judging import ChoiceAccuracy, NumberMatch, chosen, last_number
from nexus_metrics.neighbours import KnnAccuracy
from nexus_specs import Sample
from nexus_specs.testing import MetricTests, sample


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


class TestNeighbours(MetricTests):
    plugin = plugin
    name = "knn_accuracy"

    def samples(self) -> list[Sample]:
        return [sample(text=str(at), label=at % 2) for at in range(8)]

    def outputs(self) -> dict[str, list]:
        return {"embedding": [np.array([1.0, 0.1 * at]) if at % 2 else np.array([0.1 * at, 1.0]) for at in range(8)]}


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
