"""Which cards of the registry have a tower that is installed, and can learn what their teacher gives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from nexus_specs import TowerComponent

from nexus_host.discovery import Plugins
from nexus_host.registry import Registry

REGISTRY = Path(__file__).resolve().parents[2] / "registry.yaml"


@cache
def components() -> Mapping[str, str]:
    """Teacher -> the component of the tower that its card names."""
    model = Registry.load(REGISTRY, Plugins.discover(), strict=False).model
    return {name: model.towers[card.tower].component for name, card in model.teachers.items() if card.tower}


@cache
def installed() -> Mapping[str, tuple[str, ...]]:
    """Component of a tower -> what it gives, of those that are installed."""
    found = Plugins.discover().components("tower")
    return {name: tower.gives for name, tower in found.items() if isinstance(tower, TowerComponent)}


def standing(teacher: str, gives: Iterable[str]) -> str:
    """The tower of a teacher's card in a few words; "" for a teacher without a card."""
    name = components().get(teacher, "")
    if not name:
        return ""
    if name not in installed():
        return f"{name}: not installed"
    if not set(installed()[name]) & set(gives):
        return f"{name}: gives {', '.join(installed()[name])} only"
    return name


def ready(cell: str) -> bool:
    """Whether such words say that a tower is there and can learn."""
    return cell in installed()
