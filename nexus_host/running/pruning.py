"""Artefacts of earlier settings: `nexus run --prune` removes them once what took their place is there."""

from __future__ import annotations

from pathlib import Path

from ..planning import Plan
from ..planning.stale import size, stale
from ..store.artefacts import ARTEFACTS, COPIES
from ..store.made import Made
from ..words import bytes_text


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
