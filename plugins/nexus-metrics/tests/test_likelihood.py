"""Choices by log-likelihood: against values by hand, and against transformers' own forward of a small model."""

from __future__ import annotations

import math
from typing import Any

import nexus_metrics.plugin as plugin
import pytest
from nexus_metrics.likelihood import ChoiceLikelihood
from nexus_specs import NexusError, Sample
from nexus_specs.testing import MetricTests, sample

QUESTION = "2 + 2?\nA. 3\nB. 4\nAnswer:"


def outputs(sums: list[list[float]], begins: int = len(QUESTION), width: int = 2) -> dict[str, list[Any]]:
    """Of each sample, of each variant: a token of the question, then its choice as one token."""
    spans = [[[0, 0], [0, begins], [begins, begins + width]]] * max(map(len, sums))
    return {
        "logprob": [[[-9.0, each] for each in row] for row in sums],
        "spans": [spans[: len(row)] for row in sums],
        "tokens": [[[1, 2, 10 + at] for at in range(len(row))] for row in sums],
    }


class TestLikelihood(MetricTests):
    plugin = plugin
    name = "choice_likelihood"

    def samples(self) -> list[Sample]:
        asked = {"prompt": QUESTION, "choices": ["3", "4"]}
        return [sample(**asked, label=1), sample(**asked, label=0), sample(**asked)]

    def outputs(self) -> dict[str, list[Any]]:
        return outputs([[-2.0, -1.0], [-2.0, -1.0], [-1.0, -1.0]])


def test_a_variant_is_the_question_with_a_choice_behind_it() -> None:
    metric = ChoiceLikelihood()
    found = metric.variants(sample(prompt=QUESTION, choices=["3", "4"], label=1, text="learned", max_new_tokens=1))
    assert [each.fields["text"] for each in found] == [f"{QUESTION} A", f"{QUESTION} B"]
    assert not {"prompt", "choices", "max_new_tokens"} & set(found[0].fields)
    assert len({each.key for each in found}) == 2
    words = ChoiceLikelihood(by="words").variants(sample(text="He sat ", choices=["down.", ", up"], label=0))
    assert [each.fields["text"] for each in words] == ["He sat down.", "He sat, up"]
    four = metric.variants(sample(text="Q\n", answer="C"))
    assert [each.fields["text"] for each in four] == ["Q\nA", "Q\nB", "Q\nC", "Q\nD"]
    labels = {"text": ["x", "y"], "label": ["1", "2"]}
    assert [each.fields["text"] for each in metric.variants(sample(text="Q:", choices=labels, answer="2"))] == [
        "Q: 1", "Q: 2",
    ]  # fmt: skip


def test_a_question_without_a_right_choice_is_not_asked() -> None:
    metric = ChoiceLikelihood()
    assert metric.variants(sample(text="Q", choices=["a", "b"])) == []
    assert metric.variants(sample(text="Q", choices=["a", "b"], label=-1)) == []


def test_only_tokens_of_the_choice_count() -> None:
    metric = ChoiceLikelihood()
    asked = sample(prompt="é?", choices=["a", "b"], label=0)
    spans = [[[0, 0], [0, 2], [2, 3], [3, 5], [5, 5]]] * 2  # bytes; the last one is an end token
    logprob = [[0.0, -5.0, -1.0, -9.0], [0.0, -1.0, -2.0, 0.0]]
    assert metric.measure([asked], {"logprob": [logprob], "spans": [spans], "tokens": [[]]}) == [(1.0,)]


def test_long_choices_are_compared_by_letter_where_that_is_asked() -> None:
    asked = sample(text="Q", choices=["aaaaaaaaaa", "b"], label=0)
    given = outputs([[-5.0, -1.0]], 1, 11)
    assert ChoiceLikelihood(by="words").measure([asked], given) == [(0.0,)]
    assert ChoiceLikelihood(by="words", normalise=True).measure([asked], given) == [(1.0,)]


def test_a_question_whose_choice_was_not_read_is_answered_wrongly() -> None:
    asked = sample(text="Q", choices=["a", "b"], label=0)
    short = {"logprob": [[[-9.0]] * 2], "spans": [[[[0, 0], [0, 1]]] * 2], "tokens": [[]]}
    assert ChoiceLikelihood().measure([asked], short) == [(0.0,)]


def test_a_choice_that_was_cut_is_not_the_likelier_for_it() -> None:
    asked = sample(text="Q", choices=["long and longer", "short"], label=0)
    spans = [[[0, 0], [0, 1], [1, 6]], [[0, 0], [0, 1], [1, 7]]]  # the model had room for " long" of the first
    given = {"logprob": [[[-9.0, -0.1], [-9.0, -2.0]]], "spans": [spans], "tokens": [[]]}
    assert ChoiceLikelihood(by="words").measure([asked], given) == [(0.0,)]
    spans[0][2][1] = 17
    assert ChoiceLikelihood(by="words").measure([asked], given) == [(1.0,)]


def test_without_places_the_tokens_that_differ_decide() -> None:
    asked = sample(text="Q", choices=["a", "b"], label=1)
    given = outputs([[-2.0, -1.0]]) | {"spans": [[[], []]]}
    assert ChoiceLikelihood().measure([asked], given) == [(1.0,)]
    with pytest.raises(NexusError, match="normalise: true"):
        ChoiceLikelihood(normalise=True).measure([asked], given)


def test_what_is_missing_is_said() -> None:
    with pytest.raises(NexusError, match="prompt"):
        ChoiceLikelihood().variants(sample(image=0, answer="B"))
    with pytest.raises(NexusError, match="choices"):
        ChoiceLikelihood(by="words").variants(sample(text="Q", answer="B"))
    with pytest.raises(NexusError, match="choice_accuracy"):
        ChoiceLikelihood().measure([sample(text="Q", answer="B")], {"answer": ["B"]})


def test_chance_is_the_floor() -> None:
    samples = [sample(text="Q", choices=["a", "b"], label=0), sample(text="R", choices=list("wxyz"), label=-1)]
    assert math.isclose(ChoiceLikelihood().floor([], samples), 0.5)
    with pytest.raises(NexusError, match="choice_likelihood has nothing to score"):
        ChoiceLikelihood().floor([], [sample(text="Q")])
