"""What this plugin offers: the four stages that train."""

from __future__ import annotations

from collections.abc import Iterable

from nexus_specs import StageComponent, hookimpl


@hookimpl
def nexus_stages() -> Iterable[StageComponent]:
    """Core and towers from their teachers' shards, and beside each the control that has no teacher."""
    yield StageComponent(
        name="core",
        target="nexus_train.stages:Core",
        summary="Trains the core on the records of its core teachers, or takes over a checkpoint",
        options="nexus_train.options:CoreOptions",
        scope="core",
        needs=("profile", "extract"),
        uses=("student", "loss"),
        fields=("core",),
        reads=("train",),
    )
    yield StageComponent(
        name="core-control",
        target="nexus_train.stages:CoreControl",
        summary="The same core without a teacher: trained on the text alone",
        options="nexus_train.options:CoreOptions",
        scope="core",
        needs=("profile",),
        uses=("student", "loss:cross_entropy"),
        fields=("core",),
        reads=("train",),
        inherits="core",
    )
    yield StageComponent(
        name="train",
        target="nexus_train.stages:Train",
        summary="Trains a tower on the frozen core from its teachers' records",
        options="nexus_train.options:TrainOptions",
        scope="tower",
        needs=("core", "profile", "extract"),
        uses=("student", "tower", "loss"),
        reads=("train",),
    )
    yield StageComponent(
        name="control",
        target="nexus_train.stages:Control",
        summary="The same tower without a teacher: trained on the labels or the text that the data carry",
        options="nexus_train.options:TrainOptions",
        scope="tower",
        needs=("core-control", "profile"),
        uses=("student", "tower", "loss:cross_entropy"),
        reads=("train",),
        inherits="train",
    )
