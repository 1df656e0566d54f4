"""How much work and how many bytes an observation will be, before anything is opened: what `nexus plan` shows."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from nexus_specs import Blueprint, Context, Estimate, Sample, Split
from nexus_torch.profiles import read_profile

MOST, PATIENCE = 20_000, 0.5
"""Samples that are counted, and seconds that this may take: an estimate must not read a large corpus through."""
TEXT, LETTERS, TOKENS = 64, 2.5, 256
"""Samples whose length is looked at; characters of a token (few, so that room is not promised in vain); tokens or
patches of a sample where nothing tells."""
LAYERS, RANK = 4, 64
"""Critical layers, and directions of each, where no profile tells."""
POSITION, FLOAT, STATE = 12, 4, 2
"""Bytes of a token's number and span; of a score; of a state's scale."""
SHORT = 32768
"""Vocabularies below this take two bytes an id."""


def observed(
    context: Context, split: Split, *, most: int = 0, edits: bool = False
) -> tuple[Estimate, Blueprint, list[Sample]]:
    """What one pass over a part costs (over its first `most` samples; 0: all; with every layer ablated once where there
    are `edits`), the teacher, and the samples that were counted."""
    blueprint = context.inspect(str(context.card["source"]))
    samples, whole = counted(context, split, most or MOST)
    layers = sum(stack.count for stack in blueprint.stacks) if edits else 0
    estimate: Estimate = context.chosen("engine").estimate(blueprint, len(samples), layers, context.budget)
    least = "" if whole or most else f", at least {len(samples)} samples"
    return replace(estimate, how=estimate.how + least), blueprint, samples


def counted(context: Context, split: Split, most: int) -> tuple[list[Sample], bool]:
    """The first samples of a part, and whether they are all of them."""
    found: list[Sample] = []
    until = time.monotonic() + PATIENCE
    for sample in context.samples(split):
        found.append(sample)
        if len(found) >= most or time.monotonic() > until:
            return found, False
    return found, True


def shard_bytes(context: Context, blueprint: Blueprint, samples: list[Sample], ids: int) -> int:
    """Bytes that the shards of these samples take, `ids` tokens of each distribution being kept; a little too many
    rather than too few."""
    states = _states(context, blueprint) if "states" in context.records else 0
    if blueprint.gives != ("text",):
        return len(samples) * (FLOAT * max(1, len(blueprint.labels)) + TOKENS * states)
    texts = [str(sample.fields["text"]) for sample in samples[:TEXT] if "text" in sample.fields]
    length = sum(len(text) for text in texts) / len(texts) / LETTERS if texts else TOKENS
    tokens = min(blueprint.context or length, length + 1)
    logits = ids * (4 if blueprint.vocabulary < SHORT else 6) if "logits" in context.records else 0
    return round(len(samples) * tokens * (POSITION + logits + states))


def _states(context: Context, blueprint: Blueprint) -> int:
    """Bytes of a token's states at all critical layers: from the profile, where it is there already."""
    profile: Path | None = context.inputs("profile").get(context.unit.subject)
    if profile is None:
        return min(LAYERS, sum(stack.count for stack in blueprint.stacks)) * (RANK + STATE)
    return sum(layer.rank + STATE for layer in read_profile(profile).layers if layer.rank)
