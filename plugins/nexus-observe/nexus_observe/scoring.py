"""Stage `score`: the teacher's half of the evaluation, once a teacher, not once a student."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nexus_specs import Blueprint, Context, Estimate, NexusError
from nexus_torch.files import write_json

from .amount import observed
from .rows import Row, exact, judged, knows, measure, rises
from .variants import compares

SCORE = "score.json"
NOTHING = (
    "This teacher is no better than that: there is nothing to keep, and a release will be refused. Give it other data "
    "or another metric. Of a metric of yours: where less is better, its component says higher_is_better=False."
)


@dataclass(frozen=True)
class Scored:
    """What the stage wrote."""

    rows: Mapping[str, Row]
    score: float
    floor: float


class ScoreStage:
    """Opens the teacher on the held-out part."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def estimate(self, context: Context) -> Estimate:
        """One pass over the held-out part; what is wrong with the card is said in it."""
        try:
            metric, wrong = context.chosen("metric"), misfit(context)
        except NexusError as error:                         # it may not run programs, say
            metric, wrong = None, str(error)
        found, blueprint, _ = observed(context, "held_out", exact(context.budget), metric)
        wrong = wrong or unanswered(context, metric, blueprint)
        return replace(found, how=f"cannot be done: {wrong} ({found.how})") if wrong else found

    def run(self, context: Context) -> None:
        """Writes rows, score and floor."""
        if wrong := misfit(context):
            raise NexusError(wrong)
        metric, samples = context.chosen("metric"), list(context.samples("held_out"))
        if not samples:
            raise NexusError(f"The held-out part of '{context.unit.subject}' is empty: nothing can be judged on it.")
        checkpoint = context.open(str(context.card["source"]))
        with context.chosen("engine").load(checkpoint, exact(context.budget)) as teacher:
            rows = measure(teacher, samples, metric, chat=bool(context.card.get("chat")))
        if not judged(rows):
            raise NexusError(
                f"The metric can judge none of the {len(samples)} held-out samples of '{context.unit.subject}'. "
                "Give them what it needs (labels, answers)."
            )
        score = number(metric.reduce(judged(rows)), "score", context)
        floor = number(metric.floor(context.samples("train"), samples), "floor", context)
        with context.write(SCORE) as path:
            write_json(path, {"rows": rows, "score": score, "floor": floor, "items": len(judged(rows))})
        with context.write("table.json") as path:
            known = knows(score, floor, higher=rises(context))
            write_json(path, table(context.unit.subject, score, floor, len(judged(rows)), known=known))


def number(found: Any, what: str, context: Context) -> float:
    """A score or a floor; with one that is no finite number nothing can be compared."""
    with suppress(TypeError, ValueError):
        if math.isfinite(float(found)):
            return float(found)
    raise NexusError(
        f"The metric '{context.choices('metric')[0].name}' gives {found!r:.40} as the {what} of "
        f"'{context.unit.subject}' on the held-out part, which is no number to compare with. Look for samples whose "
        "outputs are not finite, or mend the metric."
    )


def misfit(context: Context) -> str:
    """What is wrong where a card wants questions written by a chat template, and its metric has none answered."""
    metric = context.chosen("metric")
    if not context.card.get("chat") or not (metric.taps or compares(metric)):
        return ""
    return (
        f"'{context.unit.subject}' has chat: true, for questions that are answered, and its metric "
        f"({context.choices('metric')[0].name}) reads a text as it stands. Take `chat` out, or name another metric."
    )


def unanswered(context: Context, metric: Any, blueprint: Blueprint) -> str:
    """What is wrong where a metric judges answers and the teacher would be streamed, so that a plan says it: hours of
    extracting come before the run could."""
    engine = context.chosen("engine")
    if metric.taps or compares(metric) or not hasattr(engine, "place"):
        return ""
    if engine.place(blueprint, exact(context.budget)).residency != "stream":
        return ""
    more = " (choice_likelihood, bits_per_byte)" if blueprint.gives == ("text",) else ""
    return (
        f"its metric ({context.choices('metric')[0].name}) judges answers, and a streamed teacher gives none. Name one "
        f"that judges likelihoods{more}, or hold it otherwise (residency: offload, or more memory)."
    )


def read_score(folder: Path) -> Scored:
    """The score of a folder."""
    data = json.loads((folder / SCORE).read_text(encoding="utf-8"))
    return Scored({key: tuple(row) for key, row in data["rows"].items()}, data["score"], data["floor"])


def table(teacher: str, score: float, floor: float, items: int, *, known: bool = True) -> dict[str, Any]:
    """What `nexus show` prints."""
    return {
        "title": f"{teacher} on the held-out part",
        "columns": ["teacher", "floor", "items"],
        "rows": [[f"{score:.4f}", f"{floor:.4f}", items]],
        "notes": ["The floor is the score of what knows nothing.", *([] if known else [NOTHING])],
    }
