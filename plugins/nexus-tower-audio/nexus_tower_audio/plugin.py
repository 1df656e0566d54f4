"""What nexus-tower-audio offers."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import TowerComponent, hookimpl


@hookimpl
def nexus_towers() -> Iterable[TowerComponent]:
    """The audio tower."""
    yield TowerComponent(
        name="audio",
        target="nexus_tower_audio.tower:AudioTower",
        summary="Sounds in, classes out: log-mel patches, a small encoder and cross-attention into the core",
        options="nexus_tower_audio.options:AudioOptions",
        takes=("audio",),
        gives=("label",),
        metric="accuracy",
        data="speech-commands",
    )
