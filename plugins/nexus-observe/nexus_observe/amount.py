"""How much work and how many bytes an observation will be, before anything is opened: what `nexus plan` shows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nexus_specs import Blueprint, Budget, Context, Estimate, NexusError, Sample, Split, as_shown
from nexus_torch.profiles import read_profile

from .variants import compares, shown

MOST, PATIENCE = 20_000, 0.5
"""Samples that are counted, and seconds that this may take from the `TEXT`th on: an estimate must not read a large
corpus through, and what it says of a small one must not depend on how busy the machine is."""
TEXT, LETTERS, SPELT, TOKENS = 64, 2.5, 3.5, 256
"""Samples whose length is looked at; characters of a token (few, so that room is not promised in vain), and as many as
they mostly are; tokens or patches of a sample where nothing tells."""
LAYERS, RANK = 4, 64
"""Critical layers, and directions of each, where no profile tells."""
POSITION, FLOAT, STATE = 12, 4, 2
"""Bytes of a token's number and span; of a score; of a state's scale."""
COUNTED, HASHED = 64, 4e8
"""Samples that a profile's estimate looks at; weights a second that one thread hashes."""
SHORT = 32768
"""Vocabularies below this take two bytes an id."""


def observed(
    context: Context, split: Split, budget: Budget, metric: Any = None, paths: Sequence[str] | None = ()
) -> tuple[Estimate, Blueprint, list[Sample]]:
    """What one pass over a part costs, the teacher, and the samples that were counted. A metric that compares choices
    has each of them passed. `paths`: the modules that are looked at where no metric says them; None: not known yet."""
    blueprint = context.inspect(str(context.card["source"]))
    samples, whole = counted(context, split, MOST)
    asked = samples[:TEXT] if metric is None else shown(samples[:TEXT], metric)
    engine, tokens = context.chosen("engine"), mean_tokens(context, blueprint, asked or samples)
    _check(context, engine, blueprint, budget)
    times = _variants(metric, samples)
    paths = paths if metric is None else [tap.path for tap in metric.taps]
    known = _shown(context, blueprint, samples, paths) if whole else blueprint
    estimate: Estimate = engine.estimate(known, times * len(samples), 0, budget, tokens=tokens)
    least = "" if whole else f", at least {len(samples)} samples"
    return replace(estimate, how=estimate.how + least), blueprint, samples


def _variants(metric: Any, samples: Sequence[Sample]) -> int:
    """How many variants of a sample a metric reads, as the first ones tell."""
    if metric is None or not compares(metric):
        return 1
    return max((len(metric.variants(sample)) for sample in samples[:TEXT]), default=1) or 1


def profiled(context: Context, most: int, budget: Budget) -> Estimate:
    """What a profile costs: what the profiler observes, as it says itself, and the hashes of all weights as they come.
    A streamed teacher is read once for each observation. Of a profiler that says nothing, one observation of `most`
    samples is assumed, with every layer ablated."""
    blueprint = context.inspect(str(context.card["source"]))
    samples, whole = counted(context, "train", COUNTED)
    there = len(samples) if whole else MOST
    engine, tokens = context.chosen("engine"), mean_tokens(context, blueprint, samples)
    _check(context, engine, blueprint, budget)
    placed = engine.place(blueprint, budget) if hasattr(engine, "place") else budget
    observations = [(min(there, most), sum(stack.count for stack in blueprint.stacks))]
    disk = 0
    if work := getattr(context.chosen("profiler"), "work", None):
        observations, disk = work(blueprint, there, tokens or TOKENS, placed)
    found: list[Estimate] = [
        engine.estimate(blueprint, count, edits, budget, tokens=tokens) for count, edits in observations
    ]
    streamed = placed.residency == "stream"
    loading = 0.0 if streamed else engine.estimate(blueprint, 0, 0, budget, tokens=tokens).seconds
    again = sum(max(0.0, each.seconds - loading) for each in found[1:])
    return replace(
        found[0],
        seconds=found[0].seconds + again + blueprint.parameters / (HASHED * max(1, budget.threads)),
        read=sum(each.read for each in found) if streamed else found[0].read,
        passes=sum(each.passes for each in found),
        disk=max(each.disk for each in found) + disk,
    )


def _check(context: Context, engine: Any, blueprint: Blueprint, budget: Budget) -> None:
    """NexusError where a memory that is less than the checkpoint does not hold what the engine can run it in: only the
    modules themselves tell. A checkpoint without weights does not open."""
    check = getattr(engine, "check", None)
    if check is None or blueprint.weightless or not 0 < budget.memory < blueprint.bytes:
        return
    try:
        checkpoint = context.open(str(context.card["source"]))
    except NexusError:                                          # it is said where the teacher is described, and run
        return
    check(checkpoint, budget)


def _shown(context: Context, blueprint: Blueprint, samples: list[Sample], paths: Sequence[str] | None) -> Blueprint:
    """The blueprint for these samples, where more than a text can come; of which modules are looked at (None: not
    known yet, and then it may be any)."""
    if blueprint.weightless or {*blueprint.takes, *blueprint.gives} <= {"text"}:
        return blueprint
    try:
        checkpoint = context.open(str(context.card["source"]))
    except NexusError:                                          # it is said where the teacher is described, and run
        return blueprint
    found = as_shown(blueprint, checkpoint, samples, paths or ())
    return found if paths is not None else replace(found, unmet=())


def recorded(context: Context) -> list[str] | None:
    """Modules whose states the losses read; None where only a profile will tell."""
    if "states" not in context.records:
        return []
    profile: Path | None = context.inputs("profile").get(context.unit.subject)
    return None if profile is None else [layer.path for layer in read_profile(profile).layers if layer.rank]


def counted(context: Context, split: Split, most: int) -> tuple[list[Sample], bool]:
    """The first samples of a part, and whether they are all of them."""
    found: list[Sample] = []
    until = time.monotonic() + PATIENCE
    for sample in context.samples(split):
        found.append(sample)
        if len(found) >= most or (len(found) >= TEXT and time.monotonic() > until):
            return found, False
    return found, True


def mean_tokens(context: Context, blueprint: Blueprint, samples: list[Sample], letters: float = SPELT) -> float:
    """Tokens of a sample with its start token, as far as the first texts tell: as the teacher's tokenizer cuts them,
    else of so many letters each. 0 where they are no texts."""
    texts = [sample for sample in samples[:TEXT] if "text" in sample.fields]
    spelt = [len(str(sample.fields["text"])) / letters for sample in texts]
    lengths = [length + 1 for length in _lengths(context, blueprint, texts) or spelt]
    longest = blueprint.context or max(lengths, default=0)
    return sum(min(each, longest) for each in lengths) / len(lengths) if lengths else 0.0


def _lengths(context: Context, blueprint: Blueprint, texts: list[Sample]) -> Sequence[int] | None:
    """What the loader counts, where it can: a checkpoint without weights does not open."""
    if not texts or blueprint.weightless:
        return None
    try:
        count = getattr(context.open(str(context.card["source"])), "lengths", None)
        return count(texts) if count else None
    except NexusError:                                          # it is said where the teacher is described, and run
        return None


def shard_bytes(context: Context, blueprint: Blueprint, samples: list[Sample], ids: int) -> int:
    """Bytes that the shards of these samples take, `ids` tokens of each distribution being kept; a little too many
    rather than too few."""
    states = _states(context, blueprint) if "states" in context.records else 0
    if blueprint.gives != ("text",):
        return len(samples) * (FLOAT * max(1, len(blueprint.labels)) + TOKENS * states)
    tokens = mean_tokens(context, blueprint, samples, LETTERS) or min(blueprint.context or TOKENS, TOKENS + 1)
    logits = ids * (4 if blueprint.vocabulary < SHORT else 6) if "logits" in context.records else 0
    return round(len(samples) * tokens * (POSITION + logits + states))


def _states(context: Context, blueprint: Blueprint) -> int:
    """Bytes of a token's states at all critical layers: from the profile, where it is there already."""
    profile: Path | None = context.inputs("profile").get(context.unit.subject)
    if profile is None:
        return min(LAYERS, sum(stack.count for stack in blueprint.stacks)) * (RANK + STATE)
    return sum(layer.rank + STATE for layer in read_profile(profile).layers if layer.rank)
