"""Stage `profile`: what in a teacher matters, its preprocessor, and the hashes of its weights."""

from __future__ import annotations

import dataclasses
from typing import Any

from nexus_specs import Blueprint, Budget, Context, Estimate, NexusError, Profile
from nexus_torch.files import write_json
from nexus_torch.profiles import PREPROCESSOR, PROFILE, write_profile

from .amount import profiled
from .hashing import Hashing
from .rows import exact

TENSORS = "tensors.json"
SAMPLES = 48
"""What an estimate assumes of a profiler."""


class ProfileStage:
    """Opens the teacher; after it, nothing opens it again to ask what it is."""

    def __init__(self, **options: Any) -> None:
        self.options = options

    def estimate(self, context: Context) -> Estimate:
        """Over as many samples as a profiler looks at."""
        return profiled(context, SAMPLES, exact(context.budget))

    def run(self, context: Context) -> None:
        """Writes profile, bases, preprocessor, hashes and the table."""
        checkpoint = context.open(str(context.card["source"]))
        metric, budget = context.chosen("metric"), exact(context.budget)
        engine, profiler = context.chosen("engine"), context.chosen("profiler")
        hashing = Hashing(checkpoint, budget.threads, budget.scratch)
        with engine.load(hashing, beside(profiler, engine, checkpoint.blueprint, budget)) as teacher:
            found = checked(profiler.profile(teacher, context.samples("train"), metric, context), context)
        with context.write(PREPROCESSOR) as path:
            checkpoint.save_preprocessor(path)
        with context.write(PROFILE) as path:
            write_profile(dataclasses.replace(found, preprocessor=PREPROCESSOR), path)
        tensors, unknown = hashing.found()
        with context.write(TENSORS) as path:
            write_json(path, {"tensors": tensors} | ({"unknown": unknown} if unknown else {}))
        with context.write("table.json") as path:
            write_json(path, table(found))


def checked(found: Any, context: Context) -> Profile:
    """What a profiler gave, where it is a profile of this very teacher: later stages find it by that name."""
    if isinstance(found, Profile) and found.teacher == context.unit.subject:
        return found
    said = f"a profile of '{found.teacher}'" if isinstance(found, Profile) else f"a {type(found).__name__}"
    raise NexusError(
        f"The profiler '{context.choices('profiler')[0].name}' gave {said}. It has to give a nexus_specs.Profile with "
        f"teacher=context.unit.subject, here '{context.unit.subject}'."
    )


def beside(profiler: Any, engine: Any, blueprint: Blueprint, budget: Budget) -> Budget:
    """What the engine may take beside a profiler that keeps states of a teacher that is not resident: of the disk, what
    that leaves."""
    keeps = getattr(profiler, "keeps", None)
    if not budget.disk or keeps is None:
        return budget
    placed = engine.place(blueprint, budget) if hasattr(engine, "place") else budget
    kept = 0 if placed.residency == "resident" else keeps(blueprint, budget)
    return dataclasses.replace(budget, disk=max(1, budget.disk - kept))


def table(profile: Profile) -> dict[str, Any]:
    """What `nexus show` prints."""
    blueprint = profile.blueprint
    return {
        "title": f"{profile.teacher}: {blueprint.head}, {blueprint.parameters:,} parameters",
        "columns": ["layer", "importance", "95 % interval", "critical", "rank kept"],
        "rows": [
            [layer.path, f"{layer.importance:.3f}", f"{layer.low:.3f} to {layer.high:.3f}",
             "yes" if layer.critical else "", layer.rank or ""]
            for layer in profile.layers
        ],
        "notes": [
            "Importance: the share of what there is to lose that is lost when a layer adds only its mean.",
            f"Score on the profiled samples: {profile.score:.4f}.",
        ],
    }  # fmt: skip
