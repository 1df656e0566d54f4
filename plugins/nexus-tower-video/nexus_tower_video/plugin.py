"""What nexus-tower-video offers."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import TowerComponent, hookimpl


@hookimpl
def nexus_towers() -> Iterable[TowerComponent]:
    """The video tower."""
    yield TowerComponent(
        name="video",
        target="nexus_tower_video.tower:VideoTower",
        summary="Videos in, classes out: tubelets, a small encoder and cross-attention into the core",
        options="nexus_tower_video.options:VideoOptions",
        takes=("video",),
        gives=("label",),
        metric="accuracy",
        data="kinetics-400",
    )
