"""Stage `evaluate`: the student, with the router choosing and with each tower forced, and the control."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from nexus_specs import Checkpoint, Context, Estimate, NexusError, Sample, Verdict, plain
from nexus_torch.files import write_json
from nexus_torch.identity import elements
from nexus_torch.profiles import read_profile

from .bootstrap import judge
from .options import EvaluateOptions
from .places import locations, portable
from .rows import Row, exact, knows, measure, once, rises
from .scoring import read_score
from .tables import verdict_table
from .variants import shown

VERDICTS, MODEL = "verdicts.json", "model"
PASSES = 3
"""Routed, forced, control."""
SECONDS = 8.0
"""What an estimate assumes of each teacher's held-out part."""

Rows = dict[str, dict[str, Row]]
"""Teacher -> key -> row."""


class EvaluateStage:
    """Opens the student alone: what it needs of a teacher, `profile` and `score` recorded."""

    def __init__(self, **options: Any) -> None:
        self.options = EvaluateOptions(**options)

    def estimate(self, context: Context) -> Estimate:
        """Small beside training; nothing of the student exists yet when a plan is made."""
        return Estimate(seconds=SECONDS * len(context.teachers), how="opens the student and the controls")

    def run(self, context: Context) -> None:
        """Writes verdicts and the table of results."""
        options = EvaluateOptions(**context.options) if context.options else self.options
        model = model_folder(next(iter(context.inputs("assemble").values())))
        core = next(iter(context.inputs("core-control").values()))
        towers = {teacher: str(fields["tower"]) for teacher, fields in context.teachers.items()}
        forced = {teacher: f"{model}#{tower}" for teacher, tower in towers.items()}
        plain_towers = {teacher: f"{core}+{context.inputs('control')[tower]}" for teacher, tower in towers.items()}
        routed = self._rows(context, dict.fromkeys(towers, str(model)), 0)
        known = {teacher: routed[teacher] for teacher in alike(context, str(model), towers)}
        rest = {teacher: source for teacher, source in forced.items() if teacher not in known}
        chosen, controls = known | self._rows(context, rest, 1), self._rows(context, plain_towers, 2)
        verdicts = [
            verdict(context, teacher, (routed[teacher], chosen[teacher], controls[teacher]), options)
            for teacher in sorted(towers)
        ]
        written: dict[str, Any] = {
            "capabilities": [plain(each) for each in verdicts],
            "parameters": parameters(context, model, towers),
        }
        with context.write(VERDICTS) as path:
            write_json(path, written)
        with context.write("table.json") as path:
            write_json(path, verdict_table(verdicts, written["parameters"]))

    def _rows(self, context: Context, sources: Mapping[str, str], step: int) -> Rows:
        """Each source is opened once, for all the teachers that it stands against."""
        found: Rows = {}
        for source in sorted(set(sources.values())):
            with context.chosen("engine").load(context.open(source), exact(context.budget)) as student:
                for teacher in sorted(name for name, each in sources.items() if each == source):
                    found[teacher] = measure(student, held_out(context, teacher), context.chosen("metric", teacher))
                    context.report(step * len(context.teachers) + len(found), PASSES * len(context.teachers))
        return found


def alike(context: Context, model: str, towers: Mapping[str, str]) -> list[str]:
    """Teachers for whose every held-out sample, as their metric shows it, the router chose their own tower. Forcing it
    would pass the same batches through the same weights: the rows of the routed pass are those of the forced one, to
    the last bit."""
    checkpoint = context.open(model)
    return [
        teacher
        for teacher, tower in towers.items()
        if only(checkpoint, shown(held_out(context, teacher), context.chosen("metric", teacher)), tower)
    ]


def only(checkpoint: Checkpoint, samples: Sequence[Sample], tower: str) -> bool:
    """Whether one tower answers all samples. A loader that groups samples by who answers them says so, if it names
    the tower in its batches; of any other nothing is known."""
    groups = getattr(checkpoint, "groups", None)
    if groups is None or not samples or len(groups(samples)) != 1:
        return False
    with suppress(NexusError):  # a loader may group by something else, and not take such samples at all
        return checkpoint.collate(samples[:1]).get("tower") == tower
    return False


def verdict(
    context: Context, teacher: str, students: tuple[dict[str, Row], ...], options: EvaluateOptions
) -> Verdict:
    """The contract of one capability, over the items that all four could be judged on."""
    scored, metric = read_score(context.inputs("score")[teacher]), context.chosen("metric", teacher)
    keys = [key for key, row in scored.rows.items() if row and all(each.get(key) for each in students)]
    if not keys:
        raise NexusError(f"No held-out item of '{teacher}' was judged for both teacher and student. Run `score` again.")
    full = [scored.rows[key] for key in keys]
    routed, forced, control = ([rows[key] for key in keys] for rows in students)
    higher, score = rises(context, teacher), float(metric.reduce(full))
    found = judge(metric, full, routed, control, scored.floor, higher=higher, draws=options.draws, seed=context.seed)
    fields, reader = context.teachers[teacher], context.choices("reader", teacher)[0]
    return Verdict(
        capability=str(fields.get("capability") or teacher),
        teacher=teacher,
        tower=str(fields["tower"]),
        metric=context.choices("metric", teacher)[0],
        data=portable(reader, locations(context.components("reader").get(reader.name))),
        teacher_score=score,
        student_score=float(metric.reduce(routed)),
        forced_score=float(metric.reduce(forced)),
        control_score=float(metric.reduce(control)),
        floor=scored.floor,
        retention_low=found.retention_low,
        retention_high=found.retention_high,
        gap_judged=found.gap_judged,
        teacher_knows=knows(score, scored.floor, higher=higher),
        items=len(keys),
        data_hash=str(context.chosen("reader", teacher).fingerprint("held_out")),
    )


def held_out(context: Context, teacher: str) -> list[Sample]:
    """The held-out samples of a teacher, each once."""
    return once(context.samples("held_out", teacher))


def model_folder(artefact: Path) -> Path:
    """The assembled model in the artefact of `assemble`."""
    return artefact / MODEL if (artefact / MODEL).is_dir() else artefact


def parameters(context: Context, model: Path, towers: Mapping[str, str]) -> dict[str, Any]:
    """How many numbers the student, each tower of its own, and each teacher hold."""
    own = {tower: sum(map(elements, tensors(model / "towers" / tower))) for tower in sorted(set(towers.values()))}
    profiles = context.inputs("profile")
    return {
        "student": sum(map(elements, tensors(model))),
        "towers": own,
        "teachers": {teacher: read_profile(profiles[teacher]).blueprint.parameters for teacher in sorted(towers)},
    }


def tensors(folder: Path) -> Iterator[Path]:
    """All safetensors files below a folder, in order."""
    return iter(sorted(folder.rglob("*.safetensors")))


