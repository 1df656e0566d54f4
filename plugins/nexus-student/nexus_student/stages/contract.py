"""What a release promises, and whether this one keeps it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nexus_specs import Verdict

HALF = 0.5
"""Of its teacher's parameters for a tower, of all teachers' for the whole with the decoders of others."""


@dataclass(frozen=True)
class Promise:
    """One capability: its verdict, the share that was asked for, and the sizes of tower and teacher."""

    verdict: Verdict
    share: float
    tier: int
    tower_size: int
    teacher_size: int

    @property
    def passed(self) -> bool:
        """Whether the lower end of the interval reaches the share."""
        return self.verdict.passed(self.share)


def broken(
    promises: Sequence[Promise], whole: int, teachers: int, copied: Sequence[str], decoders: int = 0
) -> dict[str, list[str]]:
    """What does not hold, in words: "capabilities", "sizes", "tensors". Only capabilities may be allowed. `whole`,
    `teachers` and `decoders` are parameters; `copied` are tensors that are a teacher's."""
    capabilities = [_kept(each) for each in promises if not each.passed]
    sizes = [
        f"tower {each.verdict.tower}: {each.tower_size:,} parameters, more than half of {each.verdict.teacher}'s "
        f"{each.teacher_size:,}"
        for each in promises
        if each.tower_size > HALF * each.teacher_size
    ]
    if whole + decoders > HALF * teachers:
        with_them = f" and {decoders:,} of decoders of others" if decoders else ""
        sizes.append(f"the release: {whole:,} parameters{with_them}, more than half of all teachers' {teachers:,}")
    tensors = [f"{name} is a teacher's tensor" for name in copied]
    return {"capabilities": capabilities, "sizes": sizes, "tensors": tensors}


def _kept(promise: Promise) -> str:
    verdict = promise.verdict
    if not verdict.teacher_knows:
        return (
            f"{verdict.capability}: its teacher's {verdict.metric.name} ({verdict.teacher_score:.4g}) is no better "
            f"than that of what knows nothing ({verdict.floor:.4g}), so there is nothing to keep"
        )
    kept, least = percent(verdict.retention), percent(verdict.retention_low)
    return f"{verdict.capability}: kept {kept} (at least {least}), asked for {percent(promise.share)}"


def capability(promise: Promise) -> dict[str, Any]:
    """One entry of the manifest."""
    verdict = promise.verdict
    return {
        "name": verdict.capability,
        "tower": verdict.tower,
        "teacher": verdict.teacher,
        "metric": verdict.metric.name,
        "metric_options": dict(verdict.metric.options),
        "data": {
            "kind": verdict.data.kind,
            "name": verdict.data.name,
            "options": dict(verdict.data.options),
            "hash": verdict.data_hash,
        },
        "items": verdict.items,
        "floor": number(verdict.floor),
        "control_score": number(verdict.control_score),
        "teacher_score": number(verdict.teacher_score),
        "student_score": number(verdict.student_score),
        "forced_score": number(verdict.forced_score),
        "retention": number(verdict.retention),
        "retention_low": number(verdict.retention_low),
        "retention_high": number(verdict.retention_high),
        "gap_closed": number(verdict.gap_closed),
        "share": promise.share,
        "passed": promise.passed,
        "tier": promise.tier,
    }


def number(value: float | None) -> float | None:
    """None for what JSON has no number for."""
    return value if value is not None and math.isfinite(value) else None


def percent(value: float | None) -> str:
    """For people."""
    return "undefined" if value is None or not math.isfinite(value) else f"{100 * value:.1f} %"
