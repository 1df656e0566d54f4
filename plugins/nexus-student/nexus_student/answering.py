"""One answer to one sample: text that goes on from a prompt, or the likeliest class with its probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from nexus_specs import NexusError, Sample, prompted
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from .inputs import Inputs
from .model import NexusModel
from .router.ladder import Decision

LONGEST = 128
"""Tokens of an answer unless a sample says more ("max_new_tokens")."""


@dataclass(frozen=True)
class Answer:
    """What was answered, by whom, and how sure it was where it chose."""

    value: str
    decision: Decision
    probability: float | None = None


@torch.no_grad()
def answer(model: NexusModel, inputs: Inputs, sample: Sample, decision: Decision | None = None) -> Answer:
    """Greedy; the router decides who answers, unless that is decided."""
    sample = prompted(sample)
    decision = decision or inputs.decide(sample)
    batch = inputs.batch(decision.towers, [sample])
    if "input_ids" in batch:
        longest = int(sample.fields.get("max_new_tokens", LONGEST))
        return Answer(_continued(model, inputs, decision, batch, longest), decision)
    return _chosen(model, inputs, decision, batch)


def _chosen(model: NexusModel, inputs: Inputs, decision: Decision, batch: Mapping[str, Any]) -> Answer:
    scores = Finite(decision)(None, model(**batch).output[:1])[0].float().softmax(-1)
    best = int(scores.argmax())
    labels = inputs.specs[next(iter(decision.towers))].labels
    return Answer(labels[best] if best < len(labels) else str(best), decision, float(scores[best]))


def _continued(model: NexusModel, inputs: Inputs, decision: Decision, batch: Mapping[str, Any], longest: int) -> str:
    reader = inputs.reader(decision.towers)
    assert reader is not None
    ids = batch["input_ids"].to(model.device)
    room = inputs.limit - ids.shape[1] if inputs.limit else longest
    if room < 1:
        raise NexusError(f"The prompt fills the {inputs.limit} tokens that the core can read. Shorten it.")
    rest = {name: value for name, value in batch.items() if name not in ("input_ids", "signal")}
    if latents := _seen(model, decision, rest):
        rest = {"tower": rest["tower"], "latents": latents[0]}
    stop = reader.tokenizer.eos_token_id
    made = model.generate(
        ids, do_sample=False, max_new_tokens=min(longest, room), eos_token_id=stop,
        pad_token_id=stop if stop is not None else 0, logits_processor=LogitsProcessorList([Finite(decision)]), **rest,
    )  # fmt: skip
    return str(reader.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))


class Finite(LogitsProcessor):
    """Scores as they are. NexusError for NaN, of which the likeliest would be the first word or class, answer for
    answer, without a word of what is wrong."""

    def __init__(self, decision: Decision) -> None:
        self.who = " + ".join(decision.towers) or "core"

    def __call__(self, input_ids: Any, scores: Tensor) -> Tensor:
        """[B, V] -> [B, V]."""
        if bool(scores.isnan().any()):
            raise NexusError(
                f"What '{self.who}' answers is not finite: weights of this student are damaged. `nexus verify` names "
                "the files that changed; take them from its release again."
            )
        return scores


def _seen(model: NexusModel, decision: Decision, media: Mapping[str, Any]) -> list[torch.Tensor]:
    """What a perceiving tower that answers in text saw, once an answer."""
    tower = model.tower(next(iter(decision.towers))) if decision.towers else None
    if tower is None or tower.own is None:
        return []
    return [tower.own.encode(**{name: value for name, value in media.items() if name != "tower"})]
