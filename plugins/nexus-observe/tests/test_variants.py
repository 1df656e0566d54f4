"""Choices by log-likelihood and questions by a chat template, on tiny models through the real engine."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_observe.rows import judged, measure
from nexus_observe.scoring import ScoreStage
from nexus_observe.variants import conversation, shown
from nexus_specs import Budget, Choice, Installed, NexusError, Sample
from nexus_specs.testing import sample

CHOICES = [["by key", "long enough", "read"], ["number seven", "text"], ["is", "Shard 3", "14", "x"]]
QUESTIONS = [
    sample(prompt=f"Shard {at} is", choices=choices, label=at % 2) for at, choices in enumerate(CHOICES)
]  # fmt: skip


def by_hand(folder: Path, question: str, endings: Sequence[str]) -> list[float]:
    """As lm-evaluation-harness has it: log-probabilities of the tokens that a choice adds to its question."""
    model = hf.AutoModelForCausalLM.from_pretrained(folder)
    words = hf.AutoTokenizer.from_pretrained(folder)
    context, found = len(words(question, add_special_tokens=False)["input_ids"]), []
    for ending in endings:
        ids = words(question + ending, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            scores = model(torch.tensor([[words.bos_token_id, *ids]])).logits[0].log_softmax(-1)
        found.append(sum(float(scores[at, ids[at]]) for at in range(context, len(ids))))
    return found


@pytest.mark.parametrize("residency", ["resident", "stream"])
@pytest.mark.parametrize("options", [{"by": "letters"}, {"by": "words"}, {"by": "words", "normalise": True}])
def test_the_likeliest_choice_is_that_of_the_plain_model(
    sources: dict[str, Path], tmp_path: Path, options: dict[str, Any], residency: Any
) -> None:
    lookup = Installed()
    metric = lookup.make("metric", "choice_likelihood", **options)
    budget = Budget(residency=residency, micro_batch=2, memory=1 << 30, scratch=tmp_path)
    with lookup.make("engine", "sli").load(lookup.open(str(sources["prose"])), budget) as teacher:
        rows = measure(teacher, QUESTIONS, metric)
    for asked, choices in zip(QUESTIONS, CHOICES, strict=True):
        endings = [f" {each}" for each in (choices if options["by"] == "words" else "ABCD"[: len(choices)])]
        sums = by_hand(sources["prose"], asked.fields["prompt"], endings)
        if "normalise" in options:
            sums = [each / len(ending[1:]) for each, ending in zip(sums, endings, strict=True)]
        best = max(range(len(sums)), key=sums.__getitem__)
        assert rows[asked.key] == (float(best == asked.fields["label"]),)


def test_a_router_is_asked_about_what_a_model_is_shown() -> None:
    metric = Installed().make("metric", "choice_likelihood", by="words")
    assert [each.fields["text"] for each in shown(QUESTIONS[:1], metric)] == [
        f"Shard 0 is {choice}" for choice in CHOICES[0]
    ]
    assert shown(QUESTIONS, Installed().make("metric", "bits_per_byte")) == QUESTIONS
    learned = sample(text="Shard 0 is read", prompt="Shard 0 is")
    (asked,) = shown([learned], Installed().make("metric", "exact_match"))
    assert asked.fields["text"] == "Shard 0 is"


def test_what_has_no_right_choice_gives_an_empty_row(sources: dict[str, Path]) -> None:
    lookup, bare = Installed(), sample(prompt="Shard 9 is", choices=["a", "b"], label=-1)
    with lookup.make("engine", "sli").load(lookup.open(str(sources["prose"])), Budget()) as teacher:
        rows = measure(teacher, [bare, *QUESTIONS, QUESTIONS[0]], lookup.make("metric", "choice_likelihood"))
    assert list(rows) == [bare.key, *(each.key for each in QUESTIONS)]
    assert rows[bare.key] == ()
    assert len(judged(rows)) == len(QUESTIONS)


def test_chat_has_a_question_written_by_the_template(sources: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "instruct"
    shutil.copytree(sources["prose"], folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}<s>{{ m.content }} is{% endfor %}")
    lookup, asked = Installed(), sample(prompt="Shard 3", answer="?", max_new_tokens=6)
    metric = lookup.make("metric", "exact_match")
    with lookup.make("engine", "sli").load(lookup.open(str(folder)), Budget()) as teacher:
        (wanted,) = teacher.generate([sample(prompt="<s>Shard 3 is", max_new_tokens=6)])
        right = Sample(key="right", fields={**asked.fields, "answer": wanted})
        assert measure(teacher, [right], metric, chat=True) == {"right": (1.0,)}
        assert measure(teacher, [right], metric) == {"right": (0.0,)}


def test_a_conversation_stays_one() -> None:
    turns = [{"role": "user", "content": "Hi"}]
    assert conversation(sample(messages=turns)).fields["messages"] == turns
    assert conversation(sample(text="Hi", answer="x")).fields == {"messages": turns, "answer": "x"}
    with pytest.raises(NexusError, match="columns"):
        conversation(sample(image=1))


def test_chat_without_an_answer_is_refused(bench: Any) -> None:
    with pytest.raises(NexusError, match="chat: true"):
        bench.run("score", "prose", card={"chat": True})
    card = {"source": str(bench.sources["prose"]), "chat": True}
    assert "chat: true" in ScoreStage().estimate(bench.context("score", "prose", card=card)).how


def test_a_plan_says_that_a_metric_may_not_judge(bench: Any) -> None:
    named = {**bench.context("score", "prose").named, "metric": [Choice(kind="metric", name="pass_at_1")]}
    found = ScoreStage().estimate(bench.context("score", "prose", named=named))
    assert "cannot be done: pass_at_1 would run programs" in found.how
    assert found.seconds > 0


def test_a_plan_says_that_a_streamed_teacher_gives_no_answers(bench: Any) -> None:
    budget = Budget(residency="stream", memory=1 << 30)
    context = bench.context("score", "prose", budget=budget)
    assert "cannot be done" not in ScoreStage().estimate(context).how
    named = {**context.named, "metric": [Choice(kind="metric", name="number_match")]}
    more = {"budget": budget, "named": named, "card": {"source": str(bench.sources["prose"])}}
    assert "choice_likelihood" in ScoreStage().estimate(bench.context("score", "prose", **more)).how
