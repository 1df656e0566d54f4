"""Planning: units, their fingerprints, what is cached and why the rest is not, what it will take."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .plan import Plan, Task, make_plan

if TYPE_CHECKING:
    from ..discovery import Plugins
    from ..registry import Registry

__all__ = ["Plan", "Task", "make_plan", "preview"]


def preview(registry: Registry, plugins: Plugins, run_dir: Path) -> None:
    """Prints the plan as `nexus plan` does. Raises NexusError."""
    from ..running.preparing import planned
    from ..showing.plan_view import print_plan
    from ..showing.tables import console
    from .resources import workers

    print_plan(planned(registry, plugins, run_dir), workers(registry), console())
