"""The table of results: teacher, student, control and floor, and what was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nexus_specs import Verdict

COLUMNS = (
    "capability", "teacher", "student", "tower forced", "control", "floor", "retention", "95 % interval",
    "gap closed", "parameters",
)  # fmt: skip


def verdict_table(verdicts: Sequence[Verdict], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What the end of a run and `nexus show` print; `release` adds whether the contract holds."""
    return {
        "title": "What the student kept of its teachers",
        "columns": list(COLUMNS),
        "rows": [_row(verdict, parameters) for verdict in verdicts],
        "notes": [
            "Retention: (student - floor) / (teacher - floor) on held-out items, the router choosing; interval: paired "
            "bootstrap. Gap closed: the same with the control (same student, no teacher) for the floor; '-' where "
            "the teacher is not surely better than its control. Parameters: the tower's own / its teacher's.",
            *(
                f"The teacher of {verdict.capability} is no better than what knows nothing: there is nothing to keep."
                for verdict in verdicts
                if not verdict.teacher_knows
            ),
        ],
    }


def _row(verdict: Verdict, parameters: Mapping[str, Any]) -> list[str]:
    own, full = parameters["towers"].get(verdict.tower, 0), parameters["teachers"].get(verdict.teacher, 0)
    gap = verdict.gap_closed
    scores = (
        verdict.teacher_score, verdict.student_score, verdict.forced_score, verdict.control_score, verdict.floor,
    )  # fmt: skip
    return [
        verdict.capability,
        *(f"{score:.4f}" for score in scores),
        f"{verdict.retention:.3f}",
        f"{verdict.retention_low:.3f} to {verdict.retention_high:.3f}",
        "-" if gap is None else f"{gap:.3f}",
        f"{own:,} / {full:,}",
    ]
