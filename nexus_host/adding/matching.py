"""What suits a checkpoint: the tower by what it takes and gives."""

from __future__ import annotations

from nexus_specs import Blueprint, NexusError, TowerComponent

from ..discovery import Plugins
from ..planning.suiting import towers_for
from ..words import listed


def tower_for(blueprint: Blueprint, plugins: Plugins, wanted: str = "") -> str:
    """The one tower that suits a checkpoint, or the one that is wanted. Raises NexusError for none and for several."""
    found = towers_for(blueprint, plugins)
    if wanted:
        plugins.component("tower", wanted)
        found = [wanted]
    takes = f"It takes {listed(blueprint.takes)} and gives {listed(blueprint.gives)}"
    if not found:
        offered = [
            f"{name} ({listed(tower.takes)} -> {listed(tower.gives)})"
            for name, tower in plugins.components("tower").items()
            if isinstance(tower, TowerComponent)
        ]
        remedy = "Install a plugin whose tower does the same, or write one: `nexus new-plugin tower NAME`"
        raise NexusError(f"No tower suits this checkpoint. {takes}. {remedy}. Installed: {listed(offered)}.")
    if len(found) > 1:
        raise NexusError(f"{len(found)} towers suit this checkpoint: {listed(found)}. Choose with --tower NAME.")
    return found[0]
