"""Stage `profile`: what in a teacher matters, its preprocessor, and the hashes of its weights."""

from __future__ import annotations

import dataclasses
from typing import Any

from nexus_specs import Context, Estimate, Profile
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
        hashing = Hashing(checkpoint, budget.threads, budget.scratch)
        with context.chosen("engine").load(hashing, budget) as teacher:
            found: Profile = context.chosen("profiler").profile(teacher, context.samples("train"), metric, context)
        with context.write(PREPROCESSOR) as path:
            checkpoint.save_preprocessor(path)
        with context.write(PROFILE) as path:
            write_profile(dataclasses.replace(found, preprocessor=PREPROCESSOR), path)
        tensors, unknown = hashing.found()
        with context.write(TENSORS) as path:
            write_json(path, {"tensors": tensors} | ({"unknown": unknown} if unknown else {}))
        with context.write("table.json") as path:
            write_json(path, table(found))


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
