"""The profiler: ablate every layer in one pass, then look at the states of the critical ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from nexus_specs import (
    Basis,
    Blueprint,
    Budget,
    Context,
    LayerProfile,
    Metric,
    NexusError,
    Profile,
    Sample,
    Tap,
    Teacher,
)
from nexus_torch.profiles import BASES, write_bases

from .ablation import MeanAblation
from .importance import importance
from .judging import Judge, judge
from .options import NiwtOptions
from .spectrum import Spectra, bases
from .states import Both, States, room_for, states_of
from .values import Values

STEPS = 3
"""Progress: ablated, judged, spectra."""
FLOAT = 4
"""Bytes of a number of a state."""


class Niwt:
    """Kind "profiler". Runs on whatever the engine opens, resident or streamed, through `observe` alone."""

    def __init__(self, **options: Any) -> None:
        self.options = NiwtOptions(**options)

    def profile(self, teacher: Teacher, samples: Iterable[Sample], metric: Metric, context: Context) -> Profile:
        """The profile of one teacher for one capability; `bases.safetensors` goes through `context.write`."""
        chosen = choose(samples, self.options)
        layers = [path for stack in teacher.blueprint.stacks for path in stack.layers]
        if not layers:
            raise NexusError(
                f"'{context.unit.subject}' ({teacher.blueprint.head}) has no stack of repeated layers to profile. "
                "Use a profiler for its family, or leave the capability out."
            )
        who = judge(metric, teacher.blueprint, rises=_rises(context))
        taps = tuple({tap.path: tap for tap in (*who.taps, *metric.taps)}.values())
        seen, states = Values(context.budget.scratch), states_of(teacher, layers, context.budget)
        if not seen.whole([sample.key for sample in chosen], [tap.path for tap in taps], ["", *layers]):
            sink = seen if states is None else Both(seen, states)
            looked = () if states is None else [Tap(path=path, intact=True) for path in layers]
            teacher.observe(chosen, (*taps, *looked), sink, [MeanAblation(path) for path in layers])
        context.report(1, STEPS)
        found = self._judged(who, chosen, seen, ["", *layers], context.seed)
        context.report(2, STEPS)
        kept = self._bases(teacher, chosen, found, states)
        with context.write(BASES) as path:
            references = write_bases(kept, path)
        context.report(3, STEPS)
        return Profile(
            teacher=context.unit.subject,
            capability=str(context.card.get("capability") or context.unit.subject),
            blueprint=teacher.blueprint,
            layers=tuple(_ranked(layer, kept) for layer in found),
            score=score(metric, chosen, seen),
            bases=references,
        )

    def work(
        self, blueprint: Blueprint, samples: int, tokens: float, budget: Budget
    ) -> tuple[Sequence[tuple[int, int]], int]:
        """For a plan: (samples, edits) of each observation, and the bytes that it keeps on the disk meanwhile.
        `samples` are there, of `tokens` tokens in the mean."""
        count, layers = min(samples, self.options.samples), sum(stack.count for stack in blueprint.stacks)
        size = round(count * tokens * FLOAT * sum(max(width, 0) for each in blueprint.stacks for width in each.widths))
        if budget.residency != "resident" and size <= room_for(blueprint, budget):
            return [(count, layers)], size
        return [(count, layers), (count, 0)], 0

    def keeps(self, blueprint: Blueprint, budget: Budget) -> int:
        """Most bytes of states that it keeps on the disk while a teacher is observed that is not resident: whoever
        shares a budget of disk with it has the rest."""
        return room_for(blueprint, budget)

    def _judged(
        self, who: Judge, chosen: Sequence[Sample], seen: Values, names: Sequence[str], seed: int
    ) -> list[LayerProfile]:
        intact = seen.of("")
        rows = {name: who.rows(chosen, seen.of(name), intact) for name in names}
        if not len(rows[""]):
            raise NexusError("The metric can judge none of the profiled samples. Give the data what it needs (labels).")
        found = importance(who, rows, who.floor(chosen, intact), self.options, seed)
        if any(layer.critical for layer in found):
            return found
        top = max(found, key=lambda layer: layer.importance)
        return [dataclasses.replace(layer, critical=True) if layer is top else layer for layer in found]

    def _bases(
        self, teacher: Teacher, chosen: Sequence[Sample], found: Sequence[LayerProfile], states: States | None
    ) -> Mapping[str, Basis]:
        paths = spread([layer.path for layer in found if layer.critical], [layer.path for layer in found], self.options)
        stacks = teacher.blueprint.stacks
        widths = {f"{each.path}.{at}": width for each in stacks for at, width in enumerate(each.widths)}
        spectra = Spectra(skip=int(teacher.blueprint.gives == ("text",)), widths=widths)
        if states is None or not states.give(paths, [sample.key for sample in chosen], spectra):
            teacher.observe(chosen, [Tap(path=path) for path in paths], spectra)
        if states is not None:
            states.drop()
        return bases(spectra.found, paths, self.options.rank, self.options.variance)


def choose(samples: Iterable[Sample], options: NiwtOptions) -> list[Sample]:
    """The samples with the smallest keys of the first `pool`: keys are hashes, so the choice is fair and lasting."""
    pool = {sample.key: sample for sample in islice(samples, options.pool)}
    if not pool:
        raise NexusError("There is no sample to profile with: the training part of the data is empty.")
    return [pool[key] for key in sorted(pool)[: options.samples]]


def spread(critical: Sequence[str], layers: Sequence[str], options: NiwtOptions) -> list[str]:
    """At most `options.layers` critical layers: the deepest one, and those nearest to equal shares of the depth."""
    if len(critical) <= options.layers:
        return list(critical)
    place = {path: index + 1 for index, path in enumerate(layers)}
    left, kept = list(critical), []
    for number in range(options.layers, 0, -1):
        target = place[critical[-1]] * number / options.layers
        nearest = min(left, key=lambda path: (abs(place[path] - target), place[path]))
        left.remove(nearest)
        kept.append(nearest)
    return sorted(kept, key=place.__getitem__)


def score(metric: Metric, chosen: Sequence[Sample], seen: Values) -> float:
    """The intact teacher's score on the profiled samples; NaN where the metric judges answers or finds no label."""
    if not metric.taps:
        return float("nan")
    intact = seen.of("")
    outputs = {tap.path: [intact[sample.key, tap.path] for sample in chosen] for tap in metric.taps}
    rows = [row for row in metric.measure(chosen, outputs) if len(row)]
    return float(metric.reduce(rows)) if rows else float("nan")


def _rises(context: Context) -> bool | None:
    """Whether the metric is better where it is higher, as its component says; None where the context names none."""
    named = context.choices("metric")
    found = context.components("metric").get(named[0].name) if named else None
    return None if found is None else bool(getattr(found, "higher_is_better", True))


def _ranked(layer: LayerProfile, kept: Mapping[str, Basis]) -> LayerProfile:
    rank = kept[layer.path].directions.shape[1] if layer.path in kept else 0
    return dataclasses.replace(layer, rank=rank)
