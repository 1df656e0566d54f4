"""What samples show of a model that takes more than they have: no picture, a smaller one, a shorter film.

    as_shown(blueprint, checkpoint, samples)     # the blueprint, with what these samples need in place of the most
    as_usual(blueprint, checkpoint)              # likewise, with a sample as it usually comes, and what that is

A blueprint says the most that may come, and so does an estimate that is made of it alone. Where the samples are there,
the checkpoint is asked what they come to; of many samples the ones that stand out are made tensors of (`standing_out`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from .data import Sample
from .models import Blueprint
from .work import NexusError


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What one of the samples shows at most; as `Blueprint` has it."""

    seen: int
    """Values of the largest state that a tower, or a denoiser, has of it."""
    places: int = 0
    """Positions that its pictures, sounds and films take in its text."""
    unmet: tuple[str, ...] = ()
    """Paths of stacks that none of them comes to."""
    passing: int = 0
    """Values that a forward over it has at most at one time, beside weights."""
    held: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Bytes that it has while a stack runs."""
    waits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Bytes that it has where a layer of a stack begins, or a module beside layers."""
    behind: Mapping[str, int] = field(default_factory=dict)
    """Of modules beside layers, by their paths: how many stacks it has come to before them."""
    given: int = 0
    """Bytes of the tensors that are made of it."""
    making: int = 0
    """Bytes that it takes to make them."""


def as_shown(blueprint: Blueprint, checkpoint: Any, samples: Sequence[Sample], paths: Sequence[str] = ()) -> Blueprint:
    """The blueprint for these samples, all that there are; as it is where the checkpoint cannot tell. `paths`: modules
    that are looked at."""
    tell = getattr(checkpoint, "shown", None)
    if tell is None or not samples:
        return blueprint
    try:
        found: Shown | None = tell(samples, paths)
    except NexusError:                                      # it is said where they are run
        return blueprint
    if found is None:
        return blueprint
    outside = (replace(each, behind=found.behind.get(each.path, each.behind)) for each in blueprint.outside)
    return replace(
        blueprint, outside=tuple(outside), seen=found.seen, places=found.places, unmet=found.unmet,
        passing=found.passing, held=found.held, waits=found.waits, given=found.given, making=found.making,
    )  # fmt: skip


def as_usual(blueprint: Blueprint, checkpoint: Any) -> tuple[Blueprint, str]:
    """The blueprint for a sample as it usually comes, where nobody has one yet, and what that is in words ("a picture
    of 640 x 480 and a short text"); as it is, and "", where the checkpoint cannot tell, or texts are all it takes."""
    tell = getattr(checkpoint, "usual", None)
    sample, words = tell() if tell is not None else (None, "")
    known = as_shown(blueprint, checkpoint, [sample]) if sample is not None else blueprint
    return (blueprint, "") if known is blueprint else (known, words)


def standing_out(samples: Iterable[Sample]) -> list[Sample]:
    """Of all samples those that may show the most: for the same fields, the one with the most, the highest, the widest,
    the longest in either direction of what they hold besides text.

    >>> few = [Sample(key=name, fields={"text": name}) for name in ("first", "second")]
    >>> [each.key for each in standing_out(few)]
    ['first']
    """
    most: dict[tuple[Any, ...], tuple[float, Sample]] = {}
    for sample in samples:
        kind = tuple(sorted(name for name, value in sample.fields.items() if value is not None))
        for at, size in enumerate(_sizes(sample.fields)):
            if (kind, at) not in most or size > most[kind, at][0]:
                most[kind, at] = size, sample
    return list({id(sample): sample for _, sample in most.values()}.values())


def _sizes(fields: Mapping[str, Any]) -> tuple[float, ...]:
    """How much there is of a sample's arrays: values, arrays, and the largest of what their sides say."""
    shapes = [shape for value in fields.values() for shape in shapes_of(value)]
    sides = [(shape[-3], shape[-2]) if len(shape) > 2 else (shape[0], shape[-1]) for shape in shapes if all(shape)]
    ends = (max((float(side[at]) for side in sides), default=0.0) for at in (0, 1))
    long = (max((side[at] / side[1 - at] for side in sides), default=0.0) for at in (0, 1))
    return (float(sum(map(math.prod, shapes))), float(len(shapes)), *ends, *long)


def shapes_of(value: Any) -> list[tuple[int, ...]]:
    """Of an array, or of several in a list."""
    several = value if isinstance(value, (list, tuple)) else (value,)
    return [tuple(each.shape) for each in several if getattr(each, "shape", ())]
