"""What a training leaves: the folder that its student saves, and its curve."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from nexus_specs import Context
from nexus_torch.files import write_json

from .curve import Curve


def publish(context: Context, save: Callable[[Path], None]) -> None:
    """Saves into scratch, then hands every file and folder over as the artefact itself."""
    folder = context.budget.scratch / "saved"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    save(folder)
    for item in sorted(folder.iterdir()):
        with context.write(item.name) as path:
            shutil.move(item, path)


def write_training(context: Context, curve: Curve) -> None:
    """`training.json`: the curve; `table.json`: some of it."""
    unit, steps = context.unit, context.options["steps"]
    with context.write("training.json") as path:
        write_json(path, {"schema": "nexus.training/1", "unit": unit.name, "steps": steps, "curve": curve.points})
    with context.write("table.json") as path:
        write_json(path, curve.table(f"{unit.name}: {steps} steps"))
