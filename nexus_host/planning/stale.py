"""Artefacts of earlier settings: what a plan has no use for any more."""

from __future__ import annotations

from pathlib import Path

from ..store import Store
from ..store.artefacts import DAMAGED
from ..store.publish import published
from .plan import Plan


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
