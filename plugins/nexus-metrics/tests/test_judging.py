"""Metrics of answers (numbers, choices) and of embeddings, against values worked out by hand."""

from __future__ import annotations

import math

import nexus_metrics.plugin as plugin
import numpy as np
import pytest
from nexus_metrics.answers import ExactMatch
from nexus_metrics.classes import Accuracy
from nexus_metrics.judging import ChoiceAccuracy, NumberMatch, chosen, last_number
from nexus_metrics.neighbours import KnnAccuracy
from nexus_specs import NexusError, Sample
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
     ("The answer is a green one", 2), ("Option A is wrong. The answer is C.", 2), ("C\n\nExplanation: it is", 2),
     ("**C**", 2), ("C, since it grows", 2), (r"\boxed{D}", 3), ("The bluest", None),
     ("Answer: B\n\nQuestion: And the sky?\nAnswer: C", 1), ("<think>\nQ: A?\nThe answer is A?</think>B", 1),
     ("blue", 1), ("It is the blue one", 1), ("red or blue", None), ("", None), ("E", None)],
)  # fmt: skip
def test_choices_are_read_from_answers(answer: str, place: int | None) -> None:
    assert chosen(answer, ["red", "blue", "green", "black"], 4) == place


def test_choices_are_told_apart_by_their_signs() -> None:
    assert chosen("-3", ["3", "-3"], 2) == 1
    assert chosen("", ["+", "-"], 2) is None, "no words are not the words of a choice"
    assert chosen("10", ["1", "10", "100"], 3) == 1
    assert chosen("It makes 10 in all", ["1", "10", "100"], 3) == 1
    assert chosen("I went to New York", ["York", "New York"], 2) == 1


def test_numbers_end_where_the_answer_does() -> None:
    for answer in ("6 * 7 = 42\n#### 42\n\nQuestion: 7 apples?", r"so \boxed{42}, 2 of 6 steps", "42.",
                   "#### $42 (6 * 7)", "<think>\nQuestion: 6 * 7? 41?</think>42", "It is 42\n\nQ: 3?"):
        assert NumberMatch().measure([sample(answer="#### 42")], {"answer": [answer]}) == [(1.0,)], answer
    assert last_number("\u22125") == last_number("-5")
    assert last_number("1e9999999") is not None, "Decimal's overflow is no crash"


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


def test_one_of_several_right_answers_is_right() -> None:
    """SQuAD, TriviaQA and Natural Questions list all that are."""
    samples = [
        sample(answer=["Denver Broncos", "Broncos"]), sample(answer={"text": ["x", "y"], "answer_start": [1, 2]}),
        sample(answer=[]), sample(answer="हिन्दी"),
    ]  # fmt: skip
    metric = ExactMatch(words=True)
    answers = {"answer": ["The Broncos.\n\nQuestion: Who lost?", "y", "z", "हन्दा।"]}
    assert metric.measure(samples, answers) == [(1.0,), (1.0,), (), (0.0,)]
    assert metric.floor(samples, samples) == pytest.approx(1 / 3)


def test_neighbours_of_many_draws_are_those_of_one() -> None:
    random = np.random.default_rng(0)
    rows = [(float(at % 3), *(random.normal(size=4) + at % 3)) for at in range(60)]
    rows[7:9] = [(), rows[5]]
    picks = random.integers(60, size=(20, 60))
    picks[0, :50] = 3                                       # hardly any neighbours
    for neighbours in (1, 5, 40):
        metric = KnnAccuracy(neighbours=neighbours)
        one = [metric.reduce([rows[at] for at in pick]) for pick in picks]
        assert metric.reduce_many(rows, picks).tolist() == pytest.approx(one)
    assert np.isnan(KnnAccuracy().reduce_many([()], np.zeros((2, 1), int))).all()


def test_choices_are_listed_as_data_sets_list_them() -> None:
    arc = sample(choices={"text": ["red", "blue"], "label": ["1", "2"]}, answer="2")
    mmmu = sample(choices="['red', 'blue']", answer="B")
    free = sample(choices="[]", answer="12 apples")
    answers = {"answer": ["2", "(B)", "12"]}
    assert ChoiceAccuracy().measure([arc, mmmu, free], answers) == [(1.0,), (1.0,), ()]
    assert ChoiceAccuracy().measure([arc, arc], {"answer": ["1.", "blue"]}) == [(0.0,), (1.0,)]
    assert ChoiceAccuracy().floor([], [arc, mmmu]) == 0.5


def test_a_right_choice_may_be_a_number_in_a_text() -> None:
    hellaswag = sample(choices=["goes 2 miles", "eats", "sleeps", "ends"], label="2")
    assert ChoiceAccuracy().measure([hellaswag] * 2, {"answer": ["C", "A"]}) == [(1.0,), (0.0,)]
    words = sample(choices=["4", "2", "0", "1"], answer="2")
    assert ChoiceAccuracy().measure([words] * 2, {"answer": ["B", "2"]}) == [(1.0,), (1.0,)]
    assert ChoiceAccuracy().measure([sample(choices=["x", "y"], answer="7")], {"answer": ["A"]}) == [()]


@pytest.mark.parametrize(
    ("answer", "right"),
    [("5-6", "6"), (r"\boxed{1{,}000}, as 12 say", "1000"), (r"\boxed{1,\!000}", "1000"), ("x = -3", "-3"),
     (r"so \boxed{72\text{ clips}} of 90", "72"), ("3 - 5 = -2", "-2"),
     ("#### 1{,}000 of 7", "1000"), ("#### \u22125 of 6", "-5")],
)  # fmt: skip
def test_numbers_as_models_write_them(answer: str, right: str) -> None:
    assert NumberMatch().measure([sample(text="q", answer=right)], {"answer": [answer]}) == [(1.0,)]


def test_a_label_of_minus_one_is_none_and_one_behind_the_last_choice_a_mistake() -> None:
    assert ChoiceAccuracy().measure([sample(text="q", label=-1, choices=["a", "b"])], {"answer": ["A"]}) == [()]
    with pytest.raises(NexusError, match="counted from 0, and there are 2"):
        ChoiceAccuracy().measure([sample(text="q", label=2, choices=["a", "b"])], {"answer": ["A"]})


def test_no_number_is_no_class_and_no_answer() -> None:
    assert Accuracy().measure([sample(text="q", label=0)], {"output": [[math.nan, 1.0]]}) == [(0.0,)]
    assert ExactMatch().measure([sample(text="q", answer=math.nan)], {"answer": ["nan"]}) == [()]
    assert ExactMatch().measure([sample(text="q", label=-1)], {"answer": ["1"]}) == [()]
    assert NumberMatch().measure([sample(text="q", answer=-1)], {"answer": ["-1"]}) == [(1.0,)]
