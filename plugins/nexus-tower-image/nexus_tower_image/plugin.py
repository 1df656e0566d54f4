"""What nexus-tower-image offers."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import TowerComponent, hookimpl


@hookimpl
def nexus_towers() -> Iterable[TowerComponent]:
    """The image tower."""
    yield TowerComponent(
        name="image",
        target="nexus_tower_image.tower:ImageTower",
        summary="Images in, classes out: patches, a small encoder and cross-attention into the core",
        options="nexus_tower_image.options:ImageOptions",
        takes=("image",),
        gives=("label",),
        metric="accuracy",
        data="imagenet-1k",
    )
