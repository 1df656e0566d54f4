"""What nexus-tower-text offers."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import TowerComponent, hookimpl


@hookimpl
def nexus_towers() -> Iterable[TowerComponent]:
    """The text tower."""
    yield TowerComponent(
        name="text",
        target="nexus_tower_text.tower:TextTower",
        summary="Text in, text out: adapters on the core and, for a foreign tokenizer, its own vocabulary",
        options="nexus_tower_text.options:TextOptions",
        takes=("text",),
        gives=("text",),
        metric="bits_per_byte",
        data="wikitext-2",
    )
