"""Metrics of what was heard and translated, against values worked out by hand."""

from __future__ import annotations

import math

import nexus_metrics.plugin as plugin
import numpy as np
import pytest
from nexus_metrics.references import edits, plain_words
from nexus_metrics.spoken import CharacterErrorRate, WordErrorRate
from nexus_metrics.tokens import international
from nexus_metrics.translated import Bleu, Chrf
from nexus_specs import Sample
from nexus_specs.testing import MetricTests, sample


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
    assert row[:3].tolist() == [[2, 3, 2], [1, 2, 1], [0, 0, 0]]
    assert row[6:].tolist() == [[0, 1, 1], [0, 0, 0]]
    precision, recall = (2 / 3 + 1 / 2 + 0) / 3, (1 + 1 + 0) / 3
    assert Chrf().score(row.ravel()) == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


def test_scores_of_translations_are_those_of_sacrebleu() -> None:
    """What sacrebleu 2.6.0 gives: BLEU() and CHRF(word_order=2)."""
    wanted = ["It's 1,250.5 well-known words, he said.", "The cat (a big one) sat on 5-6 mats.", "dog"]
    found = ["It's 1250 well-known words he said.", "The cat (a big one) sits on 5-6 mats...", "dogs & cats"]
    rows = {metric: [metric.counts(*pair) for pair in zip(wanted, found, strict=True)] for metric in (Bleu(), Chrf())}
    scores = [metric.reduce(each) for metric, each in rows.items()]
    assert scores == pytest.approx([55.01104486536756, 70.4784563866338])


def test_scripts_without_spaces_are_compared_by_letter() -> None:
    assert Bleu().reduce([Bleu().counts("我今天很好。", "我今天不好。")]) > 20
    assert international("我很好。Nexus") == ["我", "很", "好", "。", "Nexus"]


def test_vowel_signs_belong_to_words() -> None:
    assert plain_words("हिन्दी में।") == ["हिन्दी", "में"]
    assert CharacterErrorRate().measure([sample(text="कि")], {"answer": ["का"]}) == [(1.0, 2.0)]


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
