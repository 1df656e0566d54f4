"""Artefacts of earlier settings: `nexus run --prune` removes them once what took their place is there."""

from __future__ import annotations

from pathlib import Path

from ..planning import Plan
from ..store import Store
from ..store.artefacts import ARTEFACTS, COPIES, DAMAGED
from ..words import bytes_text
from .made import Made
from .publish import published


def stale(plan: Plan) -> list[Path]:
    """Folders with another fingerprint of units of the plan, and damaged ones that were set aside. What a plan knows
    nothing of (a teacher that was not chosen, a later stage) is not among them, nor what is published now."""
    kept = {task.unit for task in plan.tasks} | set(published(plan.run).values())
    store = Store(plan.run)
    units = sorted({(task.unit.stage, task.unit.subject) for task in plan.tasks})
    older = [
        found.folder for stage, subject in units for found in store.versions(stage, subject) if found.unit not in kept
    ]
    aside = [folder for stage, subject in units for folder in sorted((plan.run / DAMAGED / stage / subject).glob("*"))]
    return older + aside


def size(folders: list[Path]) -> int:
    """Bytes that they hold."""
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())


def _copies(folders: list[Path], run: Path) -> list[Path]:
    """The copies that are kept of these artefacts."""
    inner = [folder.relative_to(run).parts for folder in folders]
    return [copy for _, *parts in inner if (copy := run.joinpath(COPIES, *parts)).is_dir()]


def prune(plan: Plan) -> str:
    """Removes them; of a folder only what a run wrote. Only after every unit of the plan was done. A line for the
    user."""
    folders = stale(plan)
    if not folders:
        return f"Nothing in {plan.run / ARTEFACTS} is left of earlier settings."
    held = size(folders)
    Made(plan.run).prune([*folders, *_copies(folders, plan.run)])
    return f"Removed {len(folders)} artefacts of earlier settings ({bytes_text(held)})."
