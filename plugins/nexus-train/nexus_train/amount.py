"""How long a training will take and how much it writes, before anything is opened: what `nexus plan` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from nexus_specs import Context, Estimate, Sample

RATE = 40e9
"""Operations a second of one thread, where the machine was not measured."""
REACHED = 0.07
"""Of the measured rate of a square product: small matrices, elementwise operations, and a neighbour on the same core
(the starter's core, on two threads of one core: 0.1 s a step of 900 tokens on 0.64 M parameters at 524 Gflop/s)."""
EVERY_STEP = 0.012
"""Seconds that a step takes however small it is."""
LETTERS, LONGEST, LATENTS = 3.5, 1024, 4
"""Characters of a token; most tokens of a text; positions that a perceived sample takes in the core."""
LOOKED_AT = 64
"""Samples whose length is looked at."""
FORWARD_AND_BACK = 6
"""Operations of a step for each parameter and token."""
ITSELF, STATE = 4, 12
"""Bytes of a trained parameter: itself, and in a state that survives a kill itself with two moments."""
KEPT = 2
"""States that stay while it is trained: the latest, and the one before it."""


def estimate(context: Context) -> Estimate:
    """From the options, the size of a new core and the length of the first samples."""
    options, size = context.options, int(context.chosen("student").size())
    tokens = options["batch"] * _length(context)
    rate = REACHED * (context.budget.gigaflops * 1e9 or RATE) * max(1, context.budget.threads)
    step = EVERY_STEP + FORWARD_AND_BACK * size * tokens / rate
    return Estimate(
        seconds=options["steps"] * step,
        memory=(ITSELF + STATE) * size,
        disk=(ITSELF + KEPT * STATE) * size,
        passing=KEPT * STATE * size,
        how=f"{options['steps']} steps of {options['batch']} samples",
    )


def _length(context: Context) -> float:
    """Mean tokens of a sample of the teachers that feed the unit, as far as the first ones tell."""
    found = [_tokens(sample.fields) for teacher in context.teachers for sample in _first(context, teacher)]
    return sum(found) / len(found) if found else 1.0


def _first(context: Context, teacher: str) -> Iterator[Sample]:
    return islice(iter(context.samples("train", teacher)), LOOKED_AT)


def _tokens(fields: Mapping[str, Any]) -> float:
    perceived = any(name in fields for name in ("image", "audio", "video"))
    return LATENTS if perceived or "text" not in fields else min(LONGEST, max(1.0, len(fields["text"]) / LETTERS))
