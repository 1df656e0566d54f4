"""How many tokens a plan counts with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nexus_observe.amount import SPELT, mean_tokens, observed
from nexus_specs import Budget, Installed, NexusError
from nexus_specs.testing import LocalContext, sample


def refuse(context: LocalContext, source: str) -> Any:
    raise NexusError("no")


def test_tokens_are_counted_as_the_teacher_cuts_them(
    bench: Any, sources: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    context = bench.context("extract", "prose", records=("logits",))
    checkpoint: Any = Installed().open(str(sources["prose"]))
    known, samples = checkpoint.blueprint, list(context.samples("train"))
    cut = [min(length + 1, known.context or length + 1) for length in checkpoint.lengths(samples)]
    letters = [len(each.fields["text"]) / SPELT + 1 for each in samples]
    spelt = [min(length, known.context or length) for length in letters]
    assert mean_tokens(context, known, samples) == pytest.approx(sum(cut) / len(cut))
    assert sum(cut) != pytest.approx(sum(spelt), rel=0.05), "or nothing is shown"
    assert mean_tokens(context, replace(known, context=3), samples) <= 3
    assert mean_tokens(context, known, [sample(image="x")]) == 0
    weightless = mean_tokens(context, replace(known, missing=("weights",)), samples)
    assert weightless == pytest.approx(sum(spelt) / len(spelt))
    monkeypatch.setattr(LocalContext, "open", refuse)
    assert mean_tokens(context, known, samples) == weightless, "of a checkpoint that does not open"


def test_a_memory_that_holds_no_piece_is_refused_by_the_plan(bench: Any) -> None:
    context = bench.context("extract", "prose", records=("logits",))
    with pytest.raises(NexusError, match="The least that would do is"):
        observed(context, "train", Budget(memory=1000, residency="stream", micro_batch=1))
    assert observed(context, "train", Budget(residency="stream", micro_batch=1))[0].read > 0


def test_what_a_metric_shows_is_counted_and_not_the_text_beside_it(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    context, seen = bench.context("score", "prose"), list[str]()
    asked = [sample(prompt="2 + 2 =", choices=["4", "5"], answer="4", text="2 + 2 = 4, as everybody knows")]
    monkeypatch.setattr("nexus_observe.amount.counted", lambda *_: (asked, True))
    monkeypatch.setattr(
        "nexus_observe.amount.mean_tokens", lambda *given: seen.extend(each.fields["text"] for each in given[2]) or 9.0
    )
    for name in ("choice_likelihood", "choice_accuracy"):
        observed(context, "held_out", Budget(), Installed().make("metric", name))
    assert seen == ["2 + 2 = A", "2 + 2 = B", "2 + 2 ="]
